//! A backend's breaker as the worker threads share it: behind a lock, with its changes counted and logged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

use super::breaker::{Breaker, Failed, Rule, State, Ticket, Transition};
use super::discovery::Key;
use crate::config::scalar::Name;
use crate::telemetry;

/// The circuit of one backend.
#[derive(Debug)]
pub struct Circuit {
    pool: Name,
    backend: Key,
    /// Locked for a few lines per session, never across an await, and never per message.
    breaker: Mutex<Breaker>,
    /// Whether the breaker is closed, readable without its lock: a pick over a thousand backends would take a thousand
    /// locks. Written only while the lock is held.
    closed: AtomicBool,
    transitions: [AtomicU64; State::ALL.len()],
}

impl Circuit {
    pub(super) fn new(pool: Name, backend: Key, rule: Rule) -> Self {
        Self {
            pool,
            backend,
            breaker: Mutex::new(Breaker::new(rule)),
            closed: AtomicBool::new(true),
            transitions: Default::default(),
        }
    }

    /// Follows a new rule; what the circuit has seen stays.
    pub(super) fn set_rule(&self, rule: Rule) {
        self.lock().set_rule(rule);
    }

    /// The state now. An open time that is over shows as half open.
    pub fn state(&self, now: Instant) -> State {
        if self.closed.load(Ordering::Relaxed) {
            return State::Closed;
        }
        let mut breaker = self.lock();
        let transition = breaker.poll(now);
        self.note(&breaker, transition);
        breaker.state()
    }

    /// Whether a session would be let through now.
    pub(super) fn admits(&self, now: Instant) -> bool {
        if self.closed.load(Ordering::Relaxed) {
            return true;
        }
        let mut breaker = self.lock();
        let transition = breaker.poll(now);
        self.note(&breaker, transition);
        breaker.admits(now)
    }

    /// Lets one session through, or none.
    pub(super) fn claim(&self, now: Instant) -> Option<Ticket> {
        let mut breaker = self.lock();
        let transition = breaker.poll(now);
        self.note(&breaker, transition);
        breaker.claim(now)
    }

    /// Lets a session through whatever the state.
    pub(super) fn claim_anyway(&self, now: Instant) -> Ticket {
        let mut breaker = self.lock();
        let transition = breaker.poll(now);
        self.note(&breaker, transition);
        breaker.claim_anyway(now)
    }

    /// A backend answered. Whether that has closed the circuit.
    pub(super) fn succeeded(&self, ticket: Ticket, now: Instant) -> bool {
        let mut breaker = self.lock();
        let transition = breaker.on_success(ticket, now);
        self.note(&breaker, transition);
        transition.is_some()
    }

    /// A backend failed. `may_open` is asked before the circuit opens, with this one counted among those that are out;
    /// whether it was asked, and said no.
    pub(super) fn failed(&self, ticket: Ticket, now: Instant, may_open: impl FnOnce() -> bool) -> bool {
        let mut breaker = self.lock();
        let ask = || {
            self.closed.store(false, Ordering::Relaxed);
            let may = may_open();
            self.closed.store(!may, Ordering::Relaxed);
            may
        };
        match breaker.on_failure(ticket, now, fastrand::f64(), ask) {
            Failed::Opened(transition) => self.note(&breaker, Some(transition)),
            Failed::HeldClosed => return true,
            Failed::Noted => {}
        }
        false
    }

    /// When it is half open, and how often it has opened; `None` while it is closed.
    pub(super) fn outage(&self) -> Option<(Instant, u32)> {
        if self.is_closed() { None } else { self.lock().outage() }
    }

    /// Goes on with what another process has known. `may_open` is asked first, with this one counted among those that are out.
    pub(super) fn resume(&self, (until, openings): (Instant, u32), now: Instant, may_open: impl FnOnce() -> bool) {
        let mut breaker = self.lock();
        self.closed.store(false, Ordering::Relaxed);
        if may_open() {
            // No transition of this process: it was told and counted when it came.
            breaker.resume(until, openings, now);
        } else {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    /// Closes the circuit on better evidence than a session's. Whether it was not closed.
    pub(super) fn heal(&self, now: Instant) -> bool {
        if self.is_closed() {
            return false;
        }
        let mut breaker = self.lock();
        let transition = breaker.heal(now);
        self.note(&breaker, transition);
        transition.is_some()
    }

    /// Whether traffic flows.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn undecided(&self, ticket: Ticket) {
        self.lock().on_neutral(ticket);
    }

    /// How often this state was entered.
    pub fn transitions(&self, to: State) -> u64 {
        self.transitions[to as usize].load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        // A breaker's methods keep no promise half-way, so a panic in one leaves nothing worse than a lost report.
        self.breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Called with the lock held, so that each change is counted and logged once and in order.
    fn note(&self, breaker: &Breaker, transition: Option<Transition>) {
        let Some(transition) = transition else { return };
        self.closed.store(breaker.state() == State::Closed, Ordering::Relaxed);
        self.transitions[transition.to as usize].fetch_add(1, Ordering::Relaxed);
        let (pool, backend) = (&self.pool, &self.backend);
        match transition.to {
            State::Closed => tracing::info!(%pool, %backend, "circuit closed: the backend answers again"),
            State::Open => {
                let open_for = telemetry::shown(transition.open_for.unwrap_or_default());
                tracing::warn!(%pool, %backend, %open_for, "circuit opened: the backend is left alone");
            }
            State::HalfOpen => tracing::info!(%pool, %backend, "circuit half open: trying the backend"),
        }
    }
}
