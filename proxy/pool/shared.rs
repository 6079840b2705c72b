//! What all versions of a pool share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use prometheus::Histogram;
use tokio::time::Instant;

use super::{Grant, Key, Pool};
use crate::config::scalar::Name;
use crate::metrics;
use crate::net::client::ClientKey;
use crate::queue::Queue;

/// What passes from version to version of a pool: its counts, its queue, and the way to the newest version.
#[derive(Debug)]
pub(super) struct Shared {
    name: Name,
    latest: Mutex<Weak<Pool>>,
    /// Taken while it is decided whether a backend may be out.
    outs: Mutex<()>,
    queue: Arc<Queue<ClientKey, Grant>>,
    pub(super) connect: Histogram,
    pub(super) retries: AtomicU64,
}

impl Shared {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            latest: Mutex::default(),
            outs: Mutex::default(),
            queue: Arc::new(Queue::new(metrics::queue_wait())),
            connect: metrics::connect_duration(),
            retries: AtomicU64::new(0),
        }
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    pub(super) fn queue(&self) -> &Arc<Queue<ClientKey, Grant>> {
        &self.queue
    }

    pub(super) fn set_latest(&self, pool: &Arc<Pool>) {
        *lock(&self.latest) = Arc::downgrade(pool);
    }

    /// The newest version; `None` once the pool is gone from the config.
    fn latest(&self) -> Option<Arc<Pool>> {
        lock(&self.latest).upgrade()
    }

    /// Whether so many backends may be out as are now. Who asks has marked itself as out before, so that of two that ask at
    /// once both are counted.
    pub(super) fn may_be_out(&self) -> bool {
        let _one_at_a_time = lock(&self.outs);
        let Some(pool) = self.latest() else { return true };
        let out = pool.members().iter().filter(|member| member.backend.counts_as_out()).count();
        out <= pool.max_ejected().of(pool.members().len())
    }

    /// Tells the log of a backend that is bad, and stays in.
    pub(super) fn log_held(&self, backend: &Key, why: &str) {
        let pool = &self.name;
        tracing::warn!(%pool, %backend, why, "bad, but stays in: as many backends are out as max_ejected allows");
    }

    /// A session has gone from one of the backends: whoever waits first may have its place.
    pub(super) fn freed(&self, now: impl FnOnce() -> Instant) {
        if self.queue.is_waited_in() {
            self.pump(now());
        }
    }

    /// Gives places to those who wait, as far as there are any.
    pub(super) fn pump(&self, now: Instant) {
        if self.queue.is_waited_in()
            && let Some(pool) = self.latest()
        {
            self.queue.pump(now, |&client| pool.lease(&super::Request::new(client), now));
        }
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }
}

/// None of these locks guards a promise that a panic could leave half kept.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
