//! A backend's breaker as the worker threads share it: behind a lock, with its changes counted and logged.
//!
//! Nearly always the breaker is at rest: closed, and without a failure to remember. Then nobody takes the lock: a session gets
//! the number of its ticket from a counter, and that the backend sends bytes is a flag.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use super::breaker::{Breaker, Failed, Kind, Rule, State, Suspicion, Ticket, Transition};
use super::discovery::Key;
use super::shared::Shared;
use crate::net::client::ClientKey;
use crate::telemetry;

/// The circuit of one backend.
#[derive(Debug)]
pub struct Circuit {
    shared: Arc<Shared>,
    backend: Key,
    /// Locked for a few lines per session while the breaker is not at rest, never across an await, and never per message.
    breaker: Mutex<Breaker>,
    /// Whether the breaker is closed, readable without its lock: a pick over a thousand backends would take a thousand
    /// locks. Written only while the lock is held.
    closed: AtomicBool,
    /// Whether it is closed, and time alone changes nothing. Written only while the lock is held.
    settled: AtomicBool,
    /// Whether it is at rest. Written only while the lock is held. Who reads it as it was a moment ago does no harm: the
    /// session counts as one that came that moment earlier.
    at_rest: AtomicBool,
    /// It would be open, but too many of the pool are out already.
    held: AtomicBool,
    /// The number of the next ticket. At a million a second, 64 bits last half a million years.
    tickets: AtomicU64,
    /// Sessions with tickets before this one have lived while the backend answered somebody.
    answered_before: AtomicU64,
    answered: Answered,
    transitions: [AtomicU64; State::ALL.len()],
}

/// Whether the backend has sent anybody a byte since this was looked at last. In a cache line of its own: it is read for every
/// message, and what stands beside it is written for every session.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Answered(AtomicBool);

impl Circuit {
    pub(super) fn new(shared: Arc<Shared>, backend: Key, rule: Rule) -> Self {
        let breaker = Breaker::new(rule);
        Self {
            shared,
            backend,
            closed: AtomicBool::new(true),
            settled: AtomicBool::new(true),
            held: AtomicBool::new(false),
            at_rest: AtomicBool::new(breaker.is_at_rest()),
            breaker: Mutex::new(breaker),
            tickets: AtomicU64::new(0),
            answered_before: AtomicU64::new(0),
            answered: Answered::default(),
            transitions: Default::default(),
        }
    }

    /// Follows a new rule; what the circuit has seen stays.
    pub(super) fn set_rule(&self, rule: Rule) {
        let mut breaker = self.lock();
        breaker.set_rule(rule);
        self.note(&breaker, None);
    }

    /// The state now. An open time that is over shows as half open.
    pub fn state(&self, now: Instant) -> State {
        if self.settled.load(Relaxed) { State::Closed } else { self.follow_time(now).state() }
    }

    /// Whether a session would be let through now.
    pub(super) fn admits(&self, now: Instant) -> bool {
        self.settled.load(Relaxed) || self.follow_time(now).admits(now)
    }

    /// Lets one session of this client through, or none.
    pub(super) fn claim(&self, client: ClientKey, now: Instant) -> Option<Ticket> {
        if self.is_at_rest() {
            return Some(self.ticket_at_rest());
        }
        let mut breaker = self.follow_time(now);
        self.reserve_ticket(&mut breaker);
        breaker.claim_for(client, now)
    }

    /// Lets a session through whatever the state.
    pub(super) fn claim_anyway(&self, client: ClientKey, now: Instant) -> Ticket {
        if self.is_at_rest() {
            return self.ticket_at_rest();
        }
        let mut breaker = self.follow_time(now);
        self.reserve_ticket(&mut breaker);
        breaker.claim_anyway(client, now)
    }

    /// Notes that the backend has sent a session bytes.
    pub(super) fn note_answer(&self) {
        if !self.answered.0.load(Relaxed) {
            self.answered.0.store(true, Relaxed);
        }
    }

    /// The backend has sent a session its first byte. Whether that has closed the circuit.
    pub(super) fn succeeded(&self, ticket: Ticket, now: Instant) -> bool {
        self.note_answer();
        if self.is_at_rest() {
            return false;
        }
        let mut breaker = self.lock();
        let transition = breaker.on_success(ticket, now);
        self.held.store(false, Relaxed);
        self.note(&breaker, transition);
        transition.is_some()
    }

    /// The backend failed a session, in a way that the rule may leave out; `None` is one that it may not.
    pub(super) fn failed(&self, ticket: Ticket, kind: Option<Kind>, now: Instant) {
        let mut breaker = self.lock();
        if !kind.is_none_or(|kind| breaker.rule().counts.has(kind)) {
            return breaker.on_neutral(ticket, now);
        }
        let failed = breaker.on_failure(ticket, now, fastrand::f64(), || self.may_open());
        self.follow_failure(&breaker, failed);
    }

    /// The backend failed a session, in a way that its client may have caused.
    pub(super) fn suspected(&self, ticket: Ticket, kind: Kind, client: ClientKey, now: Instant) {
        let mut breaker = self.lock();
        if !breaker.rule().counts.has(kind) {
            return breaker.on_neutral(ticket, now);
        }
        let suspicion = Suspicion { client, waited: kind == Kind::Timeout };
        let failed = breaker.on_suspicion(ticket, suspicion, now, fastrand::f64(), || self.may_open());
        self.follow_failure(&breaker, failed);
    }

    /// When it is half open, and how often it has opened; `None` while it is closed.
    pub(super) fn outage(&self) -> Option<(Instant, u32)> {
        if self.is_closed() { None } else { self.lock().outage() }
    }

    /// Goes on with what another process has known, if as many of the pool may be out.
    pub(super) fn resume(&self, (until, openings): (Instant, u32), now: Instant) {
        let mut breaker = self.lock();
        if self.may_open() {
            // No transition of this process: it was told and counted when it came.
            breaker.resume(until, openings, now);
        }
        self.note(&breaker, None);
    }

    /// Closes the circuit on better evidence than a session's. Whether it was not closed.
    pub(super) fn heal(&self, now: Instant) -> bool {
        self.held.store(false, Relaxed);
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
        self.closed.load(Relaxed)
    }

    /// Whether it would be open if fewer of the pool were out.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Relaxed)
    }

    /// What it would be open for is over.
    pub(super) fn release_hold(&self) {
        self.held.store(false, Relaxed);
    }

    /// A session has ended without proof either way.
    pub(super) fn undecided(&self, ticket: Ticket, now: impl FnOnce() -> Instant) {
        // A closed circuit has no probes.
        if !self.is_closed() {
            self.lock().on_neutral(ticket, now());
        }
    }

    /// How often this state was entered.
    pub fn transitions(&self, to: State) -> u64 {
        self.transitions[to as usize].load(Relaxed)
    }

    fn is_at_rest(&self) -> bool {
        self.at_rest.load(Relaxed)
    }

    /// Leave for a session while the breaker is at rest.
    fn ticket_at_rest(&self) -> Ticket {
        let has_answered = self.take_answer();
        let ticket = self.tickets.fetch_add(1, Relaxed);
        if has_answered {
            self.answered_before.fetch_max(ticket, Relaxed);
        }
        Ticket::numbered(ticket)
    }

    /// Has the breaker's next ticket be one that nobody else has.
    fn reserve_ticket(&self, breaker: &mut Breaker) {
        breaker.catch_up(self.tickets.fetch_add(1, Relaxed), 0);
    }

    /// Whether the backend has sent anybody a byte since this was asked last.
    fn take_answer(&self) -> bool {
        self.answered.0.load(Relaxed) && self.answered.0.swap(false, Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        // A breaker's methods keep no promise half-way, so a panic in one leaves nothing worse than a lost report.
        let mut breaker = self.breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        breaker.catch_up(self.tickets.load(Relaxed), self.answered_before.load(Relaxed));
        if self.take_answer() {
            breaker.on_answer();
        }
        breaker
    }

    /// The breaker, as it is once time has acted.
    fn follow_time(&self, now: Instant) -> MutexGuard<'_, Breaker> {
        let mut breaker = self.lock();
        let transition = breaker.poll(now);
        let failed = breaker.poll_evidence(now, fastrand::f64(), || self.may_open());
        self.note(&breaker, transition);
        self.follow_failure(&breaker, failed);
        breaker
    }

    /// Whether one more of the pool may be out, with this one counted among those that are.
    fn may_open(&self) -> bool {
        self.closed.store(false, Relaxed);
        let may = self.shared.may_be_out();
        self.closed.store(!may, Relaxed);
        may
    }

    fn follow_failure(&self, breaker: &Breaker, failed: Failed) {
        match failed {
            Failed::Opened(transition) => self.note(breaker, Some(transition)),
            Failed::Noted => self.note(breaker, None),
            Failed::HeldClosed => {
                self.note(breaker, None);
                if !self.held.swap(true, Relaxed) {
                    self.shared.log_held(&self.backend, "its circuit would open");
                }
            }
        }
    }

    /// Called with the lock held, so that each change is counted and logged once and in order.
    fn note(&self, breaker: &Breaker, transition: Option<Transition>) {
        self.closed.store(breaker.state() == State::Closed, Relaxed);
        self.settled.store(breaker.is_settled(), Relaxed);
        self.at_rest.store(breaker.is_at_rest(), Relaxed);
        let Some(transition) = transition else { return };
        self.held.store(false, Relaxed);
        self.transitions[transition.to as usize].fetch_add(1, Relaxed);
        let (pool, backend) = (self.shared.name(), &self.backend);
        match transition.to {
            State::Closed => tracing::info!(%pool, %backend, "circuit closed: the backend answers again"),
            State::Open => {
                let open_for = telemetry::shown(transition.open_for.unwrap_or_default());
                let clients = Some(transition.clients).filter(|&clients| clients > 0);
                tracing::warn!(%pool, %backend, %open_for, clients, "circuit opened: the backend is left alone");
            }
            State::HalfOpen => tracing::info!(%pool, %backend, "circuit half open: trying the backend"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::pool::breaker::Counted;

    fn circuit() -> Arc<Circuit> {
        let rule = Rule {
            failures: NonZeroU32::new(2).unwrap(),
            open_for: Duration::from_secs(30),
            max_open_for: Duration::from_secs(300),
            probes: NonZeroU32::MIN,
            failure_rate: None,
            counts: Counted::ALL,
        };
        let pool = crate::pool::tests::pool(&crate::pool::tests::plain(&["127.0.0.1:1"]), None);
        let (shared, key) = (Arc::clone(&pool.shared), pool.members()[0].backend.key().clone());
        // The pool is gone then: nothing keeps the circuit from opening.
        Arc::new(Circuit::new(shared, key, rule))
    }

    fn client(number: u64) -> ClientKey {
        ClientKey::Word(number)
    }

    #[test]
    fn while_nothing_has_failed_nobody_takes_the_lock() {
        let (circuit, now) = (circuit(), Instant::now());
        let (done, is_done) = mpsc::channel();
        let held = circuit.lock();
        let other = Arc::clone(&circuit);
        let sessions = std::thread::spawn(move || {
            for number in 0..100 {
                assert!(other.admits(now) && other.state(now) == State::Closed);
                let ticket = other.claim(client(number), now).unwrap();
                other.note_answer();
                other.succeeded(ticket, now);
                other.undecided(other.claim_anyway(client(number), now), || panic!("there are no probes"));
            }
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_secs(10)).expect("it waits for the lock");
        drop(held);
        sessions.join().unwrap();
    }

    #[test]
    fn an_answer_while_it_is_at_rest_voids_what_happens_to_older_sessions() {
        let (circuit, now) = (circuit(), Instant::now());
        let claim = |number| circuit.claim(client(number), now).unwrap();
        let older = [1, 2, 3].map(claim);
        circuit.note_answer();
        let newer = [4, 5].map(claim);
        for (number, ticket) in older.into_iter().enumerate() {
            circuit.suspected(ticket, Kind::Timeout, client(number as u64), now);
        }
        assert!(circuit.is_at_rest());
        circuit.suspected(newer[0], Kind::Timeout, client(4), now);
        circuit.suspected(newer[1], Kind::Timeout, client(5), now);
        assert_eq!(circuit.state(now), State::Open);
        assert_eq!(circuit.transitions(State::Open), 1);
    }

    #[test]
    fn what_the_rule_does_not_count_gives_its_probe_back() {
        let (circuit, now) = (circuit(), Instant::now());
        for _ in 0..2 {
            circuit.failed(circuit.claim(client(1), now).unwrap(), Some(Kind::Connect), now);
        }
        let later = now + Duration::from_secs(30);
        let rule = Rule { counts: Counted::new(&[]), ..*circuit.lock().rule() };
        circuit.set_rule(rule);
        assert_eq!(circuit.state(later), State::HalfOpen);
        for kind in Kind::ALL {
            circuit.failed(circuit.claim(client(1), later).unwrap(), Some(kind), later);
            circuit.suspected(circuit.claim(client(2), later).unwrap(), kind, client(2), later);
        }
        assert_eq!(circuit.state(later), State::HalfOpen);
        circuit.failed(circuit.claim(client(3), later).unwrap(), None, later);
        assert_eq!(circuit.state(later), State::Open, "answers of `status` always count");
    }
}
