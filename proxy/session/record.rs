//! What is known of a session when it ends: the one exit, which counts and logs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{CloseReason, Origin, SessionId, Tally};
use crate::config::scalar::Name;
use crate::net::tcp_info::{self, TcpInfo};
use crate::pool::{Backend, Pool};

/// What is known of one session. It counts as live until this is dropped; dropped without [`Record::finish`] (a panic,
/// a runtime shut down) it ends as `killed`.
#[derive(Debug)]
pub(super) struct Record {
    id: SessionId,
    client: SocketAddr,
    pub(super) tally: Arc<Tally>,
    pool: Arc<Pool>,
    access_log: bool,
    pub(super) accepted_at: Instant,
    /// The backend tried last.
    backend: Option<Arc<Backend>>,
    attempts: u32,
    /// How long the connect that succeeded took.
    pub(super) connect: Option<Duration>,
    pub(super) first_byte_at: Option<Instant>,
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
    /// The client's side, as the kernel saw it.
    quality: Option<TcpInfo>,
    reason: CloseReason,
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
            first_byte_at: None,
            bytes_up: 0,
            bytes_down: 0,
            quality: None,
            reason: CloseReason::Killed,
        }
    }

    /// Notes that a backend is being tried.
    pub(super) fn attempt(&mut self, backend: Arc<Backend>) {
        self.attempts += 1;
        self.backend = Some(backend);
    }

    /// Ends the session.
    pub(super) fn finish(mut self, reason: CloseReason, downstream: Option<&TcpStream>) {
        self.reason = reason;
        if self.access_log {
            self.quality = downstream.and_then(|stream| tcp_info::read(stream).ok());
        }
    }

    fn log(&self, duration: Duration) {
        let backend = self.backend.as_ref().map(|backend| tracing::field::display(backend.address()));
        let first_byte = self.first_byte_at.map(|at| at.duration_since(self.accepted_at));
        tracing::info!(
            target: "access",
            session = %self.id,
            listener = %self.tally.listener(),
            client = %self.client,
            pool = %self.pool_name(),
            backend,
            attempts = self.attempts,
            connect_ms = self.connect.map(millis),
            first_byte_ms = first_byte.map(millis),
            duration_ms = millis(duration),
            bytes_up = self.bytes_up,
            bytes_down = self.bytes_down,
            reason = self.reason.as_str(),
            rtt_us = self.quality.map(|quality| quality.rtt_us),
            retransmits = self.quality.map(|quality| quality.retransmits),
        );
    }

    fn pool_name(&self) -> &Name {
        self.pool.name()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.accepted_at.elapsed();
        self.tally.end(self.reason, duration);
        if self.access_log {
            self.log(duration);
        }
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
        Record::new(origin, Local::seat(&Local::new(0, 1)).id())
    }

    #[tokio::test]
    async fn a_panic_ends_one_session_and_is_counted() {
        let tally = Arc::new(Tally::new("game".parse().unwrap(), 1));
        let other = record(&tally);
        let doomed = record(&tally);
        assert_eq!((tally.active(), tally.total()), (2, 2));
        let tasks = tokio::task::LocalSet::new();
        let panicked = tasks.spawn_local(async move {
            let doomed = doomed;
            assert_eq!(doomed.attempts, 1, "a bug");
        });
        assert!(tasks.run_until(panicked).await.unwrap_err().is_panic());
        assert_eq!((tally.active(), tally.ended(CloseReason::Killed)), (1, 1));
        other.finish(CloseReason::ClientClosed, None);
        assert_eq!((tally.active(), tally.ended(CloseReason::ClientClosed), tally.total()), (0, 1, 2));
    }

    #[test]
    fn milliseconds_keep_three_places() {
        assert_eq!(millis(Duration::from_nanos(1_234_567)).to_string(), "1.235");
        assert_eq!(millis(Duration::from_secs(4 * 3600)).to_string(), "14400000");
    }
}
