//! Failures that clients may cause themselves: resets before the first byte, and requests without an answer.

use super::evidence::SILENCE;
use super::*;

fn client(number: u64) -> ClientKey {
    ClientKey::Word(number)
}

fn reset(number: u64) -> Suspicion {
    Suspicion { client: client(number), waited: false }
}

fn timeout(number: u64) -> Suspicion {
    Suspicion { waited: true, ..reset(number) }
}

impl Breaker {
    /// A session of this client that begins now and fails so.
    fn suspect(&mut self, suspicion: Suspicion, now: Instant) -> Failed {
        match self.claim_for(suspicion.client, now) {
            Some(ticket) => self.on_suspicion(ticket, suspicion, now, 0.0, || true),
            None => Failed::Noted,
        }
    }

    fn look(&mut self, now: Instant) -> State {
        self.poll(now);
        self.poll_evidence(now, 0.0, || true);
        self.state()
    }
}

#[test]
fn one_client_opens_nothing_however_often_it_comes() {
    let (mut breaker, start) = (Breaker::new(rule(5, 1)), Instant::now());
    for second in 0..10_000 {
        let now = start + SECOND * second;
        assert_eq!(breaker.suspect(reset(1), now), Failed::Noted);
        assert_eq!(breaker.suspect(timeout(1), now), Failed::Noted);
        assert_eq!(breaker.look(now), State::Closed);
    }
}

#[test]
fn five_clients_without_an_answer_open_it() {
    let (mut breaker, now) = (Breaker::new(rule(5, 1)), Instant::now());
    let tickets = [(); 5].map(|()| breaker.claim(now).unwrap());
    let later = now + SECOND * 30;
    for (number, ticket) in tickets[..4].iter().enumerate() {
        assert_eq!(breaker.on_suspicion(*ticket, timeout(number as u64), later, 0.0, || true), Failed::Noted);
    }
    let fifth = breaker.on_suspicion(tickets[4], timeout(4), later, 0.0, || true);
    assert!(matches!(fifth, Failed::Opened(Transition { from: State::Closed, to: State::Open, clients: 5, .. })));
}

#[test]
fn resets_open_it_once_nobody_was_answered_for_a_while_and_time_alone_does() {
    let (mut breaker, now) = (Breaker::new(rule(5, 1)), Instant::now());
    for number in 0..5 {
        assert_eq!(breaker.suspect(reset(number), now), Failed::Noted);
    }
    assert_eq!(breaker.look(now + SILENCE - Duration::from_nanos(1)), State::Closed);
    assert_eq!(breaker.look(now + SILENCE), State::Open);
}

#[test]
fn a_flood_from_many_clients_opens_nothing_while_somebody_is_answered() {
    let (mut breaker, start) = (Breaker::new(rule(5, 1)), Instant::now());
    for step in 0..1000_u32 {
        let now = start + SILENCE / 4 * step;
        for number in 0..20 {
            breaker.suspect(reset(u64::from(step) * 20 + number), now);
        }
        // The next look finds that a live session got something.
        breaker.on_answer();
        assert_eq!(breaker.look(now), State::Closed);
    }
}

#[test]
fn sessions_that_lived_while_another_was_answered_prove_nothing() {
    let (mut breaker, now) = (Breaker::new(rule(2, 1)), Instant::now());
    let half_packets = [(); 12].map(|()| breaker.claim(now).unwrap());
    breaker.on_answer();
    let later = now + SECOND * 30;
    for (number, ticket) in half_packets.into_iter().enumerate() {
        assert_eq!(breaker.on_suspicion(ticket, timeout(number as u64), later, 0.0, || true), Failed::Noted);
    }
    assert_eq!(breaker.look(later + SECOND * 30), State::Closed);
    assert!(breaker.is_at_rest(), "nothing is remembered of them");
}

#[test]
fn a_success_forgets_what_other_clients_have_met() {
    let (mut breaker, now) = (Breaker::new(rule(3, 1)), Instant::now());
    breaker.suspect(timeout(1), now);
    breaker.suspect(timeout(2), now);
    let ticket = breaker.claim(now).unwrap();
    assert_eq!(breaker.on_success(ticket, now), None);
    assert!(breaker.is_at_rest());
    assert_eq!(breaker.suspect(timeout(3), now), Failed::Noted);
}

#[test]
fn both_sorts_of_failures_count_together() {
    let (mut breaker, now) = (Breaker::new(rule(3, 1)), Instant::now());
    let ticket = breaker.claim(now).unwrap();
    breaker.fail(ticket, now, 0.0);
    breaker.suspect(timeout(1), now);
    assert!(matches!(breaker.suspect(timeout(2), now), Failed::Opened(_)));
}

#[test]
fn an_answer_to_others_forgives_no_connect_that_failed() {
    let (mut breaker, now) = (Breaker::new(rule(2, 1)), Instant::now());
    let tickets = [(); 2].map(|()| breaker.claim(now).unwrap());
    breaker.fail(tickets[0], now, 0.0);
    breaker.on_answer();
    assert!(breaker.fail(tickets[1], now, 0.0).is_some());
}

#[test]
fn a_failure_rate_counts_them_under_the_same_guard() {
    let share = crate::config::scalar::Share::from_percent(50.0).unwrap();
    let failure_rate = FailureRate { share, window: SECOND * 30, min_sessions: NonZeroU32::new(4).unwrap() };
    let rated = Rule { failure_rate: Some(failure_rate), ..rule(1000, 1) };
    let (mut breaker, now) = (Breaker::new(rated), Instant::now());
    for number in 0..100 {
        breaker.suspect(reset(number), now);
    }
    breaker.on_answer();
    assert_eq!(breaker.look(now + SILENCE), State::Closed, "somebody was answered meanwhile");
    for number in 0..4 {
        breaker.suspect(timeout(number), now);
    }
    assert_eq!(breaker.look(now), State::Open);
}

#[test]
fn where_it_may_not_open_it_asks_again_with_the_next_failure_and_not_with_each_look() {
    let (mut breaker, now) = (Breaker::new(rule(2, 1)), Instant::now());
    breaker.suspect(reset(1), now);
    breaker.suspect(reset(2), now);
    let later = now + SILENCE;
    assert_eq!(breaker.poll_evidence(later, 0.0, || false), Failed::HeldClosed);
    assert_eq!(breaker.poll_evidence(later, 0.0, || panic!("nothing is new")), Failed::Noted);
    assert!(matches!(breaker.suspect(reset(1), later), Failed::Opened(_)));
}

#[test]
fn half_open_one_stranger_cannot_open_it_again_but_two_clients_can() {
    let (mut breaker, now) = half_opened(1);
    breaker.set_rule(rule(5, 1));
    let at = |seconds| now + SECOND * seconds;
    for seconds in [0, 10, 20, 30] {
        assert_eq!(breaker.suspect(reset(1), at(seconds)), Failed::Noted);
        assert_eq!(breaker.look(at(seconds)), State::HalfOpen);
    }
    let second = breaker.suspect(reset(2), at(40));
    assert!(matches!(second, Failed::Opened(Transition { from: State::HalfOpen, .. })));
    assert_eq!(breaker.openings(), 2);
}

#[test]
fn half_open_a_hung_server_is_not_closed_without_an_answer() {
    let (mut breaker, now) = half_opened(1);
    for round in 0..100 {
        breaker.on_answer(); // to somebody who has been there for long
        let state = breaker.look(now + SECOND * 1000 * round);
        assert_ne!(state, State::Closed);
        breaker.suspect(timeout(u64::from(round)), now + SECOND * 1000 * round);
    }
}

#[test]
fn a_doubtful_probe_keeps_its_slot_for_a_moment() {
    let (mut breaker, now) = half_opened(1);
    breaker.suspect(reset(1), now);
    assert!(!breaker.admits(now) && !breaker.admits(now + SILENCE - Duration::from_nanos(1)));
    assert!(breaker.admits(now + SILENCE));
}

#[test]
fn a_client_that_held_a_probe_in_vain_leaves_the_next_one_to_others_for_as_long() {
    let (mut breaker, now) = half_opened(1);
    let (stranger, player) = (client(1), client(2));
    breaker.claim_for(stranger, now).unwrap();
    let later = now + PROBE_PATIENCE;
    assert!(breaker.claim_for(stranger, later).is_none());
    let probe = breaker.claim_for(player, later).unwrap();
    breaker.on_neutral(probe, later);
    assert!(breaker.claim_for(stranger, later + PROBE_PATIENCE).is_some(), "alone, it gets one again");

    // Nor by leaving a moment before its time is over.
    let (mut breaker, now) = half_opened(1);
    let probe = breaker.claim_for(stranger, now).unwrap();
    let later = now + PROBE_PATIENCE - Duration::from_millis(1);
    breaker.on_neutral(probe, later);
    assert!(breaker.claim_for(stranger, later).is_none() && breaker.claim_for(player, later).is_some());
}

#[test]
fn tickets_given_while_it_was_at_rest_are_of_their_time() {
    let (mut breaker, now) = (Breaker::new(rule(1, 1)), Instant::now());
    breaker.catch_up(7, 5);
    assert_eq!(breaker.on_suspicion(Ticket(4), timeout(1), now, 0.0, || true), Failed::Noted, "an answer since");
    assert!(matches!(breaker.on_suspicion(Ticket(5), timeout(1), now, 0.0, || true), Failed::Opened(_)));
    assert_eq!(breaker.on_success(Ticket(6), now), None, "given before it opened");
}
