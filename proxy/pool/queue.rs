//! Where sessions wait for a place at a backend: those who were just playing first, each class in order of arrival.
//!
//! Places are handed over, not announced: whoever frees one gives it to the session in front, so that nobody who comes
//! later can take it, and nobody wakes in vain. That a freed place and a new waiter never miss each other is the one
//! promise to keep here: whoever joins tries once more afterwards, and whoever frees a place looks for waiters afterwards;
//! of two that do so at the same time, at least one sees the other.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::Histogram;
use tokio::sync::oneshot;
use tokio::time::Instant;

mod line;

pub use self::line::Class;
use self::line::{Line, Ticket};
use super::shared::Shared;
use super::{Lease, Pool};
use crate::metrics;
use crate::net::client::ClientKey;

/// A place at a backend, and the version of the pool that gave it.
pub type Grant = (Arc<Pool>, Lease);

/// The sessions that wait for a place in one pool.
#[derive(Debug)]
pub(super) struct Queue {
    line: Mutex<Line<Waiter>>,
    /// The length of the line, readable without its lock.
    length: AtomicUsize,
    wait: Histogram,
}

#[derive(Debug)]
struct Waiter {
    client: ClientKey,
    since: Instant,
    grant: oneshot::Sender<Grant>,
}

/// A session's place in a queue; given up when dropped.
#[derive(Debug)]
pub struct Waiting {
    shared: Arc<Shared>,
    ticket: Ticket,
    grant: oneshot::Receiver<Grant>,
}

/// As many wait as may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    pub(super) fn new() -> Self {
        Self { line: Mutex::new(Line::new()), length: AtomicUsize::new(0), wait: metrics::queue_wait() }
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
    pub(super) fn join(
        shared: &Arc<Shared>,
        (class, client): (Class, ClientKey),
        size: usize,
        now: Instant,
    ) -> Result<Waiting, Full> {
        let queue = shared.queue();
        let mut line = queue.lock();
        if line.len() >= size {
            return Err(Full);
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = line.join(class, Waiter { client, since: now, grant: sender });
        queue.note_length(&line);
        Ok(Waiting { shared: Arc::clone(shared), ticket, grant: receiver })
    }

    /// Gives places to those in front, as long as `find` finds one for them.
    pub(super) fn pump(&self, now: Instant, find: impl Fn(ClientKey) -> Option<Grant>) {
        // Of sessions that left in this instant. Dropped without the lock: a lease that goes pumps too.
        let mut returned = Vec::new();
        let mut line = self.lock();
        while let Some(first) = line.first() {
            if first.grant.is_closed() {
                line.skip();
                continue;
            }
            let Some(grant) = find(first.client) else { break };
            let Some(served) = line.serve() else { break };
            self.wait.observe(now.saturating_duration_since(served.since).as_secs_f64());
            returned.extend(served.grant.send(grant).err());
        }
        self.note_length(&line);
        drop(line);
        drop(returned);
    }

    fn leave(&self, ticket: Ticket) {
        let mut line = self.lock();
        line.leave(ticket);
        self.note_length(&line);
    }

    fn note_length(&self, line: &Line<Waiter>) {
        self.length.store(line.len(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Line<Waiter>> {
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
