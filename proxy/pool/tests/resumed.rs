//! What another process has known of backends.

use super::*;
use crate::pool::breaker::State;
use crate::pool::health::Verdict;

const RULE: health::Rule = health::Rule { rise: NonZeroU32::new(2).unwrap(), fall: NonZeroU32::MIN };

#[test]
fn an_open_circuit_goes_on_where_it_was() {
    let now = Instant::now();
    let at = |seconds| now + Duration::from_secs(seconds);
    let first = pool(&plain(&[A, B]), None);
    open(&first, 0, now);
    let outage = first.members()[0].backend.outage();
    assert_eq!((outage, first.members()[1].backend.outage()), (Some((at(30), 1)), None));

    let second = pool(&plain(&[A, B]), None);
    let backend = &second.members()[0].backend;
    backend.resume_outage(outage.unwrap(), at(10));
    assert_eq!((backend.outage(), second.eligible(at(29))), (outage, 1));
    assert_eq!(backend.circuit().transitions(State::Open), 0, "it was counted when it opened");
    assert_eq!(backend.circuit().state(at(30)), State::HalfOpen);
    let probe = Lease::claim(backend, client(), None, false, at(30)).unwrap();
    probe.failed(Failure::ConnectFailed, || None, at(30));
    let (until, openings) = backend.outage().unwrap();
    assert_eq!(openings, 2, "the next opening is longer");
    assert!(until > at(75), "{:?}", until - at(30));
}

#[test]
fn what_a_wrong_clock_says_keeps_nobody_out_for_ever() {
    let now = Instant::now();
    let pool = pool(&plain(&[A]), None);
    let backend = &pool.members()[0].backend;
    backend.resume_outage((now + Duration::from_secs(1_000_000), 7), now);
    assert_eq!(backend.circuit().state(now + Duration::from_secs(300)), State::HalfOpen, "max_open_for");
}

#[test]
fn one_that_was_down_stays_down_until_its_checks_pass_as_often_as_they_must() {
    let now = Instant::now();
    let pool = pool(&plain(&[A, B]), None);
    let backend = &pool.members()[0].backend;
    backend.resume_down();
    assert_eq!((backend.checkup().verdict(), pool.eligible(now)), (Verdict::Down, 1));
    assert_eq!(backend.note_check(Ok(None), RULE, now), None);
    assert_eq!(backend.note_check(Ok(None), RULE, now), Some(Verdict::Up));
    assert_eq!(pool.eligible(now), 2);
}

#[test]
fn no_more_stay_out_than_may() {
    let now = Instant::now();
    let config = model::Pool { max_ejected: model::EjectionLimit::Half, ..plain(&[A, B]) };
    let pool = pool(&config, None);
    pool.members()[0].backend.resume_down();
    pool.members()[1].backend.resume_outage((now + Duration::from_secs(60), 1), now);
    assert_eq!(pool.eligible(now), 1);
    assert_eq!(pool.members()[1].backend.circuit().state(now), State::Closed);
}
