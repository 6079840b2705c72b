use std::num::NonZeroU32;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use super::rule::FOREVER;
use super::*;

mod guarded;
mod properties;
mod suspicion;

const SECOND: Duration = Duration::from_secs(1);
const OPEN_FOR: Duration = Duration::from_secs(30);
const MAX_OPEN_FOR: Duration = Duration::from_secs(100);

fn rule(failures: u32, probes: u32) -> Rule {
    Rule {
        failures: NonZeroU32::new(failures).unwrap(),
        open_for: OPEN_FOR,
        max_open_for: MAX_OPEN_FOR,
        probes: NonZeroU32::new(probes).unwrap(),
        failure_rate: None,
        counts: Counted::ALL,
    }
}

impl Breaker {
    /// Leave for a client that was never there before.
    fn claim(&mut self, now: Instant) -> Option<Ticket> {
        self.claim_for(ClientKey::Word(self.next_ticket), now)
    }

    /// A failure, where nothing keeps the circuit from opening.
    fn fail(&mut self, ticket: Ticket, now: Instant, jitter: f64) -> Option<Transition> {
        match self.on_failure(ticket, now, jitter, || true) {
            Failed::Opened(transition) => Some(transition),
            Failed::Noted => None,
            Failed::HeldClosed => panic!("it may open"),
        }
    }
}

/// A breaker that opened at the returned instant, for [`OPEN_FOR`].
fn opened(probes: u32) -> (Breaker, Instant) {
    let (mut breaker, now) = (Breaker::new(rule(1, probes)), Instant::now());
    let ticket = breaker.claim(now).unwrap();
    breaker.fail(ticket, now, 0.0).unwrap();
    (breaker, now)
}

/// A breaker that became half open at the returned instant.
fn half_opened(probes: u32) -> (Breaker, Instant) {
    let (mut breaker, opened_at) = opened(probes);
    let now = opened_at + OPEN_FOR;
    breaker.poll(now).unwrap();
    (breaker, now)
}

/// Opens a half open breaker again and waits for its end. Returns how long that was.
fn reopen(breaker: &mut Breaker, now: &mut Instant, jitter: f64) -> Duration {
    let probe = breaker.claim(*now).unwrap();
    let open_for = breaker.fail(probe, *now, jitter).unwrap().open_for.unwrap();
    *now += open_for;
    breaker.poll(*now).unwrap();
    open_for
}

#[test]
fn a_new_circuit_is_closed_and_admits_any_number() {
    let (mut breaker, now) = (Breaker::new(rule(5, 1)), Instant::now());
    assert_eq!(breaker.state(), State::Closed);
    assert!((0..1000).all(|_| breaker.admits(now) && breaker.claim(now).is_some()));
    assert_eq!((breaker.openings(), breaker.open_until()), (0, None));
}

#[test]
fn states_have_the_words_of_the_metrics() {
    let words = [State::Closed, State::Open, State::HalfOpen].map(|state| state.to_string());
    assert_eq!(words, ["closed", "open", "half_open"]);
}

#[test]
fn consecutive_failures_open() {
    // F: failure, S: success, N: neutral; with the state after the last.
    let cases = [
        ("FF", State::Closed),
        ("FFF", State::Open),
        ("FFSF", State::Closed),
        ("FFSFF", State::Closed),
        ("FFSFFF", State::Open),
        ("FFNF", State::Open),
    ];
    for (events, expected) in cases {
        let (mut breaker, now) = (Breaker::new(rule(3, 1)), Instant::now());
        for event in events.chars() {
            let ticket = breaker.claim(now).unwrap();
            match event {
                'F' => _ = breaker.fail(ticket, now, 0.5),
                'S' => assert_eq!(breaker.on_success(ticket, now), None),
                _ => breaker.on_neutral(ticket, now),
            }
        }
        assert_eq!(breaker.state(), expected, "{events}");
    }
}

#[test]
fn a_first_opening_lasts_as_the_rule_says_whatever_the_jitter() {
    let (mut breaker, now) = (Breaker::new(rule(1, 1)), Instant::now());
    let ticket = breaker.claim(now).unwrap();
    let transition = breaker.fail(ticket, now, 1.0).unwrap();
    assert_eq!((transition.from, transition.to), (State::Closed, State::Open));
    assert_eq!((transition.open_for, transition.out_for), (Some(OPEN_FOR), None));
    assert_eq!(breaker.open_until(), Some(now + OPEN_FOR));
    assert_eq!(breaker.openings(), 1);
}

#[test]
fn an_open_circuit_admits_nobody_until_a_poll_says_that_its_time_is_over() {
    let (mut breaker, opened_at) = opened(1);
    let end = opened_at + OPEN_FOR;
    assert_eq!(breaker.poll(end - Duration::from_nanos(1)), None);
    assert!(!breaker.admits(end));
    assert_eq!(breaker.claim(end), None);

    let transition = breaker.poll(end).unwrap();
    assert_eq!((transition.from, transition.to), (State::Open, State::HalfOpen));
    assert_eq!(breaker.poll(end), None, "reported once");
    assert!(breaker.admits(end));
}

#[test]
fn half_open_lets_as_many_through_as_there_are_probes() {
    for probes in [1, 3] {
        let (mut breaker, now) = half_opened(probes);
        assert!((0..probes).all(|_| breaker.claim(now).is_some()));
        assert!(!breaker.admits(now));
        assert_eq!(breaker.claim(now), None, "{probes} probes");
    }
}

#[test]
fn a_neutral_end_returns_the_probe_and_changes_nothing() {
    let (mut breaker, now) = half_opened(1);
    let probe = breaker.claim(now).unwrap();
    breaker.on_neutral(probe, now);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(breaker.claim(now).is_some());

    breaker.on_neutral(probe, now);
    assert_eq!(breaker.claim(now), None, "a second return frees nobody else's slot");
}

#[test]
fn an_undecided_probe_gives_up_its_slot_when_patience_ends() {
    let (mut breaker, now) = half_opened(1);
    breaker.claim(now).unwrap();
    assert!(!breaker.admits(now + PROBE_PATIENCE - Duration::from_nanos(1)));
    assert!(breaker.admits(now + PROBE_PATIENCE));
    breaker.claim(now + PROBE_PATIENCE).unwrap();
    assert!(!breaker.admits(now + PROBE_PATIENCE), "the next one holds it");
}

#[test]
fn a_success_closes_and_ends_the_doubling() {
    let (mut breaker, mut now) = half_opened(1);
    reopen(&mut breaker, &mut now, 0.0);
    let probe = breaker.claim(now).unwrap();
    let transition = breaker.on_success(probe, now + SECOND).unwrap();
    assert_eq!((transition.from, transition.to), (State::HalfOpen, State::Closed));
    assert_eq!((transition.open_for, transition.out_for), (None, Some(OPEN_FOR * 3 + SECOND)));
    assert_eq!(breaker.openings(), 0);

    let ticket = breaker.claim(now).unwrap();
    assert_eq!(breaker.fail(ticket, now, 1.0).unwrap().open_for, Some(OPEN_FOR));
}

#[test]
fn reopenings_double_with_jitter_up_to_the_longest() {
    let cases = [
        (0.0, [SECOND * 60, MAX_OPEN_FOR, MAX_OPEN_FOR]),
        (0.5, [SECOND * 63, MAX_OPEN_FOR, MAX_OPEN_FOR]),
        (1.0, [SECOND * 66, MAX_OPEN_FOR, MAX_OPEN_FOR]),
        (7.0, [SECOND * 66, MAX_OPEN_FOR, MAX_OPEN_FOR]),
        (-7.0, [SECOND * 60, MAX_OPEN_FOR, MAX_OPEN_FOR]),
    ];
    for (jitter, expected) in cases {
        let (mut breaker, mut now) = half_opened(1);
        let openings = [(); 3].map(|()| reopen(&mut breaker, &mut now, jitter));
        assert_eq!(openings, expected, "jitter {jitter}");
        assert_eq!(breaker.openings(), 4);
    }
}

#[test]
fn endless_times_overflow_nothing() {
    let (mut breaker, mut now) = half_opened(1);
    let endless = |open_for| Rule { open_for, max_open_for: Duration::MAX, ..rule(1, 1) };
    breaker.set_rule(endless(Duration::from_nanos(1)));
    let openings = [(); 100].map(|()| reopen(&mut breaker, &mut now, 1.0));
    assert!(openings.is_sorted());

    breaker.set_rule(endless(Duration::MAX));
    let probe = breaker.claim(now).unwrap();
    assert_eq!(breaker.fail(probe, now, 1.0).unwrap().open_for, Some(FOREVER));
}

#[test]
fn what_began_before_the_present_state_proves_nothing() {
    let (mut breaker, now) = (Breaker::new(rule(1, 1)), Instant::now());
    let [opener, early, earlier] = [(); 3].map(|()| breaker.claim(now).unwrap());
    breaker.fail(opener, now, 0.0).unwrap();
    let until = breaker.open_until();
    assert_eq!(breaker.fail(early, now + SECOND * 9, 0.0), None);
    assert_eq!(breaker.on_success(early, now + SECOND * 9), None);
    assert_eq!((breaker.state(), breaker.open_until()), (State::Open, until));

    let now = now + OPEN_FOR;
    breaker.poll(now).unwrap();
    let probe = breaker.claim(now).unwrap();
    assert_eq!(breaker.fail(earlier, now, 0.0), None);
    assert_eq!(breaker.on_success(earlier, now), None);
    breaker.on_neutral(earlier, now);
    assert_eq!(breaker.claim(now), None, "the probe still holds the slot");

    breaker.on_success(probe, now).unwrap();
    assert_eq!(breaker.fail(probe, now, 0.0), None, "nor a probe after the closing");
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn an_expired_probes_word_still_counts() {
    for expected in [State::Closed, State::Open] {
        let (mut breaker, now) = half_opened(1);
        let late = now + PROBE_PATIENCE;
        let expired = breaker.claim(now).unwrap();
        breaker.claim(late).unwrap();
        let transition = match expected {
            State::Closed => breaker.on_success(expired, late),
            _ => breaker.fail(expired, late, 0.0),
        };
        assert_eq!(transition.unwrap().to, expected);
    }
}

#[test]
fn healing_closes_at_once_but_forgives_a_closed_circuit_nothing() {
    let (mut open, opened_at) = opened(1);
    let transition = open.heal(opened_at + SECOND * 5).unwrap();
    assert_eq!((transition.from, transition.to, transition.out_for), (State::Open, State::Closed, Some(SECOND * 5)));
    let (mut half_open, now) = half_opened(1);
    assert_eq!(half_open.heal(now).unwrap().from, State::HalfOpen);

    let mut closed = Breaker::new(rule(2, 1));
    let [first, second] = [(); 2].map(|()| closed.claim(now).unwrap());
    assert_eq!(closed.fail(first, now, 0.0), None);
    assert_eq!(closed.heal(now), None);
    assert!(closed.fail(second, now, 0.0).is_some());
}

#[test]
fn a_reload_changes_the_rule_and_keeps_the_state() {
    let (mut breaker, opened_at) = opened(1);
    let until = breaker.open_until();
    breaker.set_rule(Rule { open_for: SECOND, ..rule(9, 2) });
    assert_eq!((breaker.state(), breaker.open_until()), (State::Open, until));
    breaker.poll(opened_at + OPEN_FOR).unwrap();
    assert!((0..2).all(|_| breaker.claim(opened_at + OPEN_FOR).is_some()));
    breaker.set_rule(rule(9, 1));
    assert!(!breaker.admits(opened_at + OPEN_FOR));

    let (mut closed, now) = (Breaker::new(rule(9, 1)), opened_at);
    let tickets = [(); 3].map(|()| closed.claim(now).unwrap());
    tickets[..2].iter().for_each(|ticket| assert_eq!(closed.fail(*ticket, now, 0.0), None));
    closed.set_rule(rule(2, 1));
    assert!(closed.fail(tickets[2], now, 0.0).is_some());
}

#[test]
fn a_thousand_at_once_get_exactly_the_probes() {
    const THREADS: usize = 16;
    for probes in [1, 3] {
        let (breaker, now) = opened(probes);
        let (breaker, barrier, end) = (Mutex::new(breaker), Barrier::new(THREADS), now + OPEN_FOR);
        let ask = |_| {
            let mut breaker = breaker.lock().unwrap();
            (breaker.poll(end).is_some(), breaker.claim(end).is_some())
        };
        let ask_in_turn = |thread| {
            barrier.wait();
            (thread..1000).step_by(THREADS).map(ask).collect::<Vec<_>>()
        };
        let answers: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || ask_in_turn(thread))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(answers.len(), 1000);
        assert_eq!(answers.iter().filter(|(polled, _)| *polled).count(), 1);
        assert_eq!(answers.iter().filter(|(_, claimed)| *claimed).count(), probes as usize);
    }
}
