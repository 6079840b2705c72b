//! Where sessions wait for something that there is not enough of, places at a backend for one: those who were just playing
//! first, each class in order of arrival.
//!
//! What they wait for is handed over, not announced: whoever frees some gives it to the session in front, so that nobody
//! who comes later can take it, and nobody wakes in vain. That what is freed and a new waiter never miss each other is the
//! one promise to keep here: whoever joins tries once more afterwards, and whoever frees something looks for waiters
//! afterwards; of two that do so at the same time, at least one sees the other.

use std::fmt;
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

/// Sessions, each of which asks with a `Q` and waits for a `G`.
pub struct Queue<Q, G> {
    line: Mutex<Line<Waiter<Q, G>>>,
    /// The length of the line, readable without its lock.
    length: AtomicUsize,
    wait: Histogram,
}

struct Waiter<Q, G> {
    question: Q,
    since: Instant,
    grant: oneshot::Sender<G>,
}

/// A session's place in a queue; given up when dropped.
pub struct Waiting<Q, G> {
    queue: Arc<Queue<Q, G>>,
    ticket: Ticket,
    grant: oneshot::Receiver<G>,
}

/// As many wait as may.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl<Q, G> Queue<Q, G> {
    /// Without anybody in it; `wait` is told how long those waited who got what they waited for, in seconds.
    pub fn new(wait: Histogram) -> Self {
        Self { line: Mutex::new(Line::new()), length: AtomicUsize::new(0), wait }
    }

    /// How many wait.
    pub fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// How long those waited who got what they waited for.
    pub fn wait(&self) -> &Histogram {
        &self.wait
    }

    /// Whether somebody waits. Sees everybody who joined before something was freed.
    pub fn is_waited_in(&self) -> bool {
        fence(Ordering::SeqCst);
        self.length() > 0
    }

    /// Joins the end of the line. The caller has to pump afterwards.
    ///
    /// # Errors
    /// So many wait already.
    pub fn join(
        self: &Arc<Self>,
        (class, question): (Class, Q),
        size: usize,
        now: Instant,
    ) -> Result<Waiting<Q, G>, Full> {
        let mut line = self.lock();
        if line.len() >= size {
            return Err(Full);
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = line.join(class, Waiter { question, since: now, grant: sender });
        self.note_length(&line);
        Ok(Waiting { queue: Arc::clone(self), ticket, grant: receiver })
    }

    /// Gives those in front what they wait for, as long as `find` finds it for them.
    pub fn pump(&self, now: Instant, mut find: impl FnMut(&Q) -> Option<G>) {
        // Of sessions that left in this instant. Dropped without the lock: what goes may pump too.
        let mut returned = Vec::new();
        let mut line = self.lock();
        while let Some(first) = line.first() {
            if first.grant.is_closed() {
                line.skip();
                continue;
            }
            let Some(grant) = find(&first.question) else { break };
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

    fn note_length(&self, line: &Line<Waiter<Q, G>>) {
        self.length.store(line.len(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Line<Waiter<Q, G>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, G> Waiting<Q, G> {
    /// Resolves when it is this session's turn; to `None` only when the proxy ends. Cancel safe.
    pub async fn granted(&mut self) -> Option<G> {
        poll_fn(|cx| Pin::new(&mut self.grant).poll(cx)).await.ok()
    }
}

impl<Q, G> Drop for Waiting<Q, G> {
    fn drop(&mut self) {
        self.queue.leave(self.ticket);
    }
}

impl<Q, G> fmt::Debug for Queue<Q, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("length", &self.length).finish_non_exhaustive()
    }
}

impl<Q, G> fmt::Debug for Waiting<Q, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
