//! One backend: its counts, its circuit and its health, which outlive reloads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::admin::Admin;
use super::breaker::{self, Kind, Ticket};
use super::checkup::Checkup;
use super::circuit::Circuit;
use super::discovery::Key;
use super::health::{self, Verdict};
use super::ramp::Ramp;
use super::recent::Recent;
use super::shared::Shared;
use crate::config::scalar::Name;
use crate::net::client::ClientKey;

/// One server of a pool. Passes from one version of the pool to the next by its [`Key`].
#[derive(Debug)]
pub struct Backend {
    key: Key,
    shared: Arc<Shared>,
    /// What it was told by hand. Read for every choice; written by the control thread alone.
    admin: AtomicU8,
    circuit: Circuit,
    checkup: Checkup,
    ramp: Ramp,
    /// Sessions that hold a lease.
    active: AtomicU32,
    /// How often all its sessions were ended together.
    endings: AtomicU32,
    connected: AtomicU64,
    connects: Recent,
    failures: [AtomicU64; Failure::ALL.len()],
}

/// How a backend fails a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A connect was refused, or found no way there.
    ConnectFailed,
    /// A connect took longer than `connect_timeout`.
    ConnectTimeout,
    /// Bytes were sent, and no first byte came back within `request_timeout`.
    RequestTimeout,
    /// The connection was reset before its first byte.
    BackendReset,
    /// This machine had no port left to connect from: the backend is not to blame.
    NoSourcePort,
    /// The backend refused a request, with which it has done nothing (HTTP/2).
    Refused,
    /// A request was answered with a status that counts as one (`breaker.status`).
    Status,
}

impl Failure {
    /// Every failure, in the order of declaration.
    pub const ALL: [Self; 7] = [
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::RequestTimeout,
        Self::BackendReset,
        Self::NoSourcePort,
        Self::Refused,
        Self::Status,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::BackendReset => "backend_reset",
            Self::NoSourcePort => "no_source_port",
            Self::Refused => "refused",
            Self::Status => "status",
        }
    }

    /// What the breaker's rule calls it; `None` for what it always counts.
    fn kind(self) -> Option<Kind> {
        match self {
            Self::ConnectFailed | Self::ConnectTimeout => Some(Kind::Connect),
            Self::RequestTimeout => Some(Kind::Timeout),
            Self::BackendReset => Some(Kind::Reset),
            Self::NoSourcePort | Self::Refused | Self::Status => None,
        }
    }

    /// Whether the session's client may have caused it.
    fn is_suspicious(self) -> bool {
        matches!(self, Self::RequestTimeout | Self::BackendReset)
    }
}

impl Backend {
    pub(super) fn new(key: Key, shared: Arc<Shared>, rule: breaker::Rule) -> Self {
        Self {
            circuit: Circuit::new(Arc::clone(&shared), key.clone(), rule),
            admin: AtomicU8::new(Admin::Ready as u8),
            checkup: Checkup::default(),
            ramp: Ramp::default(),
            active: AtomicU32::new(0),
            endings: AtomicU32::new(0),
            connected: AtomicU64::new(0),
            connects: Recent::default(),
            failures: Default::default(),
            key,
            shared,
        }
    }

    /// What it is known by.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The name of its pool.
    pub fn pool(&self) -> &Name {
        self.shared.name()
    }

    /// What the versions of its pool share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.key.address()
    }

    /// What an operator lets it do.
    pub fn admin(&self) -> Admin {
        Admin::ALL[usize::from(self.admin.load(Relaxed))]
    }

    /// Whether it was not taken out by hand.
    pub(super) fn is_ready(&self) -> bool {
        self.admin() == Admin::Ready
    }

    /// Follows what was set by hand. One that comes back takes on its weight slowly, where the pool says `slow_start`.
    pub(super) fn set_admin(&self, admin: Admin, now: Instant) {
        let before = self.admin.swap(admin as u8, Relaxed);
        if admin == Admin::Ready && before != Admin::Ready as u8 {
            self.came_up(now);
        }
    }

    /// Its circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// What health checks say of it.
    pub fn checkup(&self) -> &Checkup {
        &self.checkup
    }

    /// Live sessions, those that are connecting included.
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// Notes that its sessions are ended: those that are only connecting, and requests, will hear of it from their leases. To be
    /// called before those are asked to end that are connected.
    pub fn end_sessions(&self) {
        self.endings.fetch_add(1, Relaxed);
    }

    pub(super) fn endings(&self) -> u32 {
        self.endings.load(Relaxed)
    }

    /// Sessions that were connected to it.
    pub fn connected(&self) -> u64 {
        self.connected.load(Relaxed)
    }

    /// How long the last connects to it took.
    pub fn connects(&self) -> &Recent {
        &self.connects
    }

    /// Failures of this kind.
    pub fn failures(&self, failure: Failure) -> u64 {
        self.failures[failure as usize].load(Relaxed)
    }

    /// Failures of every kind.
    pub fn failures_total(&self) -> u64 {
        Failure::ALL.into_iter().map(|failure| self.failures(failure)).sum()
    }

    /// Whether a session may be sent to it now. Computed each time.
    pub fn is_eligible(&self, now: Instant) -> bool {
        self.is_ready() && !self.checkup.is_out() && self.circuit.admits(now)
    }

    /// Whether it is bad, and yet takes sessions because too many others are out.
    pub fn is_held_in(&self) -> bool {
        self.is_ready() && (self.circuit.is_held() || self.checkup.is_held_in())
    }

    /// Players on it: what the server said last, and the sessions that have come since. `None` if it never told.
    pub fn players(&self) -> Option<u32> {
        self.checkup.players(self.active())
    }

    /// Takes in the result of a health check: the number of players, where it could be read, or what failed. Returns the
    /// new verdict if that changes it.
    pub fn note_check(&self, result: Result<Option<u32>, String>, rule: health::Rule, now: Instant) -> Option<Verdict> {
        let passed = result.is_ok();
        let before = self.checkup.verdict();
        let was_held = self.checkup.is_held_in();
        let changed = self.checkup.note(result, rule, self.active(), || self.may_be_out());
        if self.checkup.is_held_in() && !was_held {
            self.shared.log_held(&self.key, "its health checks fail");
        }
        if passed && self.checkup.verdict() == Verdict::Up {
            let closed = self.circuit.heal(now);
            if closed || (before, changed) == (Verdict::Down, Some(Verdict::Up)) {
                self.came_up(now);
            }
        }
        changed
    }

    /// When its circuit is half open (in the past, if it is now), and how often it has opened; `None` while it is closed.
    pub fn outage(&self) -> Option<(Instant, u32)> {
        self.circuit.outage()
    }

    /// Goes on with what another process has known of its circuit.
    pub fn resume_outage(&self, outage: (Instant, u32), now: Instant) {
        self.circuit.resume(outage, now);
    }

    /// Goes on with what another process has known by health checks: it is down.
    pub fn resume_down(&self) {
        self.checkup.resume_down(|| self.may_be_out());
    }

    /// What checks have said holds no more: there are none any longer.
    pub fn forget_checks(&self) {
        self.checkup.forget();
    }

    /// It takes on its weight from now, where the pool says `slow_start`.
    pub(super) fn came_up(&self, now: Instant) {
        self.circuit.release_hold();
        self.ramp.begin(now);
        self.shared.pump(now);
    }

    pub(super) fn ramp(&self) -> &Ramp {
        &self.ramp
    }

    /// Whether it counts among those that are out, by hand, circuit or health: no session goes there, or only probes.
    pub(super) fn counts_as_out(&self) -> bool {
        !self.is_ready() || self.checkup.counts_as_out() || !self.circuit.is_closed()
    }

    /// Whether its checks or its circuit have something against it.
    pub(super) fn is_bad(&self) -> bool {
        self.checkup.verdict() == Verdict::Down || !self.circuit.is_closed()
    }

    /// Whether one more of the pool may be out, this one counted already.
    fn may_be_out(&self) -> bool {
        self.shared.may_be_out()
    }

    /// With `anyway` the circuit is not asked; what was set by hand always is.
    pub(super) fn claim(
        &self,
        client: ClientKey,
        max_connections: Option<u32>,
        anyway: bool,
        now: Instant,
    ) -> Option<Ticket> {
        if !self.is_ready() {
            return None;
        }
        let most = max_connections.unwrap_or(u32::MAX);
        self.active.fetch_update(Relaxed, Relaxed, |active| (active < most).then(|| active + 1)).ok()?;
        let ticket =
            if anyway { Some(self.circuit.claim_anyway(client, now)) } else { self.circuit.claim(client, now) };
        if ticket.is_none() {
            self.active.fetch_sub(1, Relaxed);
        }
        ticket
    }

    pub(super) fn release(&self, now: impl FnOnce() -> Instant) {
        self.active.fetch_sub(1, Relaxed);
        self.shared.freed(now);
    }

    pub(super) fn note_connected(&self, took: Duration) {
        self.connected.fetch_add(1, Relaxed);
        self.connects.note(took);
    }

    pub(super) fn succeeded(&self, ticket: Ticket, now: Instant) {
        if self.circuit.succeeded(ticket, now) {
            self.came_up(now);
        }
    }

    /// No connection could be opened for want of a port, which says nothing of the backend.
    pub fn note_no_source_port(&self) {
        self.failures[Failure::NoSourcePort as usize].fetch_add(1, Relaxed);
    }

    /// Counts a failure. One that its client may have caused is held against the backend only on the word of a witness.
    pub(super) fn failed(
        &self,
        ticket: Ticket,
        failure: Failure,
        witness: impl FnOnce() -> Option<ClientKey>,
        now: Instant,
    ) {
        self.failures[failure as usize].fetch_add(1, Relaxed);
        match failure.kind().filter(|_| failure.is_suspicious()) {
            None => self.circuit.failed(ticket, failure.kind(), now),
            Some(kind) => match witness() {
                Some(client) => self.circuit.suspected(ticket, kind, client, now),
                None => self.circuit.undecided(ticket, || now),
            },
        }
    }
}
