//! Maglev: who the same clients go to.

use super::*;

const CLIENTS: u32 = 100_000;

/// A balancer for candidates with these labels, in this order.
fn maglev(candidates: &[(String, u16)]) -> Balancer {
    let candidates: Vec<_> = candidates.iter().map(|(label, weight)| Candidate { weight: *weight, label }).collect();
    Balancer::new(Choice::Maglev, &candidates)
}

fn labelled(count: usize) -> Vec<(String, u16)> {
    (0..count).map(|number| (format!("10.0.0.{number}:25565"), 1)).collect()
}

/// Where each client goes, by label.
fn homes(candidates: &[(String, u16)], eligible: impl Fn(usize) -> bool) -> Vec<&str> {
    let (balancer, field) = (maglev(candidates), idle(eligible));
    let home = |number| balancer.pick(&field, client(number), || 0).unwrap();
    (0..CLIENTS).map(|number| candidates[home(number)].0.as_str()).collect()
}

fn moved(before: &[&str], after: &[&str]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}

#[test]
fn clients_are_spread_by_weight() {
    for weights in [&[1_u16; 5][..], &[1; 50], &[5, 3, 2], &[100, 1, 50, 0]] {
        let mut candidates = labelled(weights.len());
        candidates.iter_mut().zip(weights).for_each(|(candidate, &weight)| candidate.1 = weight);
        let homes = homes(&candidates, everyone);
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        for (label, weight) in &candidates {
            let fair = f64::from(*weight) / total;
            let found = homes.iter().filter(|home| *home == label).count() as f64 / f64::from(CLIENTS);
            assert!((found - fair).abs() <= 0.02, "{label} of {weights:?}: {found} for {fair}");
        }
    }
}

#[test]
fn an_even_spread_is_even() {
    let candidates = labelled(10);
    let homes = homes(&candidates, everyone);
    for (label, _) in &candidates {
        let found = homes.iter().filter(|home| *home == label).count() as f64 / f64::from(CLIENTS);
        // Two per cent of its own share, and what chance adds among 100,000 clients: three standard deviations.
        assert!((found - 0.1).abs() <= 0.1 * 0.02 + 0.0029, "{label}: {found}");
    }
}

#[test]
fn one_that_goes_moves_few_others_clients() {
    for count in [5, 10, 50] {
        let before = labelled(count);
        let mut after = before.clone();
        after.remove(count / 2);
        let (before, after) = (homes(&before, everyone), homes(&after, everyone));
        let moved = moved(&before, &after);
        assert!(moved <= 2 * CLIENTS as usize / count, "{count} candidates: {moved} moved");
        assert!(moved >= CLIENTS as usize / count / 2, "{count} candidates: {moved} moved");
    }
}

#[test]
fn the_order_in_the_file_does_not_matter() {
    let mut candidates = labelled(7);
    candidates[3].1 = 5;
    let mut reversed = candidates.clone();
    reversed.reverse();
    assert_eq!(homes(&candidates, everyone), homes(&reversed, everyone));
}

#[test]
fn while_one_is_out_only_its_own_clients_are_elsewhere() {
    let candidates = labelled(9);
    let (before, during) = (homes(&candidates, everyone), homes(&candidates, |place| place != 4));
    let out = candidates[4].0.as_str();
    for (before, during) in before.iter().zip(&during) {
        assert!(*during != out && (before == during || *before == out));
    }
    // They are spread, not handed on to one neighbour.
    for (label, _) in candidates.iter().filter(|(label, _)| label != out) {
        let taken = before.iter().zip(&during).filter(|(before, during)| **before == out && *during == label).count();
        assert!(taken > CLIENTS as usize / 9 / 8 / 2, "{label} took {taken}");
    }
    assert_eq!(during, homes(&candidates, |place| place != 4));
}

#[test]
fn each_is_asked_once_even_among_many() {
    let candidates = labelled(300);
    let (balancer, asked) = (maglev(&candidates), Cell::new(0));
    let field = idle(|_| {
        asked.set(asked.get() + 1);
        false
    });
    assert_eq!(balancer.pick(&field, client(1), || 0), None);
    assert_eq!(asked.get(), 300);
}

#[test]
fn who_is_where_never_changes() {
    let candidates = labelled(5);
    let homes = homes(&candidates, everyone);
    let first: Vec<_> = homes[..8].iter().map(|home| home.as_bytes()[7] as char).collect();
    assert_eq!(first.iter().collect::<String>(), "14340120", "players would move with the next version");
}
