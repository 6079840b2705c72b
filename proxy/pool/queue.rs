//! Where sessions wait for a place at a backend, in order of arrival.
//!
//! Places are handed over, not announced: whoever frees one gives it to the session in front, so that nobody who comes
//! later can take it, and nobody wakes in vain. That a freed place and a new waiter never miss each other is the one
//! promise to keep here: whoever joins tries once more afterwards, and whoever frees a place looks for waiters afterwards;
//! of two that do so at the same time, at least one sees the other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::Histogram;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::shared::Shared;
use super::{Lease, Pool};
use crate::metrics;
use crate::net::client::ClientKey;

/// A place at a backend, and the version of the pool that gave it.
pub type Grant = (Arc<Pool>, Lease);

/// The sessions that wait for a place in one pool.
#[derive(Debug)]
pub(super) struct Queue {
    line: Mutex<Line>,
    /// The length of the line, readable without its lock.
    length: AtomicUsize,
    wait: Histogram,
}

/// In the order of their tickets.
#[derive(Debug, Default)]
struct Line {
    waiters: VecDeque<Waiter>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    client: ClientKey,
    since: Instant,
    grant: oneshot::Sender<Grant>,
}

/// A session's place in a queue; given up when dropped.
#[derive(Debug)]
pub struct Waiting {
    shared: Arc<Shared>,
    ticket: u64,
    grant: oneshot::Receiver<Grant>,
}

/// As many wait as may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    pub(super) fn new() -> Self {
        Self { line: Mutex::default(), length: AtomicUsize::new(0), wait: metrics::queue_wait() }
    }

    /// How many wait.
    pub(super) fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// How long those waited who got a place.
    pub(super) fn wait(&self) -> &Histogram {
        &self.wait
    }

    /// Whether somebody waits. Sees everybody who joined before, if a place was freed before.
    pub(super) fn is_waited_in(&self) -> bool {
        fence(Ordering::SeqCst);
        self.length() > 0
    }

    /// Joins the end of the line. The caller has to pump afterwards.
    pub(super) fn join(shared: &Arc<Shared>, client: ClientKey, size: usize, now: Instant) -> Result<Waiting, Full> {
        let queue = shared.queue();
        let mut line = queue.lock();
        if line.waiters.len() >= size {
            return Err(Full);
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = line.next_ticket;
        line.next_ticket += 1;
        line.waiters.push_back(Waiter { ticket, client, since: now, grant: sender });
        queue.note_length(&line);
        Ok(Waiting { shared: Arc::clone(shared), ticket, grant: receiver })
    }

    /// Gives places to those in front, as long as `find` finds one for them.
    pub(super) fn pump(&self, now: Instant, find: impl Fn(ClientKey) -> Option<Grant>) {
        // Of sessions that left in this instant. Dropped without the lock: a lease that goes pumps too.
        let mut returned = Vec::new();
        let mut line = self.lock();
        while let Some(waiter) = line.waiters.pop_front() {
            if waiter.grant.is_closed() {
                continue;
            }
            let Some(grant) = find(waiter.client) else {
                line.waiters.push_front(waiter);
                break;
            };
            self.wait.observe(now.saturating_duration_since(waiter.since).as_secs_f64());
            returned.extend(waiter.grant.send(grant).err());
        }
        self.note_length(&line);
        drop(line);
        drop(returned);
    }

    fn leave(&self, ticket: u64) {
        let mut line = self.lock();
        if let Ok(index) = line.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket) {
            line.waiters.remove(index);
            if line.waiters.is_empty() {
                // A storm leaves no lasting mark on memory.
                line.waiters.shrink_to_fit();
            }
            self.note_length(&line);
        }
    }

    fn note_length(&self, line: &Line) {
        self.length.store(line.waiters.len(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Resolves when it is this session's turn; to `None` only when the proxy ends. Cancel safe.
    pub async fn granted(&mut self) -> Option<Grant> {
        poll_fn(|cx| Pin::new(&mut self.grant).poll(cx)).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.queue().leave(self.ticket);
    }
}
