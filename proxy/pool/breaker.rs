//! The circuit breaker of one backend: a pure state machine, without clock, lock, log or chance of its own.
//!
//! The pattern is Michael Nygard's (*Release It!*, 2007): enough failures in a row open the circuit, time makes it half
//! open, and then a few sessions are let through to find out whether it may close. The caller passes `now`, holds the
//! lock, and tells the world about each [`Transition`], which is returned exactly once.
//!
//! What counts as a failure or a success is the session's to know, not decided here.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

mod rate;
mod rule;
#[cfg(test)]
mod tests;

use self::rate::Window;
pub use self::rule::{FailureRate, Rule};

/// How long a probe may stay undecided before its slot is given to another session, so that a player who connects and
/// says nothing cannot keep a backend out.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// The circuit of one backend.
///
/// A session takes a [`Ticket`] with [`claim`](Self::claim) and gives it back with exactly one of
/// [`on_success`](Self::on_success), [`on_failure`](Self::on_failure) and [`on_neutral`](Self::on_neutral). Time alone
/// moves the circuit only in [`poll`](Self::poll): call it before asking anything that depends on the state.
#[derive(Debug)]
pub struct Breaker {
    rule: Rule,
    circuit: Circuit,
    /// The number of the next ticket. At a million a second, `u64` lasts half a million years.
    next_ticket: u64,
    /// Tickets before this one come from an earlier state and prove nothing about the present one.
    first_valid: u64,
    /// What a closed circuit has seen lately, where the rule has a failure rate.
    window: Option<Box<Window>>,
}

impl Breaker {
    /// A closed circuit without a past.
    pub fn new(rule: Rule) -> Self {
        Self { rule, circuit: Circuit::Closed { failures: 0 }, next_ticket: 0, first_valid: 0, window: None }
    }

    /// Goes by another rule from now on; the state, and a running opening's end, stay as they are.
    pub fn set_rule(&mut self, rule: Rule) {
        if self.rule.failure_rate != rule.failure_rate {
            self.window = None;
        }
        self.rule = rule;
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
        let probes = Vec::new();
        (until <= now).then(|| self.enter(Circuit::HalfOpen { outage, probes }))
    }

    /// Whether [`claim`](Self::claim) would let a session through. Never while open: an opening whose end has come is
    /// over only once [`poll`](Self::poll) has said so.
    pub fn admits(&self, now: Instant) -> bool {
        match &self.circuit {
            Circuit::Closed { .. } => true,
            Circuit::Open { .. } => false,
            Circuit::HalfOpen { probes, .. } => {
                let taken = probes.iter().filter(|probe| probe.holds_slot(now)).count();
                taken < usize::try_from(self.rule.probes.get()).unwrap_or(usize::MAX)
            }
        }
    }

    /// Takes leave for one session, if the circuit [`admits`](Self::admits) one.
    pub fn claim(&mut self, now: Instant) -> Option<Ticket> {
        if !self.admits(now) {
            return None;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        if let Circuit::HalfOpen { probes, .. } = &mut self.circuit {
            probes.retain(|probe| probe.holds_slot(now)); // bounds the list by the rule's `probes`
            probes.push(Probe { ticket, claimed_at: now });
        }
        Some(ticket)
    }

    /// Takes leave for one session whatever the state: better a backend that may be broken than none. Open, only an answer
    /// means anything: it closes the circuit.
    pub fn claim_anyway(&mut self, now: Instant) -> Ticket {
        self.claim(now).unwrap_or_else(|| {
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            ticket
        })
    }

    /// The backend answered the session: its past failures are forgiven, and a probe's word closes the circuit.
    pub fn on_success(&mut self, ticket: Ticket, now: Instant) -> Option<Transition> {
        if !self.is_valid(ticket) {
            return None;
        }
        if let Circuit::Closed { failures } = &mut self.circuit {
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
        let (since, openings) = match &mut self.circuit {
            Circuit::Closed { failures } => {
                *failures = failures.saturating_add(1);
                let in_a_row = *failures >= self.rule.failures.get();
                if !(self.count(true, now) || in_a_row) {
                    return Failed::Noted;
                }
                if !may_open() {
                    return Failed::HeldClosed;
                }
                (now, 1)
            }
            Circuit::HalfOpen { outage, .. } => (outage.since, outage.openings.saturating_add(1)),
            Circuit::Open { .. } => return Failed::Noted, // whoever came anyway has proved nothing new
        };
        let outage = Outage { since, openings };
        let open_for = self.rule.open_for_nth(openings, jitter);
        let until = now + open_for;
        let transition = self.enter(Circuit::Open { outage, until });
        Failed::Opened(Transition { open_for: Some(open_for), ..transition })
    }

    /// Counts a session of a closed circuit; whether too many have failed lately.
    fn count(&mut self, failed: bool, now: Instant) -> bool {
        let Some(rate) = &self.rule.failure_rate else { return false };
        let window = self.window.get_or_insert_with(|| Box::new(Window::new(rate.window, now)));
        window.count(failed, now);
        let (sessions, failures) = window.sums();
        failed && rate.is_passed(sessions, failures)
    }

    /// The session ended without proof either way: a probe's slot is free again.
    pub fn on_neutral(&mut self, ticket: Ticket) {
        if let Circuit::HalfOpen { probes, .. } = &mut self.circuit {
            probes.retain(|probe| probe.ticket != ticket);
        }
    }

    /// Closes the circuit on better evidence than a session's, such as a passing health check. Failures that a closed
    /// circuit has counted stand: a server may accept the check's connection and still fail every player.
    pub fn heal(&mut self, now: Instant) -> Option<Transition> {
        let out_for = now.saturating_duration_since(self.circuit.outage()?.since);
        let transition = self.enter(Circuit::Closed { failures: 0 });
        Some(Transition { out_for: Some(out_for), ..transition })
    }

    /// The one place where the circuit changes. What sessions learned before it no longer counts.
    fn enter(&mut self, circuit: Circuit) -> Transition {
        let from = self.state();
        self.circuit = circuit;
        self.first_valid = self.next_ticket;
        self.window = None;
        Transition { from, to: self.state(), open_for: None, out_for: None }
    }

    fn is_valid(&self, ticket: Ticket) -> bool {
        ticket.0 >= self.first_valid
    }
}

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Traffic flows.
    Closed,
    /// No traffic.
    Open,
    /// A few probes.
    HalfOpen,
}

impl State {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A change of state, to be logged and counted by whoever is given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Where the circuit stood.
    pub from: State,
    /// Where it stands.
    pub to: State,
    /// Of an opening: how long it lasts.
    pub open_for: Option<Duration>,
    /// Of a closing: how long ago the circuit first opened.
    pub out_for: Option<Duration>,
}

/// What a failure has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Nothing yet.
    Noted,
    /// The circuit has opened.
    Opened(Transition),
    /// The circuit would have opened, but may not.
    HeldClosed,
}

/// A session's leave to go to the backend, by which it reports how that went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

#[derive(Debug)]
enum Circuit {
    Closed { failures: u32 },
    Open { outage: Outage, until: Instant },
    HalfOpen { outage: Outage, probes: Vec<Probe> },
}

impl Circuit {
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

#[derive(Debug)]
struct Probe {
    ticket: Ticket,
    claimed_at: Instant,
}

impl Probe {
    fn holds_slot(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.claimed_at) < PROBE_PATIENCE
    }
}
