//! Backends that leave their pool and return, with invented instants.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A registry, and the pools that follow one another in it.
#[derive(Default)]
struct History {
    registry: BackendRegistry,
    latest: Option<Arc<Pool>>,
}

impl History {
    /// The next version, with these backends.
    fn next(&mut self, addresses: &[&'static str], now: Instant) -> Arc<Pool> {
        let config = plain(addresses);
        let entries = discovery::expand(&config.backends, &discovery::Answers::default());
        let origin = PoolOrigin { before: self.latest.as_ref(), registry: &self.registry, cold: self.latest.is_some() };
        let pool = Pool::new(&config, entries, None, &origin);
        self.registry.follow([&pool].into_iter(), |_, _| admin::Admin::Ready, now);
        self.latest = Some(Arc::clone(&pool));
        pool
    }

    /// The pool is removed.
    fn end(&mut self, now: Instant) {
        self.latest = None;
        self.registry.follow([].into_iter(), |_, _| admin::Admin::Ready, now);
    }

    fn known(&self) -> usize {
        self.registry.lock().len()
    }

    fn removed(&self) -> Vec<(String, u32)> {
        let removed = self.registry.removed();
        removed.iter().map(|backend| (backend.key().to_string(), backend.active())).collect()
    }
}

fn lease_on(pool: &Arc<Pool>, place: usize, now: Instant) -> Lease {
    Lease::claim(&pool.members()[place].backend, client(), None, false, now).unwrap()
}

#[test]
fn a_backend_that_returns_is_the_one_that_its_sessions_are_on() {
    let (mut history, now) = (History::default(), Instant::now());
    let first = history.next(&[A, B], now);
    let lease = lease_on(&first, 1, now);
    history.next(&[A], now);
    assert_eq!(history.removed(), [(B.to_owned(), 1)]);
    // Hours later, and after many edits.
    history.next(&[A, C], now + 7200 * SECOND);
    let back = history.next(&[A, B], now + 7201 * SECOND);
    assert!(Arc::ptr_eq(&back.members()[1].backend, lease.backend()));
    assert_eq!((back.members()[1].backend.active(), history.removed().len()), (1, 0));
    drop(lease);
    assert_eq!(back.members()[1].backend.active(), 0);
}

#[test]
fn a_pool_that_returns_is_the_one_that_its_sessions_are_in() {
    let (mut history, now) = (History::default(), Instant::now());
    let first = history.next(&[A], now);
    first.count_retry();
    let lease = lease_on(&first, 0, now);
    history.end(now);
    assert_eq!(history.removed(), [(A.to_owned(), 1)]);
    let back = history.next(&[B, A], now + SECOND);
    assert_eq!((back.retries(), back.members()[1].backend.active()), (1, 1));
    drop((lease, first, back));
}

#[test]
fn an_open_circuit_is_not_forgotten_by_an_answer_without_the_backend() {
    let (mut history, now) = (History::default(), Instant::now());
    let first = history.next(&[A, B], now);
    for _ in 0..2 {
        lease_on(&first, 1, now).failed(Failure::ConnectFailed, || None, now);
    }
    assert!(!first.members()[1].backend.is_eligible(now));
    drop(first);
    history.next(&[A], now);
    let back = history.next(&[A, B], now + 2 * SECOND);
    assert!(!back.members()[1].backend.is_eligible(now + 2 * SECOND));
    assert_eq!(back.members()[1].backend.failures_total(), 2);
}

#[test]
fn who_has_left_is_forgotten_with_the_last_session() {
    let (mut history, now) = (History::default(), Instant::now());
    let lease = lease_on(&history.next(&[A, B], now), 1, now);
    history.next(&[A], now);
    history.next(&[A, C], now + 7200 * SECOND);
    assert_eq!(history.known(), 3);
    drop(lease);
    assert_eq!(history.removed(), []);
    history.next(&[A], now + 7201 * SECOND);
    history.next(&[A], now + 7202 * SECOND);
    assert_eq!(history.known(), 1);
}

#[test]
fn bad_backends_that_names_bring_for_ever_are_bounded_in_number_and_time() {
    let (mut history, now) = (History::default(), Instant::now());
    for round in 0..40_u16 {
        let addresses: Vec<String> = (0..100).map(|n| format!("127.0.0.1:{}", 1 + round * 100 + n)).collect();
        let addresses: Vec<&'static str> = addresses.into_iter().map(|text| &*text.leak()).collect();
        let pool = history.next(&addresses, now);
        for place in 0..200 {
            lease_on(&pool, place % 100, now).failed(Failure::ConnectFailed, || None, now);
        }
    }
    history.next(&[A], now);
    history.next(&[A], now);
    assert_eq!(history.known(), 1024 + 1);
    history.next(&[A], now + 300 * SECOND);
    assert_eq!(history.known(), 1);
}
