//! What is known of a session when it ends: the one exit, which counts and logs.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{CloseReason, Origin, SessionId, Tally};
use crate::net::tcp_info::TcpInfo;
use crate::pool::{Backend, Pool};

/// What is known of one session. It counts as live until this is dropped; dropped without [`Record::finish`] (a panic,
/// a runtime shut down) it ends as `killed`.
#[derive(Debug)]
pub(super) struct Record {
    id: SessionId,
    client: SocketAddr,
    tally: Arc<Tally>,
    pool: Arc<Pool>,
    access_log: bool,
    pub(super) accepted_at: Instant,
    /// The backend tried last.
    backend: Option<Arc<Backend>>,
    attempts: u32,
    /// How long the connect that succeeded took.
    pub(super) connect: Option<Duration>,
    pub(super) first_byte_at: Cell<Option<Instant>>,
    /// It has been counted and logged.
    finished: bool,
}

/// What is known only when a session ends.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// Bytes passed, up and down.
    pub(super) bytes: (u64, u64),
    /// The client's side, as the kernel saw it.
    pub(super) quality: Option<TcpInfo>,
}

impl Record {
    pub(super) fn new(origin: Origin, id: SessionId) -> Self {
        let Origin { client, tally, pool, access_log } = origin;
        tally.begin();
        Self {
            id,
            client,
            tally,
            pool,
            access_log,
            accepted_at: Instant::now(),
            backend: None,
            attempts: 0,
            connect: None,
            first_byte_at: Cell::new(None),
            finished: false,
        }
    }

    /// Notes that a backend is being tried.
    pub(super) fn attempt(&mut self, backend: Arc<Backend>) {
        self.attempts += 1;
        self.backend = Some(backend);
    }

    /// The pool that the session goes to.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The counts of its listener.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether it leaves a line in the access log.
    pub(super) fn is_logged(&self) -> bool {
        self.access_log
    }

    /// Ends the session.
    pub(super) fn finish(&mut self, reason: CloseReason, last: &Last) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let duration = self.accepted_at.elapsed();
        self.tally.end(reason, duration);
        if self.access_log {
            self.log(reason, duration, last);
        }
    }

    fn log(&self, reason: CloseReason, duration: Duration, last: &Last) {
        let backend = self.backend.as_ref().map(|backend| tracing::field::display(backend.address()));
        let first_byte = self.first_byte_at.get().map(|at| at.duration_since(self.accepted_at));
        tracing::info!(
            target: "access",
            session = %self.id,
            listener = %self.tally.listener(),
            client = %self.client,
            pool = %self.pool.name(),
            backend,
            attempts = self.attempts,
            connect_ms = self.connect.map(millis),
            first_byte_ms = first_byte.map(millis),
            duration_ms = millis(duration),
            bytes_up = last.bytes.0,
            bytes_down = last.bytes.1,
            reason = reason.as_str(),
            rtt_us = last.quality.map(|quality| quality.rtt_us),
            retransmits = last.quality.map(|quality| quality.retransmits),
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.finish(CloseReason::Killed, &Last::default());
    }
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Local;

    fn record(tally: &Arc<Tally>) -> Record {
        let pool = Arc::new(Pool::new(&crate::pool::tests::plain(&["127.0.0.1:1"]), None));
        let origin = Origin { client: ([127, 0, 0, 1], 1).into(), tally: Arc::clone(tally), pool, access_log: true };
        Record::new(origin, Local::new(0, 1).next_id())
    }

    #[tokio::test]
    async fn a_panic_ends_one_session_and_is_counted() {
        let tally = Arc::new(Tally::new("game".parse().unwrap(), 1));
        let mut other = record(&tally);
        let doomed = record(&tally);
        assert_eq!((tally.active(), tally.total()), (2, 2));
        let tasks = tokio::task::LocalSet::new();
        let panicked = tasks.spawn_local(async move {
            let doomed = doomed;
            assert_eq!(doomed.attempts, 1, "a bug");
        });
        assert!(tasks.run_until(panicked).await.unwrap_err().is_panic());
        assert_eq!((tally.active(), tally.ended(CloseReason::Killed)), (1, 1));
        other.finish(CloseReason::ClientClosed, &Last::default());
        drop(other);
        assert_eq!((tally.active(), tally.ended(CloseReason::ClientClosed), tally.total()), (0, 1, 2));
    }

    #[test]
    fn milliseconds_keep_three_places() {
        assert_eq!(millis(Duration::from_nanos(1_234_567)).to_string(), "1.235");
        assert_eq!(millis(Duration::from_secs(4 * 3600)).to_string(), "14400000");
    }
}
