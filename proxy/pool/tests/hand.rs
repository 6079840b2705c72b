//! What is set by hand: states and weights.

use super::*;
use crate::pool::admin::{Admin, ByHand};

/// The next version of a pool, with these things set by hand.
fn set(config: &model::Pool, hands: &[ByHand], before: Option<&Arc<Pool>>) -> Arc<Pool> {
    let mut entries = discovery::expand(&config.backends, &discovery::Answers::default());
    assert_eq!(entries.len(), hands.len());
    entries.iter_mut().zip(hands).for_each(|(entry, hand)| entry.hand = *hand);
    let registry = BackendRegistry::default();
    let origin = PoolOrigin { before, registry: &registry, cold: before.is_some() };
    Pool::new(config, entries, before.and_then(|before| before.fallback.clone()), &origin)
}

const READY: ByHand = ByHand { admin: Admin::Ready, weight: None };
const DRAIN: ByHand = ByHand { admin: Admin::Drain, weight: None };
const MAINTENANCE: ByHand = ByHand { admin: Admin::Maintenance, weight: None };

fn weight(weight: u16) -> ByHand {
    ByHand { weight: Some(weight), ..READY }
}

#[test]
fn one_taken_out_by_hand_gets_nobody_whatever_the_strategy_and_keeps_whom_it_has() {
    let now = Instant::now();
    for strategy in Strategy::ALL {
        let config = model::Pool { strategy, ..plain(&[A, B]) };
        let first = pool(&config, None);
        let held: Vec<_> = (0..4).map(|_| first.lease(&newcomer(), now).unwrap()).collect();
        for hand in [DRAIN, MAINTENANCE] {
            let second = set(&config, &[hand, READY], Some(&first));
            assert_eq!((second.eligible(now), first.eligible(now)), (1, 1), "sessions that began before see it too");
            for pool in [&first, &second] {
                assert!((0..20).all(|_| chosen(pool, &newcomer()).unwrap() == B), "{strategy:?}");
            }
        }
        let active: u32 = first.members().iter().map(|member| member.backend.active()).sum();
        assert_eq!(active, 4, "{strategy:?}");
        drop(held);
        let third = set(&config, &[READY, DRAIN], Some(&first));
        assert_eq!(chosen(&third, &newcomer()).unwrap(), A, "{strategy:?}");
    }
}

#[test]
fn neither_a_last_resort_nor_a_second_try_nor_a_held_circuit_brings_it_back() {
    let now = Instant::now();
    let config =
        model::Pool { last_resort: true, max_ejected: model::EjectionLimit::Share(Share::NONE), ..plain(&[A, B]) };
    let first = pool(&config, None);
    for _ in 0..3 {
        let lease = Lease::claim(&first.members()[0].backend, client(), None, false, now).unwrap();
        lease.failed(Failure::ConnectFailed, || None, now);
    }
    assert_eq!(first.held_in(), 1);
    let second = set(&config, &[DRAIN, DRAIN], Some(&first));
    assert_eq!((second.eligible(now), second.held_in()), (0, 0));
    assert!(chosen(&second, &newcomer()).is_none() && chosen(&second, &tried(&second, &[0, 1])).is_none());
    assert!(
        Lease::claim(&second.members()[0].backend, client(), None, true, now).is_none(),
        "not even where it was chosen before"
    );
}

#[test]
fn it_counts_among_those_that_are_out() {
    let now = Instant::now();
    let config = model::Pool { max_ejected: model::EjectionLimit::Half, ..plain(&[A, B]) };
    let pool = set(&config, &[DRAIN, READY], None);
    for _ in 0..5 {
        let lease = Lease::claim(&pool.members()[1].backend, client(), None, false, now).unwrap();
        lease.failed(Failure::ConnectFailed, || None, now);
    }
    assert_eq!((pool.eligible(now), pool.held_in()), (1, 1), "the other one is all there is");
}

#[test]
fn another_pool_stands_in_for_one_that_was_drained() {
    let now = Instant::now();
    let other = pool(&plain(&[C]), None);
    let first = with_fallback(&plain(&[A]), Some(&other), None);
    let second = set(&plain(&[A]), &[DRAIN], Some(&first));
    assert_eq!(lease(&second, now).unwrap().0, C);
    assert_eq!(lease(&set(&plain(&[A]), &[READY], Some(&second)), now).unwrap().0, A);
}

#[test]
fn one_that_comes_back_takes_on_its_weight_slowly() {
    let now = Instant::now();
    let config = model::Pool { slow_start: Some(Duration::from_secs(30)), ..plain(&[A, B]) };
    let pool = set(&config, &[DRAIN, READY], None);
    let ramp = |pool: &Pool, place: usize| pool.members()[place].backend.ramp().part(pool.slow_start(), now);
    let back = set(&config, &[READY, READY], Some(&pool));
    assert!(ramp(&back, 0) < balance::FULL_RAMP / 2);
    assert_eq!(ramp(&back, 1), balance::FULL_RAMP, "this one was never away");
}

#[test]
fn a_weight_set_by_hand_counts_instead_of_the_files_until_it_is_cleared() {
    let now = Instant::now();
    let config = config(&[(A, 1, None, false), (B, 1, None, false)]);
    let shares = |pool: &Arc<Pool>| {
        let held: Vec<_> = (0..12).map(|_| pool.lease(&newcomer(), now).unwrap()).collect();
        let shares: Vec<_> = pool.members().iter().map(|member| member.backend.active()).collect();
        drop(held);
        shares
    };
    let first = set(&config, &[weight(3), READY], None);
    assert_eq!(shares(&first), [9, 3]);
    assert_eq!((first.members()[0].weight, first.members()[0].weight_by_hand), (3, true));
    let second = set(&config, &[READY, READY], Some(&first));
    assert_eq!(shares(&second), [6, 6]);
    assert!(!second.members()[0].weight_by_hand);
}

#[test]
fn with_a_weight_of_0_by_hand_or_in_the_file_it_gets_nobody_while_another_can() {
    for strategy in Strategy::ALL {
        let backends = config(&[(A, 5, None, false), (B, 1, None, false), (C, 1, None, true)]).backends;
        let config = model::Pool { strategy, backends, ..plain(&[A]) };
        let by_hand = set(&config, &[weight(0), READY, READY], None);
        expect_the_first_to_come_last(&by_hand);
        let mut in_file = config.clone();
        in_file.backends[0].weight = 0;
        expect_the_first_to_come_last(&pool(&in_file, None));

        let all = set(&config, &[weight(0); 3], Some(&by_hand));
        assert_eq!(chosen(&all, &newcomer()).unwrap(), A, "{strategy:?}");
    }
}

/// The first backend gets nobody while the second or the backup can.
fn expect_the_first_to_come_last(pool: &Arc<Pool>) {
    let (now, strategy) = (Instant::now(), pool.strategy());
    let all_go_to = |backend| (0..20).all(|_| chosen(pool, &newcomer()).unwrap() == backend);
    assert!(all_go_to(B), "{strategy:?}");
    open(pool, 1, now);
    assert!(all_go_to(C), "a backup: {strategy:?}");
    open(pool, 2, now);
    assert!(all_go_to(A), "better than nobody: {strategy:?}");
}
