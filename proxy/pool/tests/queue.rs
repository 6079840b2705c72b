//! Who waits, and who gets the place.

use std::task::{Context, Poll, Waker};

use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Make;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

/// A pool of backends with room for so many, and a queue for so many more.
fn pool_with_queue(room: &[u32], size: u32) -> Arc<Pool> {
    let backends: Vec<_> = [A, B, C].into_iter().zip(room).map(|(at, &room)| (at, 1, Some(room), false)).collect();
    let queue = model::Queue { size: NonZeroU32::new(size).unwrap(), timeout: PATIENCE };
    pool(&model::Pool { queue: Some(queue), ..config(&backends) }, None)
}

fn first(pool: &Arc<Pool>, now: Instant) -> Option<Lease> {
    pool.lease_first(client(), now).map(|(_, lease)| lease)
}

fn join(pool: &Arc<Pool>, now: Instant) -> Waiting {
    pool.wait((Class::Newcomer, client()), now).unwrap().0
}

/// The place that one who waits has been given, if it has.
fn granted(waiting: &mut Waiting) -> Option<Lease> {
    let mut cx = Context::from_waker(Waker::noop());
    match std::pin::pin!(waiting.granted()).poll(&mut cx) {
        Poll::Ready(grant) => Some(grant.expect("the pool lives").1),
        Poll::Pending => None,
    }
}

#[test]
fn places_go_to_those_who_wait_in_order_and_before_newcomers() {
    let now = Instant::now();
    let pool = pool_with_queue(&[1], 10);
    let mut held = first(&pool, now).unwrap();
    let mut line: Vec<_> = (0..3).map(|_| join(&pool, now)).collect();
    assert_eq!(pool.waiting(), 3);
    for number in 0..3 {
        assert!(line.iter_mut().all(|waiting| granted(waiting).is_none()));
        drop(held);
        assert!(first(&pool, now).is_none(), "a newcomer is not served before them");
        let mut front = line.remove(0);
        held = granted(&mut front).unwrap_or_else(|| panic!("number {number} was not served"));
    }
    assert_eq!((pool.waiting(), pool.wait_duration().get_sample_count()), (0, 3));
    drop(held);
    assert!(first(&pool, now).is_some());
}

#[test]
fn who_leaves_is_not_waited_for_and_a_place_it_was_given_goes_to_the_next() {
    let now = Instant::now();
    let pool = pool_with_queue(&[1], 10);
    let held = first(&pool, now).unwrap();
    let (gone, served_and_gone, mut last) = (join(&pool, now), join(&pool, now), join(&pool, now));
    drop(gone);
    assert_eq!(pool.waiting(), 2);
    drop(held);
    assert!(granted(&mut last).is_none());
    drop(served_and_gone);
    assert!(granted(&mut last).is_some());
}

#[test]
fn a_full_queue_takes_nobody_and_a_pool_without_one_neither() {
    let now = Instant::now();
    let pool = pool_with_queue(&[1], 1);
    let _held = first(&pool, now).unwrap();
    let waiting = join(&pool, now);
    assert_eq!(pool.wait((Class::Newcomer, client()), now).unwrap_err(), NoQueue::Full);
    drop(waiting);
    assert!(pool.wait((Class::Newcomer, client()), now).is_ok());
    let without = super::pool(&plain(&[A]), None);
    assert_eq!(without.wait((Class::Newcomer, client()), now).unwrap_err(), NoQueue::Off);
}

#[test]
fn those_who_wait_are_served_by_the_newest_version_of_their_pool() {
    let now = Instant::now();
    let old = pool_with_queue(&[1], 10);
    let _held = first(&old, now).unwrap();
    let mut waiting = join(&old, now);
    let queue = model::Queue { size: NonZeroU32::MIN, timeout: PATIENCE };
    let new = pool(&model::Pool { queue: Some(queue), ..plain(&[A, B]) }, Some(&old));
    new.serve_waiting(now);
    assert_eq!(granted(&mut waiting).unwrap().backend().key().to_string(), B);
}

#[test]
fn a_backend_that_comes_up_serves_those_who_wait() {
    let now = Instant::now();
    let pool = pool_with_queue(&[5], 10);
    let rule = health::Rule { rise: NonZeroU32::MIN, fall: NonZeroU32::MIN };
    let backend = &pool.members()[0].backend;
    backend.note_check(Err("connect: refused".to_owned()), rule, now);
    let mut waiting = join(&pool, now);
    assert!(granted(&mut waiting).is_none());
    backend.note_check(Ok(None), rule, now);
    assert!(granted(&mut waiting).is_some());
}

#[test]
fn a_place_that_is_freed_between_asking_and_joining_is_not_lost() {
    let now = Instant::now();
    let pool = pool_with_queue(&[1], 10);
    let held = first(&pool, now).unwrap();
    assert!(first(&pool, now).is_none());
    drop(held);
    assert!(granted(&mut join(&pool, now)).is_some());
}

#[test]
fn a_place_that_time_has_made_is_not_for_newcomers_either() {
    let now = Instant::now();
    let pool = pool_with_queue(&[5], 10);
    open(&pool, 0, now);
    let mut waiting = join(&pool, now);
    let later = now + Duration::from_secs(30);
    assert!(first(&pool, later).is_none(), "the circuit would let one through");
    assert!(granted(&mut waiting).is_none());
    pool.serve_waiting(later);
    assert!(granted(&mut waiting).is_some());
}

#[derive(Debug, Clone)]
enum Event {
    Come,
    Leave(prop::sample::Index),
    End(prop::sample::Index),
    Reload,
}

fn event() -> impl Make<Value = Event> {
    prop_oneof![
        5 => Just(Event::Come),
        2 => any::<prop::sample::Index>().prop_map(Event::Leave),
        4 => any::<prop::sample::Index>().prop_map(Event::End),
        1 => Just(Event::Reload),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    /// 50 times 200 events make 10,000: after each, nobody waits while there is room, and the order is kept.
    #[test]
    fn no_wake_up_is_lost(events in prop::collection::vec(event(), 200)) {
        let now = Instant::now();
        let mut pool = pool_with_queue(&[2, 1], 1000);
        let (mut playing, mut line): (Vec<Lease>, Vec<Waiting>) = (Vec::new(), Vec::new());
        for (number, event) in events.iter().enumerate() {
            match event {
                Event::Come => match first(&pool, now) {
                    Some(lease) => {
                        prop_assert!(line.is_empty(), "a newcomer was served first");
                        playing.push(lease);
                    }
                    None => line.push(join(&pool, now)),
                },
                Event::Leave(index) if !line.is_empty() => drop(line.remove(index.index(line.len()))),
                Event::End(index) if !playing.is_empty() => drop(playing.swap_remove(index.index(playing.len()))),
                Event::Leave(_) | Event::End(_) => {}
                Event::Reload => {
                    let room = 1 + u32::try_from(number % 3).unwrap();
                    let queue = model::Queue { size: NonZeroU32::new(1000).unwrap(), timeout: PATIENCE };
                    let backends = config(&[(A, 1, Some(room), false), (B, 1, Some(1), false)]);
                    pool = super::pool(&model::Pool { queue: Some(queue), ..backends }, Some(&pool));
                    pool.serve_waiting(now);
                }
            }
            while let Some(lease) = line.first_mut().and_then(granted) {
                playing.push(lease);
                line.remove(0);
            }
            for waiting in &mut line {
                prop_assert!(granted(waiting).is_none(), "served before those in front");
            }
            let room = pool.members().iter().any(Member::has_room);
            prop_assert!(line.is_empty() || !room, "somebody waits although there is room");
            prop_assert_eq!(pool.waiting(), line.len());
        }
    }
}

#[test]
fn no_place_is_lost_between_threads() {
    let now = Instant::now();
    let pool = pool_with_queue(&[2, 1], 1000);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let played: u32 = std::thread::scope(|scope| {
        let play = || {
            let sessions = async {
                for _ in 0..500 {
                    let lease = match first(&pool, now) {
                        Some(lease) => lease,
                        None => join(&pool, now).granted().await.unwrap().1,
                    };
                    assert!(lease.backend().active() <= 2);
                    tokio::task::yield_now().await;
                }
                500
            };
            runtime().block_on(async { tokio::time::timeout(Duration::from_secs(60), sessions).await.unwrap() })
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(play)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((played, pool.waiting()), (4000, 0));
    assert!(pool.members().iter().all(|member| member.backend.active() == 0));
}
