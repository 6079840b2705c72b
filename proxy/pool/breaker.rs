//! The circuit breaker of one backend: a pure state machine, without clock, lock, log or chance of its own.
//!
//! The pattern is Michael Nygard's (*Release It!*, 2007): enough failures in a row open the circuit, time makes it half
//! open, and then a few sessions are let through to find out whether it may close. The caller passes `now`, holds the
//! lock, and tells the world about each [`Transition`], which is returned exactly once.
//!
//! What counts as a failure or a success is the session's to know, not decided here. A failure that the client may have
//! caused is a [`Suspicion`]: it counts together with those of other clients, and only while the backend answers nobody.

use std::num::NonZeroU32;

use tokio::time::Instant;

mod evidence;
mod probes;
mod rate;
mod rule;
mod state;
#[cfg(test)]
mod tests;

use self::evidence::Evidence;
pub use self::evidence::Suspicion;
pub use self::probes::PROBE_PATIENCE;
use self::probes::Probes;
use self::rate::Window;
pub use self::rule::{Counted, FailureRate, Kind, Rule};
pub use self::state::{Failed, State, Transition};
use crate::net::client::ClientKey;

/// Clients that must have met a failure of their own possible doing before it opens a half open circuit again: one may be a
/// stranger with rubbish. Less than opens a closed one, as this backend has failed before.
const PROBE_WITNESSES: NonZeroU32 = NonZeroU32::new(2).expect("2 is not 0");

/// The circuit of one backend.
///
/// A session takes a [`Ticket`] with [`claim_for`](Self::claim_for) and gives it back with exactly one of
/// [`on_success`](Self::on_success), [`on_failure`](Self::on_failure), [`on_suspicion`](Self::on_suspicion) and
/// [`on_neutral`](Self::on_neutral). Time alone moves the circuit only in [`poll`](Self::poll) and
/// [`poll_evidence`](Self::poll_evidence): call them before asking anything that depends on the state.
#[derive(Debug)]
pub struct Breaker {
    rule: Rule,
    circuit: Circuit,
    /// The number of the next ticket. At a million a second, `u64` lasts half a million years.
    next_ticket: u64,
    /// Tickets before this one come from an earlier state and prove nothing about the present one.
    first_valid: u64,
    /// Sessions with tickets before this one have lived while the backend answered somebody.
    answered_before: u64,
    /// What a closed circuit has seen lately, where the rule has a failure rate.
    window: Option<Box<Window>>,
}

impl Breaker {
    /// A closed circuit without a past.
    pub fn new(rule: Rule) -> Self {
        Self { rule, circuit: Circuit::closed(), next_ticket: 0, first_valid: 0, answered_before: 0, window: None }
    }

    /// Goes by another rule from now on; the state, and a running opening's end, stay as they are.
    pub fn set_rule(&mut self, rule: Rule) {
        if self.rule.failure_rate != rule.failure_rate {
            self.window = None;
        }
        self.rule = rule;
    }

    /// The rule that it goes by.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Whether it is closed and remembers nothing. A session then needs no leave but a number for its ticket, and a success
    /// changes nothing: see [`catch_up`](Self::catch_up).
    pub fn is_at_rest(&self) -> bool {
        let remembers_nothing =
            matches!(&self.circuit, Circuit::Closed { failures: 0, evidence } if evidence.is_empty());
        remembers_nothing && self.rule.failure_rate.is_none()
    }

    /// Whether it is closed, and time alone changes nothing.
    pub fn is_settled(&self) -> bool {
        matches!(&self.circuit, Circuit::Closed { evidence, .. } if !evidence.is_pending())
    }

    /// Takes note of what happened without it while it was at rest: tickets before `next_ticket` were given, and sessions with
    /// tickets before `answered_before` have lived while the backend answered somebody.
    pub fn catch_up(&mut self, next_ticket: u64, answered_before: u64) {
        self.next_ticket = self.next_ticket.max(next_ticket);
        if answered_before > self.answered_before {
            self.answered_until(answered_before);
        }
    }

    /// The backend has sent a session something, whichever: it is not silent.
    pub fn on_answer(&mut self) {
        self.answered_until(self.next_ticket);
    }

    fn answered_until(&mut self, ticket: u64) {
        self.answered_before = ticket;
        if let Some(evidence) = self.circuit.evidence() {
            evidence.clear();
        }
    }

    /// Where the circuit stands, as of the last [`poll`](Self::poll).
    pub fn state(&self) -> State {
        match self.circuit {
            Circuit::Closed { .. } => State::Closed,
            Circuit::Open { .. } => State::Open,
            Circuit::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// When an open circuit will be half open.
    pub fn open_until(&self) -> Option<Instant> {
        match self.circuit {
            Circuit::Open { until, .. } => Some(until),
            Circuit::Closed { .. } | Circuit::HalfOpen { .. } => None,
        }
    }

    /// How often the circuit has opened since it was last closed; 0 while it is.
    pub fn openings(&self) -> u32 {
        self.circuit.outage().map_or(0, |outage| outage.openings)
    }

    /// What is worth knowing to a process that goes on from here: when the circuit is half open (in the past, if it is now),
    /// and how often it has opened. `None` while it is closed.
    pub fn outage(&self) -> Option<(Instant, u32)> {
        match &self.circuit {
            Circuit::Closed { .. } => None,
            Circuit::Open { outage, until } => Some((*until, outage.openings)),
            Circuit::HalfOpen { outage, .. } => Some((outage.since, outage.openings)),
        }
    }

    /// Goes on with what another process has known; for a circuit without a past.
    pub fn resume(&mut self, until: Instant, openings: u32, now: Instant) -> Transition {
        let outage = Outage { since: now, openings: openings.max(1) };
        let until = until.min(now + self.rule.max_open_for);
        self.enter(Circuit::Open { outage, until })
    }

    /// Lets time act: an opening whose end has come makes the circuit half open. Whoever looks may call this, a pick as
    /// well as a scrape: only the first to come late enough is given the transition.
    pub fn poll(&mut self, now: Instant) -> Option<Transition> {
        let Circuit::Open { outage, until } = self.circuit else {
            return None;
        };
        let (probes, evidence) = (Probes::default(), Evidence::default());
        (until <= now).then(|| self.enter(Circuit::HalfOpen { outage, probes, evidence }))
    }

    /// Lets time act on what clients have met: the silence of the backend may have lasted for long enough.
    pub fn poll_evidence(&mut self, now: Instant, jitter: f64, may_open: impl FnOnce() -> bool) -> Failed {
        let is_pending = self.circuit.evidence().is_some_and(|evidence| evidence.is_pending());
        if is_pending { self.weigh(now, jitter, may_open) } else { Failed::Noted }
    }

    /// Whether [`claim_for`](Self::claim_for) would let a session through. Never while open: an opening whose end has come is
    /// over only once [`poll`](Self::poll) has said so.
    pub fn admits(&self, now: Instant) -> bool {
        match &self.circuit {
            Circuit::Closed { .. } => true,
            Circuit::Open { .. } => false,
            Circuit::HalfOpen { probes, .. } => {
                probes.taken(now) < usize::try_from(self.rule.probes.get()).unwrap_or(usize::MAX)
            }
        }
    }

    /// Takes leave for one session of this client, if the circuit [`admits`](Self::admits) one. Half open, a client whose
    /// probe has proved nothing is refused for a while.
    pub fn claim_for(&mut self, client: ClientKey, now: Instant) -> Option<Ticket> {
        if !self.admits(now) {
            return None;
        }
        if let Circuit::HalfOpen { probes, .. } = &mut self.circuit {
            if !probes.may_have(client, now) {
                return None;
            }
            probes.push(Ticket(self.next_ticket), client, now);
        }
        Some(self.next_ticket())
    }

    /// Takes leave for one session whatever the state: better a backend that may be broken than none. Open, only an answer
    /// means anything: it closes the circuit.
    pub fn claim_anyway(&mut self, client: ClientKey, now: Instant) -> Ticket {
        self.claim_for(client, now).unwrap_or_else(|| self.next_ticket())
    }

    fn next_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    /// The backend answered the session: its past failures are forgiven, and a probe's word closes the circuit.
    pub fn on_success(&mut self, ticket: Ticket, now: Instant) -> Option<Transition> {
        self.on_answer();
        if !self.is_valid(ticket) {
            return None;
        }
        if let Circuit::Closed { failures, .. } = &mut self.circuit {
            *failures = 0;
            self.count(false, now);
        }
        self.heal(now)
    }

    /// The backend failed the session. `jitter`, drawn evenly from 0 to 1, spreads reopenings. `may_open` is asked when a
    /// closed circuit is about to open; where it may not, it stays closed, and asks again with the next failure.
    pub fn on_failure(&mut self, ticket: Ticket, now: Instant, jitter: f64, may_open: impl FnOnce() -> bool) -> Failed {
        if !self.is_valid(ticket) {
            return Failed::Noted;
        }
        match &mut self.circuit {
            Circuit::Closed { failures, .. } => {
                *failures = failures.saturating_add(1);
                if self.count(true, now) { self.open_closed(now, may_open) } else { self.weigh(now, jitter, may_open) }
            }
            Circuit::HalfOpen { outage, .. } => {
                let outage = *outage;
                self.open_again(outage, now, jitter)
            }
            Circuit::Open { .. } => Failed::Noted, // whoever came anyway has proved nothing new
        }
    }

    /// The backend failed the session in a way that the client may have caused. It counts together with those that other
    /// clients have met, unless the backend has answered anybody since the session began.
    pub fn on_suspicion(
        &mut self,
        ticket: Ticket,
        suspicion: Suspicion,
        now: Instant,
        jitter: f64,
        may_open: impl FnOnce() -> bool,
    ) -> Failed {
        if let Circuit::HalfOpen { probes, .. } = &mut self.circuit {
            probes.doubt(ticket, now);
        }
        if !self.is_valid(ticket) || ticket.0 < self.answered_before {
            return Failed::Noted;
        }
        let Some(evidence) = self.circuit.evidence() else { return Failed::Noted };
        evidence.add(suspicion, now);
        self.weigh(now, jitter, may_open)
    }

    /// Opens the circuit if what clients have met is enough for that, together with failures that are certain.
    fn weigh(&mut self, now: Instant, jitter: f64, may_open: impl FnOnce() -> bool) -> Failed {
        match &mut self.circuit {
            Circuit::Closed { failures, evidence } => {
                let (certain, weight) = (*failures, evidence.weight(now));
                let in_a_row = certain.saturating_add(weight) >= self.rule.failures.get()
                    || evidence.weighs(self.rule.failures, now);
                if in_a_row || (weight > 0 && self.passes_rate(weight, now)) {
                    return self.open_closed(now, may_open);
                }
            }
            Circuit::HalfOpen { outage, evidence, .. } => {
                if evidence.weighs(PROBE_WITNESSES.min(self.rule.failures), now) {
                    let outage = *outage;
                    return self.open_again(outage, now, jitter);
                }
            }
            Circuit::Open { .. } => {}
        }
        Failed::Noted
    }

    fn open_closed(&mut self, now: Instant, may_open: impl FnOnce() -> bool) -> Failed {
        if may_open() {
            return self.open(Outage { since: now, openings: 1 }, now, 0.0);
        }
        if let Some(evidence) = self.circuit.evidence() {
            evidence.hold();
        }
        Failed::HeldClosed
    }

    fn open_again(&mut self, outage: Outage, now: Instant, jitter: f64) -> Failed {
        self.open(Outage { openings: outage.openings.saturating_add(1), ..outage }, now, jitter)
    }

    fn open(&mut self, outage: Outage, now: Instant, jitter: f64) -> Failed {
        let open_for = self.rule.open_for_nth(outage.openings, jitter);
        let until = now + open_for;
        let clients = self.circuit.evidence().map_or(0, |evidence| evidence.clients());
        let transition = self.enter(Circuit::Open { outage, until });
        Failed::Opened(Transition { open_for: Some(open_for), clients, ..transition })
    }

    /// Counts a session of a closed circuit; whether too many have failed lately.
    fn count(&mut self, failed: bool, now: Instant) -> bool {
        let Some(rate) = &self.rule.failure_rate else { return false };
        let window = self.window.get_or_insert_with(|| Box::new(Window::new(rate.window, now)));
        window.count(failed, now);
        failed && self.passes_rate(0, now)
    }

    /// Whether too many have failed lately, with so many more.
    fn passes_rate(&mut self, more: u32, now: Instant) -> bool {
        let Some(rate) = &self.rule.failure_rate else { return false };
        let (sessions, failures) = self.window.as_mut().map_or((0, 0), |window| window.sums(now));
        rate.is_passed(sessions + u64::from(more), failures + u64::from(more))
    }

    /// The session ended without proof either way: a probe's slot is free again.
    pub fn on_neutral(&mut self, ticket: Ticket, now: Instant) {
        if let Circuit::HalfOpen { probes, .. } = &mut self.circuit {
            probes.end(ticket, now);
        }
    }

    /// Closes the circuit on better evidence than a session's, such as a passing health check. Failures that a closed
    /// circuit has counted stand: a server may accept the check's connection and still fail every player.
    pub fn heal(&mut self, now: Instant) -> Option<Transition> {
        let out_for = now.saturating_duration_since(self.circuit.outage()?.since);
        let transition = self.enter(Circuit::closed());
        Some(Transition { out_for: Some(out_for), ..transition })
    }

    /// The one place where the circuit changes. What sessions learned before it no longer counts.
    fn enter(&mut self, circuit: Circuit) -> Transition {
        let from = self.state();
        self.circuit = circuit;
        self.first_valid = self.next_ticket;
        self.window = None;
        Transition { from, to: self.state(), open_for: None, clients: 0, out_for: None }
    }

    fn is_valid(&self, ticket: Ticket) -> bool {
        ticket.0 >= self.first_valid
    }
}

/// A session's leave to go to the backend, by which it reports how that went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ticket {
    /// The ticket of this number, for a session that needs no leave.
    pub(super) fn numbered(number: u64) -> Self {
        Self(number)
    }
}

#[derive(Debug)]
enum Circuit {
    Closed { failures: u32, evidence: Evidence },
    Open { outage: Outage, until: Instant },
    HalfOpen { outage: Outage, probes: Probes, evidence: Evidence },
}

impl Circuit {
    fn closed() -> Self {
        Self::Closed { failures: 0, evidence: Evidence::default() }
    }

    fn evidence(&mut self) -> Option<&mut Evidence> {
        match self {
            Self::Closed { evidence, .. } | Self::HalfOpen { evidence, .. } => Some(evidence),
            Self::Open { .. } => None,
        }
    }

    fn outage(&self) -> Option<Outage> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { outage, .. } | Self::HalfOpen { outage, .. } => Some(*outage),
        }
    }
}

/// The time from a first opening to the closing, over all reopenings between.
#[derive(Debug, Clone, Copy)]
struct Outage {
    since: Instant,
    openings: u32,
}
