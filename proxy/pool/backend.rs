//! One backend: its counts and its circuit, which outlive reloads, and a session's claim on it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use super::breaker;
use super::breaker::Ticket;
use super::circuit::Circuit;
use super::discovery::Resolved;
use crate::config::scalar::{Address, Name};

/// One server of a pool. Passes from one version of the config to the next by its pool's name and its address.
#[derive(Debug)]
pub struct Backend {
    address: Address,
    resolved: Resolved,
    circuit: Circuit,
    /// Sessions that hold a [`Lease`].
    active: AtomicU32,
    connected: AtomicU64,
    failures: [AtomicU64; Failure::ALL.len()],
}

/// What the breaker counts against a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A connect was refused, or found no way there, or its host name has no address.
    ConnectFailed,
    /// A connect took longer than `connect_timeout`.
    ConnectTimeout,
    /// Bytes were sent, and no first byte came back within `request_timeout`.
    RequestTimeout,
    /// The connection was reset before its first byte.
    BackendReset,
}

impl Failure {
    /// Every failure, in the order of declaration.
    pub const ALL: [Self; 4] = [Self::ConnectFailed, Self::ConnectTimeout, Self::RequestTimeout, Self::BackendReset];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::BackendReset => "backend_reset",
        }
    }
}

impl Backend {
    pub(super) fn new(pool: Name, address: Address, rule: breaker::Rule) -> Self {
        Self {
            resolved: Resolved::new(&address),
            circuit: Circuit::new(pool, address.clone(), rule),
            address,
            active: AtomicU32::new(0),
            connected: AtomicU64::new(0),
            failures: Default::default(),
        }
    }

    /// Where it listens, as the file wrote it.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Where to connect to now, in the order to try. Empty while a host name has not been found.
    pub fn socket_addresses(&self) -> Arc<Vec<SocketAddr>> {
        self.resolved.get()
    }

    /// Its circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    pub(super) fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Live sessions, those that are connecting included.
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// Sessions that were connected to it.
    pub fn connected(&self) -> u64 {
        self.connected.load(Relaxed)
    }

    /// Failures of this kind.
    pub fn failures(&self, failure: Failure) -> u64 {
        self.failures[failure as usize].load(Relaxed)
    }

    /// Failures of every kind.
    pub fn failures_total(&self) -> u64 {
        Failure::ALL.into_iter().map(|failure| self.failures(failure)).sum()
    }

    /// Whether a session may be sent to it now. Computed each time: today from the circuit alone, for nothing else can
    /// take a backend out yet.
    pub fn is_eligible(&self, now: Instant) -> bool {
        self.circuit.admits(now)
    }
}

/// A session's claim on a backend: counts while it lives. Without a report it is neutral for the circuit.
#[derive(Debug)]
pub struct Lease {
    backend: Arc<Backend>,
    ticket: Ticket,
    reported: Cell<bool>,
}

impl Lease {
    /// `None` when the backend has as many sessions as it may, or its circuit lets nobody through any more.
    pub(super) fn claim(backend: &Arc<Backend>, max_connections: Option<u32>, now: Instant) -> Option<Self> {
        let most = max_connections.unwrap_or(u32::MAX);
        backend.active.fetch_update(Relaxed, Relaxed, |active| (active < most).then(|| active + 1)).ok()?;
        let Some(ticket) = backend.circuit.claim(now) else {
            backend.active.fetch_sub(1, Relaxed);
            return None;
        };
        Some(Self { backend: Arc::clone(backend), ticket, reported: Cell::new(false) })
    }

    /// The backend that is claimed.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// A connection stands.
    pub fn connected(&self) {
        self.backend.connected.fetch_add(1, Relaxed);
    }

    /// The backend has sent its first byte.
    pub fn succeeded(&self, now: Instant) {
        if !self.reported.replace(true) {
            self.backend.circuit.succeeded(self.ticket, now);
        }
    }

    /// The backend has failed this session, before it sent anything.
    pub fn failed(&self, failure: Failure, now: Instant) {
        if !self.reported.replace(true) {
            self.backend.failures[failure as usize].fetch_add(1, Relaxed);
            self.backend.circuit.failed(self.ticket, now);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.reported.get() {
            self.backend.circuit.undecided(self.ticket);
        }
        self.backend.active.fetch_sub(1, Relaxed);
    }
}
