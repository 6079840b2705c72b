//! What is known of a session when it ends: the one exit, which counts and logs.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

mod span;

use super::handle::Handle;
use super::{CloseReason, Ids, Known, Origin, SessionId, Tally, Via};
use crate::pool::{Backend, Pool};
use crate::relay::{Limits, Liveness, Quality, Side};
use crate::telemetry;

/// What is known of one session. It counts as live until this is dropped; dropped without [`Record::finish`] (a panic,
/// a runtime shut down) it ends as `killed`.
#[derive(Debug)]
pub(super) struct Record {
    handle: Rc<Handle>,
    known: Option<Box<Known>>,
    /// Where it goes, as soon as that is known.
    pool: Option<Arc<Pool>>,
    access_log: bool,
    pub(super) accepted_at: Instant,
    /// The backend tried last.
    backend: Option<Arc<Backend>>,
    /// Up to 255: there are at most 101.
    attempts: u8,
    /// How long the connect that succeeded took.
    connect: Option<Micros>,
    /// From accept to the backend's first byte.
    first_byte: Cell<Option<Micros>>,
    /// One byte for all there is to know of that: sessions are mostly memory.
    pub(super) carries: Carries,
    /// The side whose connection ended in the middle of what it said, as far as TLS can tell.
    pub(super) truncated: Cell<Option<Side>>,
    /// It has been counted and logged.
    finished: bool,
}

/// What a session is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    /// Bytes between a client and a backend.
    Bytes,
    /// Requests, of which backends have answered some.
    Answers,
    /// Bytes that are part of those of another session, which counts them for the listener.
    Stream,
}

/// What is known only when a session ends.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// Bytes passed, up and down.
    pub(super) bytes: (u64, u64),
    /// The client's side, as the kernel saw it.
    pub(super) quality: Option<Quality>,
}

impl Record {
    pub(super) fn new(origin: Origin, ids: &Ids) -> Self {
        let Origin { client, known, accepted_at, tally, mode, pool, access_log } = origin;
        tally.begin();
        Self {
            handle: Handle::new(ids, (client, accepted_at), (tally, mode), pool.as_ref()),
            known,
            pool,
            access_log,
            accepted_at,
            backend: None,
            attempts: 0,
            connect: None,
            first_byte: Cell::new(None),
            carries: Carries::Bytes,
            truncated: Cell::new(None),
            finished: false,
        }
    }

    /// Where it came from; where it went is left out.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            client: self.source(),
            known: self.known.clone(),
            accepted_at: self.accepted_at,
            tally: self.shared_tally(),
            mode: self.handle.mode,
            pool: None,
            access_log: self.access_log,
        }
    }

    /// Notes that a backend of this pool is being tried.
    pub(super) fn attempt(&mut self, pool: &Arc<Pool>, backend: &Arc<Backend>) {
        self.attempts = self.attempts.saturating_add(1);
        self.lead_to(pool);
        self.backend = Some(Arc::clone(backend));
    }

    /// Notes how long the connect that succeeded took.
    pub(super) fn note_connect(&mut self, took: Duration) {
        self.connect = Some(Micros::of(took));
    }

    /// Whether it ever was connected to a backend.
    pub(super) fn has_connected(&self) -> bool {
        self.connect.is_some()
    }

    /// Notes when the backend's first byte came.
    pub(super) fn note_first_byte(&self, now: Instant) {
        self.first_byte.set(Some(Micros::of(now.duration_since(self.accepted_at))));
    }

    /// Whether the backend has sent anything.
    pub(super) fn has_first_byte(&self) -> bool {
        self.first_byte.get().is_some()
    }

    /// The client's address.
    pub(super) fn client(&self) -> IpAddr {
        self.handle.client.0
    }

    /// The client's address and port.
    pub(super) fn source(&self) -> SocketAddr {
        self.handle.source()
    }

    /// Where the client connected to, if a balancer has told.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        self.via().map(|via| via.destination)
    }

    fn via(&self) -> Option<&Via> {
        self.known.as_ref()?.via.as_ref()
    }

    /// What is known of the client beside its address.
    pub(super) fn known(&self) -> Option<&Known> {
        self.known.as_deref()
    }

    /// The same, to add to it.
    pub(super) fn know(&mut self) -> &mut Known {
        self.known.get_or_insert_default()
    }

    /// What the session is called.
    pub(super) fn id(&self) -> SessionId {
        self.handle.id
    }

    /// What others may know of it.
    pub(super) fn handle(&self) -> &Rc<Handle> {
        &self.handle
    }

    /// The pool that the session goes to: its listener's, or its client's choice, or the one that stands in for that.
    pub(super) fn pool(&self) -> Option<&Arc<Pool>> {
        self.pool.as_ref()
    }

    /// Notes where the client wants to go.
    pub(super) fn lead_to(&mut self, pool: &Arc<Pool>) {
        self.handle.lead_to(pool);
        self.pool = Some(Arc::clone(pool));
    }

    /// How long the session may be silent, and how long it may last.
    pub(super) fn limits(&self) -> &Limits {
        self.pool.as_ref().map_or(&NO_LIMITS, |pool| &pool.timeouts().session)
    }

    /// The counts of its listener.
    pub(super) fn tally(&self) -> &Tally {
        &self.handle.tally
    }

    /// The same, to keep.
    pub(super) fn shared_tally(&self) -> Arc<Tally> {
        Arc::clone(&self.handle.tally)
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
        self.tally().end(reason, duration);
        self.leave_span(reason, duration, last);
        if self.access_log {
            self.log(reason, duration, last);
        }
    }

    fn log(&self, reason: CloseReason, duration: Duration, last: &Last) {
        let backend = self.backend.as_ref().map(|backend| tracing::field::display(backend.key()));
        tracing::info!(
            target: "access",
            session = %self.id(),
            listener = %self.tally().listener(),
            client = %self.source(),
            peer = self.via().map(|via| tracing::field::display(via.peer)),
            tls = self.known().and_then(|known| known.tls.as_ref()).map(|tls| tls.version),
            server_name = self.known().and_then(|known| known.server_name.as_deref()),
            pool = self.pool.as_ref().map(|pool| tracing::field::display(pool.name())),
            backend,
            attempts = self.attempts,
            connect_ms = self.connect.map(Micros::millis),
            first_byte_ms = self.first_byte.get().map(Micros::millis),
            duration_ms = Micros::of(duration).millis(),
            bytes_up = last.bytes.0,
            bytes_down = last.bytes.1,
            reason = reason.as_str(),
            truncated = self.truncated.get().map(Side::as_str),
            why = self.known().and_then(|known| known.why.as_deref()),
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

/// Of a session that goes nowhere.
const NO_LIMITS: Limits = Limits {
    idle: None,
    request: None,
    lifetime: None,
    half_close: None,
    liveness: Liveness { user_timeout: None, keepalive: None },
};

/// A time in microseconds, at least one: half the size of a [`Duration`].
#[derive(Debug, Clone, Copy)]
struct Micros(NonZeroU64);

impl Micros {
    fn of(duration: Duration) -> Self {
        let rounded = (duration.as_nanos() + 500) / 1000;
        Self(u64::try_from(rounded).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN))
    }

    /// Milliseconds, to the microsecond.
    fn millis(self) -> f64 {
        telemetry::millis(Duration::from_micros(self.0.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Mode;
    use crate::session::Ids;

    fn record(tally: &Arc<Tally>) -> Record {
        let pool = crate::pool::tests::pool(&crate::pool::tests::plain(&["127.0.0.1:1"]), None);
        let (client, accepted_at) = (([127, 0, 0, 1], 1).into(), Instant::now());
        let (tally, mode) = (Arc::clone(tally), Mode::Tcp);
        let origin = Origin { client, known: None, accepted_at, tally, mode, pool: Some(pool), access_log: true };
        Record::new(origin, &Ids::new())
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
        assert_eq!(Micros::of(Duration::from_nanos(1_234_567)).millis().to_string(), "1.235");
        assert_eq!(Micros::of(Duration::from_secs(4 * 3600)).millis().to_string(), "14400000");
    }
}
