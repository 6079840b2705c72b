//! Which backend a session gets, with invented instants.

use std::num::NonZeroU32;

use tokio::time::Instant;

use super::*;
use crate::config::scalar::{Name, Share};
use crate::relay::Liveness;

mod hand;
mod protection;
mod queue;
mod registry;
mod resumed;

fn config(backends: &[(&str, u16, Option<u32>, bool)]) -> model::Pool {
    let backend = |&(address, weight, max_connections, backup): &(&str, u16, Option<u32>, bool)| model::Backend {
        address: address.parse().unwrap(),
        weight,
        max_connections,
        backup,
    };
    model::Pool {
        name: "game".parse::<Name>().unwrap(),
        strategy: Strategy::LeastConnections,
        backends: backends.iter().map(backend).collect(),
        connect_timeout: Duration::from_secs(5),
        request_timeout: None,
        idle_timeout: None,
        max_lifetime: None,
        half_close_timeout: None,
        liveness: Liveness::default(),
        retries: 2,
        retry_backoff: Duration::from_millis(50),
        breaker: breaker::Rule {
            failures: NonZeroU32::new(2).unwrap(),
            open_for: Duration::from_secs(30),
            max_open_for: Duration::from_secs(300),
            probes: NonZeroU32::MIN,
            failure_rate: None,
            counts: breaker::Counted::ALL,
        },
        requests: model::Requests {
            protocol: model::Protocol::Http1,
            warm_connections: 32,
            warm_timeout: Duration::from_secs(60),
            h2_connections: 32,
            failing: Vec::new(),
        },
        max_ejected: model::EjectionLimit::Share(Share::ALL),
        send_proxy: None,
        tls: None,
        slow_start: None,
        last_resort: false,
        fallback: None,
        queue: None,
        health: None,
        discovery: model::Discovery { resolve_grace: Duration::ZERO },
    }
}

/// The next version of a pool.
pub(crate) fn pool(config: &model::Pool, before: Option<&Arc<Pool>>) -> Arc<Pool> {
    with_fallback(config, None, before)
}

fn with_fallback(config: &model::Pool, fallback: Option<&Arc<Pool>>, before: Option<&Arc<Pool>>) -> Arc<Pool> {
    let entries = discovery::expand(&config.backends, &discovery::Answers::default());
    let registry = BackendRegistry::default();
    let origin = PoolOrigin { before, registry: &registry, cold: before.is_some() };
    Pool::new(config, entries, fallback.map(Arc::clone), &origin)
}

fn client() -> ClientKey {
    ClientKey::of([192, 0, 2, 1].into())
}

fn newcomer() -> Request {
    Request::new(client())
}

pub(crate) fn plain(addresses: &[&'static str]) -> model::Pool {
    config(&addresses.iter().map(|&address| (address, 1, None, false)).collect::<Vec<_>>())
}

const A: &str = "127.0.0.1:1";
const B: &str = "127.0.0.1:2";
const C: &str = "127.0.0.1:3";

/// The backend that a session which has tried `tried` gets; it holds nothing.
fn chosen(pool: &Arc<Pool>, request: &Request) -> Option<String> {
    pool.lease(request, Instant::now()).map(|(_, lease)| lease.backend().key().to_string())
}

/// A session that has tried these places of the pool, in this order.
fn tried(pool: &Pool, places: &[usize]) -> Request {
    let mut request = newcomer();
    places.iter().for_each(|&place| request.failed_by(&pool.members()[place].backend));
    request
}

/// The backend that the next newcomer gets, and the claim on it.
fn lease(pool: &Arc<Pool>, now: Instant) -> Option<(String, Lease)> {
    pool.lease(&newcomer(), now).map(|(_, lease)| (lease.backend().key().to_string(), lease))
}

/// Fails a backend often enough to open its circuit.
fn open(pool: &Pool, place: usize, now: Instant) {
    let member = &pool.members()[place];
    for _ in 0..2 {
        let lease = Lease::claim(&member.backend, client(), None, false, now).unwrap();
        lease.failed(Failure::ConnectFailed, || None, now);
    }
    assert!(!member.backend.is_eligible(now));
}

#[test]
fn a_backend_that_failed_the_session_is_avoided_while_another_is_left() {
    let pool = pool(&plain(&[A, B, C]), None);
    for _ in 0..10 {
        assert_eq!(chosen(&pool, &tried(&pool, &[0, 2])).unwrap(), B, "the one that is untried");
        assert_ne!(chosen(&pool, &tried(&pool, &[0, 1, 2])).unwrap(), C, "any but the last");
    }
    let alone = with_fallback(&plain(&[A]), None, None);
    assert_eq!(chosen(&alone, &tried(&alone, &[0])).unwrap(), A, "there is no other");
}

#[test]
fn backups_wait_until_no_other_can_be_used() {
    let now = Instant::now();
    let pool = pool(&config(&[(A, 1, None, false), (B, 100, None, true)]), None);
    let held: Vec<_> = (0..10).map(|_| lease(&pool, now).unwrap()).collect();
    assert!(held.iter().all(|(backend, _)| backend == A));
    assert_eq!(chosen(&pool, &tried(&pool, &[0])).unwrap(), B, "a session that failed on the only other one");
    open(&pool, 0, now);
    assert_eq!(chosen(&pool, &newcomer()).unwrap(), B);
}

#[test]
fn a_full_backend_spills_to_the_other_and_then_there_is_none() {
    let now = Instant::now();
    let pool = pool(&config(&[(A, 1000, Some(2), false), (B, 1, Some(1), false)]), None);
    let held: Vec<_> = (0..3).map(|_| pool.lease(&newcomer(), now).unwrap().1).collect();
    assert_eq!(pool.members().iter().map(|member| member.backend.active()).collect::<Vec<_>>(), [2, 1]);
    assert!(pool.lease(&newcomer(), now).is_none());
    drop(held);
    assert!(pool.members().iter().all(|member| member.backend.active() == 0));
    assert!(pool.lease(&newcomer(), now).is_some());
}

#[test]
fn an_open_circuit_takes_a_backend_out_and_one_probe_at_a_time_brings_it_back() {
    let now = Instant::now();
    let pool = pool(&plain(&[A, B]), None);
    open(&pool, 0, now);
    assert_eq!(pool.eligible(now), 1);
    for _ in 0..10 {
        assert_eq!(chosen(&pool, &newcomer()).unwrap(), B);
    }
    let later = now + Duration::from_secs(30);
    assert_eq!(pool.members()[0].backend.circuit().state(later), breaker::State::HalfOpen);
    let (backend, probe) = lease(&pool, later).unwrap();
    assert_eq!(backend, A, "the probe goes to the backend without sessions");
    assert_eq!(lease(&pool, later).unwrap().0, B, "and only one");
    probe.succeeded(later);
    assert_eq!(pool.eligible(later), 2);
    assert_eq!(pool.members()[0].backend.circuit().transitions(breaker::State::Open), 1);
    assert_eq!(pool.members()[0].backend.circuit().transitions(breaker::State::Closed), 1);
}

#[test]
fn a_lease_without_a_report_gives_its_probe_back() {
    let now = Instant::now();
    let pool = pool(&plain(&[A]), None);
    open(&pool, 0, now);
    let later = now + Duration::from_secs(30);
    for _ in 0..3 {
        let (_, probe) = pool.lease(&newcomer(), later).expect("the probe's place is free");
        assert!(pool.lease(&newcomer(), later).is_none());
        drop(probe);
    }
}

#[test]
fn only_the_first_report_of_a_session_counts() {
    let now = Instant::now();
    let pool = pool(&plain(&[A]), None);
    let (_, lease) = pool.lease(&newcomer(), now).unwrap();
    lease.succeeded(now);
    for _ in 0..5 {
        lease.failed(Failure::BackendReset, || Some(client()), now);
    }
    assert_eq!(lease.backend().failures_total(), 0);
    assert!(lease.backend().is_eligible(now));
}

#[test]
fn a_new_version_keeps_what_its_backends_carry() {
    let now = Instant::now();
    let first = pool(&plain(&[A, B]), None);
    open(&first, 0, now);
    let (_, held) = first.lease(&newcomer(), now).unwrap();
    first.count_retry();

    let second = pool(&plain(&[C, B, A]), Some(&first));
    let of = |place: usize| &*second.members()[place].backend;
    assert_eq!(of(2).failures_total(), 2);
    assert!(!of(2).is_eligible(now), "its circuit is still open");
    assert_eq!(of(1).active(), 1, "its session goes on");
    assert_eq!(of(0).active(), 0);
    assert_eq!(second.retries(), 1);
    drop(held);
    assert_eq!(of(1).active(), 0);
}

#[test]
fn a_thousand_sessions_ask_at_once_and_no_limit_is_passed() {
    let now = Instant::now();
    let pool = pool(&config(&[(A, 1, Some(7), false), (B, 1, Some(5), false)]), None);
    let held: usize = std::thread::scope(|scope| {
        let ask =
            || (0..64).filter_map(|_| pool.lease(&newcomer(), now)).map(|(_, lease)| std::mem::forget(lease)).count();
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(held, 12);
    assert_eq!(pool.members()[0].backend.active(), 7);
}
