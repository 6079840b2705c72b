use std::cell::Cell;

use proptest::prelude::*;

use super::least_loaded::LeastLoaded;
use super::round_robin::RoundRobin;
use super::{Balancer, Candidate, FULL_RAMP, Field, Strategy as Choice};
use crate::net::client::ClientKey;

mod by_chance;
mod by_client;
mod warming;

const PICKS: u32 = 10_000;

/// A field in which each question has a closure.
struct Fielded<S, E> {
    sessions: S,
    eligible: E,
}

impl<S: Fn(usize) -> u32, E: Fn(usize) -> bool> Field for Fielded<S, E> {
    fn sessions(&self, place: usize) -> u32 {
        (self.sessions)(place)
    }

    fn players(&self, _: usize) -> Option<u32> {
        None
    }

    fn ramp(&self, _: usize) -> u32 {
        FULL_RAMP
    }

    fn is_eligible(&self, place: usize) -> bool {
        (self.eligible)(place)
    }
}

fn field<S: Fn(usize) -> u32, E: Fn(usize) -> bool>(sessions: S, eligible: E) -> Fielded<S, E> {
    Fielded { sessions, eligible }
}

/// Idle candidates.
fn idle<E: Fn(usize) -> bool>(eligible: E) -> Fielded<fn(usize) -> u32, E> {
    Fielded { sessions: |_| 0, eligible }
}

fn least(balancer: &LeastLoaded, field: &impl Field) -> Option<usize> {
    balancer.pick(field, |place| field.sessions(place))
}

fn everyone(_: usize) -> bool {
    true
}

/// Candidates called `a0`, `a1` and so on.
fn balancer(strategy: Choice, weights: &[u16]) -> Balancer {
    let labels: Vec<_> = (0..weights.len()).map(|place| format!("a{place}")).collect();
    let candidates: Vec<_> = weights.iter().zip(&labels).map(|(&weight, label)| Candidate { weight, label }).collect();
    Balancer::new(strategy, &candidates)
}

fn client(number: u32) -> ClientKey {
    ClientKey::of(std::net::Ipv4Addr::from(0x0a00_0000 + number).into())
}

/// Chance that is the same in every run.
fn chance(seed: u64) -> impl FnMut() -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    move || random.u64(..)
}

/// The first `picks` of round robin as letters: `a` is the first candidate.
fn letters(balancer: &mut RoundRobin, picks: usize, eligible: &str) -> String {
    let picked = (0..picks).map(|_| balancer.pick(&idle(|index| eligible.contains(letter(index)))));
    picked.map(|index| index.map_or('-', letter)).collect()
}

fn letter(index: usize) -> char {
    char::from(b'a' + u8::try_from(index).unwrap())
}

/// How often each candidate was chosen in [`PICKS`] of round robin.
fn turns(balancer: &mut RoundRobin, eligible: &[bool]) -> Vec<u32> {
    let mut counts = vec![0; eligible.len()];
    for _ in 0..PICKS {
        counts[balancer.pick(&idle(|index| eligible[index])).unwrap()] += 1;
    }
    counts
}

/// How many sessions each candidate has after [`PICKS`] sessions that stay.
fn sessions(balancer: &LeastLoaded, eligible: &[bool]) -> Vec<u32> {
    let mut counts = vec![0; eligible.len()];
    for _ in 0..PICKS {
        let index = least(balancer, &field(|index| counts[index], |index| eligible[index])).unwrap();
        counts[index] += 1;
    }
    counts
}

/// Whether each count is within 1 % of its share by weight among the eligible, give or take the pick that may be next.
fn holds(counts: &[u32], weights: &[u16], eligible: &[bool]) -> bool {
    let weight = |index: usize| {
        if eligible[index] { f64::from(weights[index]) } else { 0.0 }
    };
    let total: f64 = (0..weights.len()).map(weight).sum();
    counts.iter().enumerate().all(|(index, &count)| {
        let share = f64::from(PICKS) * weight(index) / total;
        (f64::from(count) - share).abs() <= share * 0.01 + 1.0 && (weight(index) > 0.0 || count == 0)
    })
}

#[test]
fn a_balancer_follows_its_strategy() {
    let busy = |index: usize| if index == 1 { 0 } else { 9 };
    for (strategy, expected) in [(Choice::LeastConnections, [1, 1, 1]), (Choice::RoundRobin, [0, 1, 2])] {
        let balancer = balancer(strategy, &[1; 3]);
        let pick = |eligible: fn(usize) -> bool| balancer.pick(&field(busy, eligible), client(1), chance(1));
        assert_eq!(expected.map(|_| pick(everyone).unwrap()), expected);
        assert_eq!(pick(|_| false), None);
    }
}

#[test]
fn round_robin_keeps_the_files_order_and_spreads_weights() {
    let cases: [(&[u16], &str); 8] = [
        (&[1], "aaa"),
        (&[1, 1, 1], "abcabcabc"),
        (&[7, 7, 7], "abcabcabc"),
        (&[5, 1, 1], "aabaacaaabaaca"),
        (&[1, 1, 5], "acbcccc"),
        (&[2, 1], "aabaab"),
        (&[1, 0, 1], "acac"),
        (&[0, 0], "--"),
    ];
    for (weights, expected) in cases {
        assert_eq!(letters(&mut RoundRobin::new(weights), expected.len(), "abc"), expected, "{weights:?}");
    }
}

#[test]
fn round_robin_passes_over_the_ineligible() {
    let mut balancer = RoundRobin::new(&[1, 1, 1, 1]);
    assert_eq!(letters(&mut balancer, 8, "abcd"), "abcdabcd");
    assert_eq!(letters(&mut balancer, 7, "acd"), "acdacda");
    assert_eq!(letters(&mut balancer, 4, "b"), "bbbb");
}

#[test]
fn round_robin_makes_up_for_nothing_when_one_returns() {
    let mut balancer = RoundRobin::new(&[1, 2, 1]);
    for _ in 0..PICKS {
        balancer.pick(&idle(|index| index != 1)).unwrap();
    }
    let after = letters(&mut balancer, 8, "abc");
    assert_eq!((after[..4].matches('b').count(), after[4..].matches('b').count()), (2, 2), "{after}");
}

#[test]
fn round_robin_loses_no_turn_while_none_is_eligible() {
    let mut balancer = RoundRobin::new(&[1, 1, 1]);
    assert_eq!(letters(&mut balancer, 1, "abc"), "a");
    assert_eq!(letters(&mut balancer, 100, ""), "-".repeat(100));
    let asked = Cell::new(0);
    assert_eq!(
        balancer.pick(&idle(|_| asked.replace(asked.get() + 1) == 0)),
        None,
        "the one there was has gone meanwhile"
    );
    assert_eq!(letters(&mut balancer, 3, "abc"), "bca");
}

#[test]
fn round_robin_asks_each_at_most_twice() {
    // The light one alone is eligible: 65,534 turns of the heavy ones lie between its own.
    let mut balancer = RoundRobin::new(&[u16::MAX, u16::MAX, 1]);
    for _ in 0..100 {
        let asked = Cell::new(0);
        let picked = balancer.pick(&idle(|index| {
            asked.set(asked.get() + 1);
            index == 2
        }));
        assert_eq!(picked, Some(2));
        assert!(asked.get() <= 6, "asked {} times", asked.get());
    }
}

#[test]
fn least_connections_weighs_one_session_more() {
    // Weights, sessions, who is next.
    let cases: [(&[u16], &[u32], Option<usize>); 8] = [
        (&[1, 1, 1], &[2, 1, 3], Some(1)),
        (&[1, 2], &[0, 0], Some(1)),
        (&[1, 2], &[1, 2], Some(1)),
        (&[1, 2], &[0, 2], Some(0)),
        (&[0, 1], &[0, 100], Some(1)),
        (&[0, 0], &[0, 0], None),
        (&[], &[], None),
        (&[1, u16::MAX], &[u32::MAX, u32::MAX], Some(1)),
    ];
    for (weights, counts, expected) in cases {
        let balancer = LeastLoaded::new(weights);
        assert_eq!(least(&balancer, &field(|index| counts[index], everyone)), expected, "{weights:?} {counts:?}");
    }
}

#[test]
fn least_connections_lets_equals_take_turns() {
    // Sessions that end at once, beside candidates that are busier throughout.
    let cases: [(&[u32], [usize; 6]); 3] = [
        (&[0, 0, 0], [0, 1, 2, 0, 1, 2]),
        (&[0, 0, 9, 9, 9], [0, 1, 0, 1, 0, 1]),
        (&[9, 0, 9, 9, 0], [1, 4, 1, 4, 1, 4]),
    ];
    for (counts, expected) in cases {
        let balancer = LeastLoaded::new(&vec![1; counts.len()]);
        let picked = expected.map(|_| least(&balancer, &field(|index| counts[index], everyone)).unwrap());
        assert_eq!(picked, expected, "{counts:?}");
    }
}

#[test]
fn least_connections_asks_only_who_could_win() {
    let balancer = LeastLoaded::new(&[1; 100]);
    let asked = Cell::new(0);
    let picked = least(&balancer, &field(|index| u32::from(index != 50), |_| asked.replace(asked.get() + 1) < 100));
    assert_eq!((picked, asked.get()), (Some(50), 2));
}

/// Weights (one in five is 0), who is eligible, and at least one who is both.
fn candidates() -> impl Strategy<Value = (Vec<u16>, Vec<bool>)> {
    let weight = prop_oneof![2 => Just(0), 4 => 1..5u16, 3 => 1..200u16, 1 => 1..=u16::MAX];
    let candidate = (weight, prop::bool::weighted(0.7));
    let candidates = prop::collection::vec(candidate, 1..20).prop_map(|candidates| candidates.into_iter().unzip());
    candidates.prop_filter("someone is left", |(weights, eligible): &(Vec<u16>, Vec<bool>)| {
        weights.iter().zip(eligible).any(|(&weight, &eligible)| weight > 0 && eligible)
    })
}

proptest! {
    #[test]
    fn weights_hold_in_round_robin((weights, _) in candidates()) {
        let all = vec![true; weights.len()];
        let counts = turns(&mut RoundRobin::new(&weights), &all);
        prop_assert!(holds(&counts, &weights, &all), "{:?}", counts);
    }

    #[test]
    fn weights_hold_among_the_eligible_in_round_robin((weights, eligible) in candidates(), before in 0..1000usize) {
        let mut balancer = RoundRobin::new(&weights);
        for _ in 0..before {
            balancer.pick(&idle(everyone));
        }
        let counts = turns(&mut balancer, &eligible);
        prop_assert!(holds(&counts, &weights, &eligible), "{:?}", counts);
    }

    #[test]
    fn weights_hold_in_least_connections((weights, eligible) in candidates()) {
        let counts = sessions(&LeastLoaded::new(&weights), &eligible);
        prop_assert!(holds(&counts, &weights, &eligible), "{:?}", counts);
    }

}

proptest! {
    // Each makes a table of 65,537 slots.
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn never_one_who_may_not_and_none_only_if_there_is_none(
        weights in prop::collection::vec(0..3u16, 0..12),
        eligible in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.2), 12), 40),
        counts in prop::collection::vec(0..4u32, 12),
        seed in any::<u64>(),
    ) {
        let mut chance = chance(seed);
        for strategy in Choice::ALL {
            let balancer = balancer(strategy, &weights);
            for (number, eligible) in (0..).zip(&eligible) {
                let may = |index: usize| eligible[index] && weights[index] > 0;
                let anyone = (0..weights.len()).any(may);
                let field = field(|index| counts[index], |index| eligible[index]);
                let picked = balancer.pick(&field, client(number), &mut chance);
                prop_assert_eq!(picked.is_some(), anyone, "{:?}", strategy);
                prop_assert!(picked.is_none_or(may), "{:?}", strategy);
            }
        }
    }
}
