//! Failure rates, circuits that may not open, and sessions that come anyway.

use super::*;
use crate::config::scalar::Share;

fn rated(percent: f64, min_sessions: u32) -> Rule {
    let failure_rate = FailureRate {
        share: Share::from_percent(percent).unwrap(),
        window: SECOND * 30,
        min_sessions: NonZeroU32::new(min_sessions).unwrap(),
    };
    Rule { failure_rate: Some(failure_rate), ..rule(1000, 1) }
}

/// A session each: `+` succeeds, `-` fails. The state after them.
fn after(breaker: &mut Breaker, now: Instant, sessions: &str) -> State {
    for session in sessions.chars() {
        let Some(ticket) = breaker.claim(now) else { break };
        if session == '+' {
            breaker.on_success(ticket, now);
        } else {
            breaker.fail(ticket, now, 0.0);
        }
    }
    breaker.state()
}

#[test]
fn a_failure_rate_opens_at_its_share_and_not_before() {
    let now = Instant::now();
    let mut breaker = Breaker::new(rated(50.0, 4));
    assert_eq!(after(&mut breaker, now, "---"), State::Closed, "three sessions prove nothing");
    assert_eq!(after(&mut breaker, now, "+++++-"), State::Closed, "4 of 9");
    assert_eq!(after(&mut breaker, now, "-"), State::Open, "5 of 10");
    let mut exact = Breaker::new(rated(50.0, 4));
    assert_eq!(after(&mut exact, now, "++--"), State::Open, "2 of 4");
}

#[test]
fn failures_that_are_too_old_do_not_count() {
    let now = Instant::now();
    let mut breaker = Breaker::new(rated(50.0, 4));
    after(&mut breaker, now, "---");
    assert_eq!(after(&mut breaker, now + SECOND * 30, "-++-"), State::Open, "2 of 4");
    let mut breaker = Breaker::new(rated(60.0, 4));
    after(&mut breaker, now, "---");
    assert_eq!(after(&mut breaker, now + SECOND * 30, "-++-"), State::Closed, "5 of 7 would be enough");
}

#[test]
fn a_circuit_that_closes_again_begins_to_count_anew() {
    let (mut breaker, now) = (Breaker::new(rated(50.0, 2)), Instant::now());
    assert_eq!(after(&mut breaker, now, "--"), State::Open);
    breaker.heal(now).unwrap();
    assert_eq!(after(&mut breaker, now, "-"), State::Closed);
    breaker.set_rule(rule(1000, 1));
    assert_eq!(after(&mut breaker, now, "----"), State::Closed, "the rate is off");
}

#[test]
fn a_circuit_that_may_not_open_asks_again_with_each_failure() {
    let (mut breaker, now) = (Breaker::new(rule(2, 1)), Instant::now());
    let tickets = [(); 4].map(|()| breaker.claim(now).unwrap());
    assert_eq!(breaker.on_failure(tickets[0], now, 0.0, || panic!("one failure is not enough")), Failed::Noted);
    assert_eq!(breaker.on_failure(tickets[1], now, 0.0, || false), Failed::HeldClosed);
    assert_eq!(breaker.on_failure(tickets[2], now, 0.0, || false), Failed::HeldClosed);
    assert_eq!(breaker.state(), State::Closed);
    assert!(matches!(breaker.on_failure(tickets[3], now, 0.0, || true), Failed::Opened(_)));
}

#[test]
fn whoever_comes_anyway_can_only_prove_that_it_works() {
    let (mut breaker, now) = opened(1);
    let (failing, leaving, answered) = (
        breaker.claim_anyway(ClientKey::Word(0), now),
        breaker.claim_anyway(ClientKey::Word(0), now),
        breaker.claim_anyway(ClientKey::Word(0), now),
    );
    assert_eq!(breaker.fail(failing, now, 0.0), None);
    breaker.on_neutral(leaving, now);
    assert_eq!((breaker.state(), breaker.openings()), (State::Open, 1));
    assert_eq!(breaker.on_success(answered, now).unwrap().to, State::Closed);

    let (mut breaker, now) = half_opened(1);
    breaker.claim(now).unwrap();
    let beyond = breaker.claim_anyway(ClientKey::Word(0), now);
    assert_eq!(breaker.on_success(beyond, now).unwrap().to, State::Closed);
}
