//! How a session ended: the closed set of reasons, and the counts of a listener's sessions by it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use prometheus::Histogram;

use super::refusals::Refusals;
use crate::admission::{Memory, Refusal};
use crate::config::model::Messages;
use crate::config::scalar::Name;
use crate::metrics;
use crate::relay::{self, Direction, Side};
use crate::trace::Tracer;

/// Why a session ended. The access log, the metrics and the API use the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed in order, and the backend after it, or was silent for the pool's `half_close_timeout`.
    ClientClosed,
    /// The backend closed in order, and the client after it, or was silent for the pool's `half_close_timeout`.
    BackendClosed,
    /// The client's connection broke.
    ClientReset,
    /// The backend's connection broke.
    BackendReset,
    /// No byte passed for the pool's `idle_timeout`.
    IdleTimeout,
    /// The backend never answered: the pool's `request_timeout`.
    RequestTimeout,
    /// The session lasted for the pool's `max_lifetime`.
    MaxLifetime,
    /// No connection to any of the backends that were tried.
    ConnectFailed,
    /// This machine had no port left to connect to a backend from.
    NoSourcePort,
    /// The pool had no backend to try.
    NoBackend,
    /// No place became free in the pool's `queue.timeout`, or its turn did not come in the listener's `wait_timeout`.
    QueueTimeout,
    /// As many sessions wait as the pool's `queue.size` or the listener's `max_waiting` allows.
    QueueFull,
    /// Refused by a list, or by maintenance.
    Denied,
    /// The client's address comes too often.
    RateLimited,
    /// The client's address has as many sessions as it may.
    PerIpLimit,
    /// The proxy is too full for newcomers.
    Shed,
    /// As many sessions live as `max_connections` allows.
    AtCapacity,
    /// What must be known before a backend is chosen did not come in time.
    PrereadTimeout,
    /// Nor was it what it must be.
    PrereadInvalid,
    /// The client's TLS handshake failed, or took longer than the listener's `handshake_timeout`.
    TlsFailed,
    /// Cut at the end of a drain.
    Drained,
    /// Ended by an operator, because its backend went down (`on_down = "close"`), or by a fault of the proxy itself.
    Killed,
}

impl CloseReason {
    /// Those of clients who were not let in.
    pub const REFUSALS: [Self; 6] =
        [Self::Denied, Self::RateLimited, Self::PerIpLimit, Self::Shed, Self::AtCapacity, Self::QueueFull];

    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 22] = [
        Self::ClientClosed,
        Self::BackendClosed,
        Self::ClientReset,
        Self::BackendReset,
        Self::IdleTimeout,
        Self::RequestTimeout,
        Self::MaxLifetime,
        Self::ConnectFailed,
        Self::NoSourcePort,
        Self::NoBackend,
        Self::QueueTimeout,
        Self::QueueFull,
        Self::Denied,
        Self::RateLimited,
        Self::PerIpLimit,
        Self::Shed,
        Self::AtCapacity,
        Self::PrereadTimeout,
        Self::PrereadInvalid,
        Self::TlsFailed,
        Self::Drained,
        Self::Killed,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::BackendClosed => "backend_closed",
            Self::ClientReset => "client_reset",
            Self::BackendReset => "backend_reset",
            Self::IdleTimeout => "idle_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::MaxLifetime => "max_lifetime",
            Self::ConnectFailed => "connect_failed",
            Self::NoSourcePort => "no_source_port",
            Self::NoBackend => "no_backend",
            Self::QueueTimeout => "queue_timeout",
            Self::QueueFull => "queue_full",
            Self::Denied => "denied",
            Self::RateLimited => "rate_limited",
            Self::PerIpLimit => "per_ip_limit",
            Self::Shed => "shed",
            Self::AtCapacity => "at_capacity",
            Self::PrereadTimeout => "preread_timeout",
            Self::PrereadInvalid => "preread_invalid",
            Self::TlsFailed => "tls_failed",
            Self::Drained => "drained",
            Self::Killed => "killed",
        }
    }
}

impl From<Refusal> for CloseReason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied | Refusal::Maintenance => Self::Denied,
            Refusal::RateLimited => Self::RateLimited,
            Refusal::PerIpLimit => Self::PerIpLimit,
            Refusal::Shed => Self::Shed,
            Refusal::AtCapacity => Self::AtCapacity,
            Refusal::QueueFull => Self::QueueFull,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The counts of one listener's sessions. They outlive reloads.
#[derive(Debug)]
pub struct Tally {
    listener: Name,
    active: AtomicU64,
    ended: [AtomicU64; CloseReason::ALL.len()],
    bytes: Box<[Bytes]>,
    duration: Histogram,
    memory: Memory,
    refusals: Refusals,
    messages: ArcSwapOption<Messages>,
    tracer: Option<Arc<Tracer>>,
}

/// Bytes passed by one worker. In cache lines of their own: each is written for every message, by one thread.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Bytes {
    up: AtomicU64,
    down: AtomicU64,
}

impl Tally {
    /// Counts from zero, for a process with so many workers.
    pub fn new(listener: Name, workers: usize) -> Self {
        Self {
            listener,
            active: AtomicU64::new(0),
            ended: Default::default(),
            bytes: (0..workers).map(|_| Bytes::default()).collect(),
            duration: metrics::session_duration(),
            memory: Memory::default(),
            refusals: Refusals::default(),
            messages: ArcSwapOption::empty(),
            tracer: None,
        }
    }

    /// The same, with somebody to take spans.
    pub fn traced_by(self, tracer: &Arc<Tracer>) -> Self {
        Self { tracer: Some(Arc::clone(tracer)), ..self }
    }

    /// Who takes spans, while tracing is on.
    pub fn tracer(&self) -> Option<&Tracer> {
        self.tracer.as_deref().filter(|tracer| tracer.is_on())
    }

    /// The listener's name.
    pub fn listener(&self) -> &Name {
        &self.listener
    }

    /// What is remembered of its clients.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Who was not let in.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What is said to those who may not stay, in the newest version.
    pub fn messages(&self) -> Guard<Option<Arc<Messages>>> {
        self.messages.load()
    }

    /// Changes that.
    pub fn set_messages(&self, messages: Option<Arc<Messages>>) {
        self.messages.store(messages);
    }

    /// Sessions that live now.
    pub fn active(&self) -> u64 {
        self.active.load(Relaxed)
    }

    /// Sessions that have ended for this reason.
    pub fn ended(&self, reason: CloseReason) -> u64 {
        self.ended[reason as usize].load(Relaxed)
    }

    /// Sessions that have begun, those that were refused included.
    pub fn total(&self) -> u64 {
        self.active() + CloseReason::ALL.iter().map(|&reason| self.ended(reason)).sum::<u64>()
    }

    /// Bytes passed in this direction.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.bytes.iter().map(|bytes| bytes.of(direction).load(Relaxed)).sum()
    }

    /// How long sessions lasted, in seconds.
    pub fn duration(&self) -> &Histogram {
        &self.duration
    }

    pub(super) fn begin(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self, reason: CloseReason, duration: Duration) {
        self.active.fetch_sub(1, Relaxed);
        self.ended[reason as usize].fetch_add(1, Relaxed);
        // A flood of refusals says nothing of how long sessions last.
        if reason != CloseReason::AtCapacity {
            self.duration.observe(duration.as_secs_f64());
        }
    }

    /// Counts bytes that worker number `worker` has passed.
    pub fn passed(&self, worker: usize, direction: Direction, bytes: usize) {
        // One writer per counter: a load and a store do, where an atomic addition would lock the line.
        let counter = self.bytes[worker].of(direction);
        counter.store(counter.load(Relaxed) + bytes as u64, Relaxed);
    }
}

impl Bytes {
    fn of(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }
}

/// The reason for how a relay ended. `stopped` is why it was asked to stop, if it was.
pub(super) fn of_relay(end: relay::End, stopped: CloseReason) -> CloseReason {
    match end {
        relay::End::Closed(Side::Downstream) => CloseReason::ClientClosed,
        relay::End::Closed(Side::Upstream) => CloseReason::BackendClosed,
        relay::End::Reset(Side::Downstream) | relay::End::CutOff(Side::Downstream) => CloseReason::ClientReset,
        relay::End::Reset(Side::Upstream) | relay::End::CutOff(Side::Upstream) => CloseReason::BackendReset,
        relay::End::IdleTimeout => CloseReason::IdleTimeout,
        relay::End::RequestTimeout => CloseReason::RequestTimeout,
        relay::End::MaxLifetime => CloseReason::MaxLifetime,
        relay::End::Stopped => stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place_and_word() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        let words: std::collections::BTreeSet<_> = CloseReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), CloseReason::ALL.len());
    }
}
