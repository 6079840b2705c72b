//! Whatever happens, in whatever order, the circuit keeps its word.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Pass(Duration),
    Poll,
    Claim,
    Succeed(Index),
    Fail(Index, f64),
    EndNeutral(Index),
    /// A failure that this client may have caused; whether it has waited.
    Suspect(Index, u64, bool),
    /// A byte to somebody.
    Answer,
    /// Time may have made evidence weigh enough.
    Look,
    Heal,
}

fn event() -> impl Strategy<Value = Event> {
    let ticket = any::<Index>;
    prop_oneof![
        4 => (0..40u64).prop_map(|seconds| Event::Pass(Duration::from_secs(seconds))),
        4 => Just(Event::Poll),
        8 => Just(Event::Claim),
        2 => ticket().prop_map(Event::Succeed),
        6 => (ticket(), 0.0..=1.0).prop_map(|(ticket, jitter)| Event::Fail(ticket, jitter)),
        2 => ticket().prop_map(Event::EndNeutral),
        6 => (ticket(), 0..6u64, any::<bool>())
            .prop_map(|(ticket, client, waited)| Event::Suspect(ticket, client, waited)),
        1 => Just(Event::Answer),
        3 => Just(Event::Look),
        1 => Just(Event::Heal),
    ]
}

/// A breaker with all the tickets it ever gave, which the events may give back late, twice or never.
struct World {
    breaker: Breaker,
    now: Instant,
    tickets: Vec<Ticket>,
    /// Probes of the present half-open state that have not ended: ticket and when it was claimed.
    probes: Vec<(Ticket, Instant)>,
}

impl World {
    fn apply(&mut self, event: &Event) -> Option<Transition> {
        let ticket = |index: &Index| (!self.tickets.is_empty()).then(|| *index.get(&self.tickets));
        match event {
            Event::Pass(time) => {
                self.now += *time;
                None
            }
            Event::Poll => self.breaker.poll(self.now),
            Event::Claim => {
                self.claim();
                None
            }
            Event::Succeed(index) => ticket(index).and_then(|ticket| self.breaker.on_success(ticket, self.now)),
            Event::Fail(index, jitter) => ticket(index).and_then(|ticket| self.breaker.fail(ticket, self.now, *jitter)),
            Event::EndNeutral(index) => {
                let ended = ticket(index)?;
                self.breaker.on_neutral(ended, self.now);
                self.probes.retain(|(probe, _)| *probe != ended);
                None
            }
            Event::Suspect(index, client, waited) => {
                let failed = ticket(index)?;
                let suspicion = Suspicion { client: ClientKey::Word(*client), waited: *waited };
                self.probes.retain(|(probe, _)| *probe != failed);
                opened(self.breaker.on_suspicion(failed, suspicion, self.now, 0.5, || true))
            }
            Event::Answer => {
                self.breaker.on_answer();
                None
            }
            Event::Look => opened(self.breaker.poll_evidence(self.now, 0.5, || true)),
            Event::Heal => self.breaker.heal(self.now),
        }
    }

    fn claim(&mut self) {
        let admitted = self.breaker.admits(self.now);
        let ticket = self.breaker.claim(self.now);
        assert_eq!(ticket.is_some(), admitted, "claim and admits agree");
        assert!(ticket.is_none() || self.breaker.state() != State::Open);
        if let Some(ticket) = ticket {
            assert!(!self.tickets.contains(&ticket), "no ticket twice");
            self.tickets.push(ticket);
            if self.breaker.state() == State::HalfOpen {
                self.probes.push((ticket, self.now));
            }
        }
    }

    fn unexpired_probes(&self) -> usize {
        self.probes.iter().filter(|(_, claimed_at)| self.now < *claimed_at + PROBE_PATIENCE).count()
    }
}

fn opened(failed: Failed) -> Option<Transition> {
    match failed {
        Failed::Opened(transition) => Some(transition),
        Failed::Noted => None,
        Failed::HeldClosed => panic!("it may open"),
    }
}

fn is_possible(transition: Transition) -> bool {
    let Transition { from, to, open_for, out_for, clients: _ } = transition;
    match (from, to) {
        (State::Closed, State::Open) => open_for == Some(OPEN_FOR) && out_for.is_none(),
        (State::HalfOpen, State::Open) => {
            open_for >= Some(OPEN_FOR * 2) && open_for <= Some(MAX_OPEN_FOR) && out_for.is_none()
        }
        (State::Open, State::HalfOpen) => open_for.is_none() && out_for.is_none(),
        (State::Open | State::HalfOpen, State::Closed) => open_for.is_none() && out_for.is_some(),
        _ => false,
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_circuit_keeps_its_word(
        probes in 1..4u32,
        failures in 1..4u32,
        events in prop::collection::vec(event(), 1..300),
    ) {
        let breaker = Breaker::new(rule(failures, probes));
        let mut world = World { breaker, now: Instant::now(), tickets: vec![], probes: vec![] };
        for event in &events {
            let before = world.breaker.state();
            let transition = world.apply(event);
            let after = world.breaker.state();
            match transition {
                None => prop_assert_eq!(before, after),
                Some(transition) => {
                    prop_assert_eq!((before, after), (transition.from, transition.to));
                    prop_assert!(is_possible(transition), "{:?}", transition);
                    world.probes.clear();
                }
            }
            prop_assert!(world.unexpired_probes() <= probes as usize);
            prop_assert_eq!(world.breaker.open_until().is_some(), after == State::Open);
            prop_assert_eq!(world.breaker.openings() == 0, after == State::Closed);
        }
    }
}
