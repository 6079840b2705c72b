//! What keeps a pool from making an outage worse: how many may be out, last resort, fallback, slow start, checks.

use super::*;
use crate::pool::health::Verdict;

const RULE: health::Rule = health::Rule { rise: NonZeroU32::MIN, fall: NonZeroU32::MIN };

fn limit(percent: f64) -> model::EjectionLimit {
    model::EjectionLimit::Share(Share::from_percent(percent).unwrap())
}

fn fail(pool: &Pool, place: usize, times: usize, now: Instant) {
    for _ in 0..times {
        if let Some(lease) = Lease::claim(&pool.members()[place].backend, client(), None, false, now) {
            lease.failed(Failure::ConnectFailed, || None, now);
        }
    }
}

fn check(pool: &Pool, place: usize, result: Result<Option<u32>, String>, now: Instant) -> Option<Verdict> {
    pool.members()[place].backend.note_check(result, RULE, now)
}

fn refused() -> Result<Option<u32>, String> {
    Err("connect: refused".to_owned())
}

fn eligible(pool: &Pool, now: Instant) -> String {
    let word = |member: &Member| if member.backend.is_eligible(now) { '+' } else { '-' };
    pool.members().iter().map(word).collect()
}

#[test]
fn no_more_backends_go_out_than_may_by_circuit_or_health() {
    let now = Instant::now();
    let pool = pool(&model::Pool { max_ejected: limit(67.0), ..plain(&[A, B, C]) }, None);
    fail(&pool, 0, 2, now);
    check(&pool, 1, refused(), now);
    assert_eq!((eligible(&pool, now).as_str(), pool.held_in()), ("--+", 0));
    fail(&pool, 2, 5, now);
    check(&pool, 2, refused(), now);
    assert_eq!((eligible(&pool, now).as_str(), pool.held_in()), ("--+", 1));
    assert_eq!(pool.members()[2].backend.checkup().verdict(), Verdict::Down, "what is known is told all the same");

    check(&pool, 1, Ok(None), now);
    assert_eq!(eligible(&pool, now), "-++");
    check(&pool, 2, refused(), now);
    assert_eq!((eligible(&pool, now).as_str(), pool.held_in()), ("-+-", 1), "out by health, its circuit still held");
    check(&pool, 2, Ok(None), now);
    assert_eq!((eligible(&pool, now).as_str(), pool.held_in()), ("-++", 0));
}

#[test]
fn one_that_is_held_in_proves_itself_with_an_answer() {
    let now = Instant::now();
    let pool = pool(&model::Pool { max_ejected: model::EjectionLimit::Share(Share::NONE), ..plain(&[A]) }, None);
    fail(&pool, 0, 5, now);
    assert_eq!((eligible(&pool, now).as_str(), pool.held_in()), ("+", 1));
    lease(&pool, now).unwrap().1.succeeded(now);
    assert_eq!(pool.held_in(), 0);
}

#[test]
fn two_that_fail_at_once_are_both_counted() {
    let now = Instant::now();
    for _ in 0..200 {
        let pool = pool(&model::Pool { max_ejected: limit(50.0), ..plain(&[A, B]) }, None);
        std::thread::scope(|scope| {
            for place in 0..2 {
                let pool = &pool;
                scope.spawn(move || fail(pool, place, 3, now));
            }
        });
        assert_ne!(eligible(&pool, now), "--");
    }
}

#[test]
fn one_that_is_held_in_takes_sessions_while_its_checks_fail() {
    let now = Instant::now();
    let pool = pool(&model::Pool { max_ejected: model::EjectionLimit::Share(Share::NONE), ..plain(&[A]) }, None);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000 {
                check(&pool, 0, refused(), now);
            }
            done.store(true, Relaxed);
        });
        while !done.load(Relaxed) {
            assert!(lease(&pool, now).is_some());
        }
    });
    assert_eq!(pool.held_in(), 1);
}

#[test]
fn a_passing_check_closes_an_open_circuit() {
    let now = Instant::now();
    let pool = pool(&plain(&[A, B]), None);
    open(&pool, 0, now);
    assert_eq!(check(&pool, 0, Ok(None), now), Some(Verdict::Up));
    assert_eq!(eligible(&pool, now), "++");
    open(&pool, 0, now);
    assert_eq!(check(&pool, 0, Ok(None), now), None);
    assert_eq!(eligible(&pool, now), "++");
}

#[test]
fn checks_pass_to_the_next_version_and_end_with_its_health_section() {
    let now = Instant::now();
    let checked = model::Pool { health: Some(health_section()), ..plain(&[A, B]) };
    let first = pool(&checked, None);
    check(&first, 0, refused(), now);
    let second = pool(&model::Pool { retries: 7, ..checked }, Some(&first));
    assert_eq!(eligible(&second, now), "-+");
    let third = pool(&plain(&[A, B]), Some(&second));
    assert_eq!(eligible(&third, now), "++");
    assert_eq!(third.members()[0].backend.checkup().verdict(), Verdict::Unknown);
}

fn health_section() -> model::Health {
    model::Health {
        check: model::Check::Tcp,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        rule: RULE,
        port: None,
        introduced: None,
        on_down: model::OnDown::Keep,
    }
}

#[test]
fn as_a_last_resort_those_that_are_out_are_tried() {
    let now = Instant::now();
    let strict = pool(&plain(&[A, B]), None);
    let lenient = pool(&model::Pool { last_resort: true, ..plain(&[A, B]) }, None);
    for pool in [&strict, &lenient] {
        open(pool, 0, now);
        check(pool, 1, refused(), now);
    }
    assert!(lease(&strict, now).is_none());
    let (_, tried) = lease(&lenient, now).unwrap();
    assert_eq!(eligible(&lenient, now), "--", "they stay out");
    drop(tried);
    let answered = (0..2).map(|_| lease(&lenient, now).unwrap()).find(|(backend, _)| backend == A).unwrap();
    answered.1.succeeded(now);
    assert_eq!(eligible(&lenient, now), "+-", "an answer is proof");
}

#[test]
fn a_full_pool_is_no_case_for_a_last_resort() {
    let now = Instant::now();
    let config = config(&[(A, 1, Some(1), false), (B, 1, None, false)]);
    let pool = pool(&model::Pool { last_resort: true, ..config }, None);
    check(&pool, 1, refused(), now);
    let _only = lease(&pool, now).unwrap();
    assert!(lease(&pool, now).is_none());
}

#[test]
fn another_pool_stands_in_and_another_one_for_that() {
    let now = Instant::now();
    let last = pool(&plain(&[C]), None);
    let middle = with_fallback(&plain(&[B]), Some(&last), None);
    let first = with_fallback(&plain(&[A]), Some(&middle), None);
    assert_eq!(lease(&first, now).unwrap().0, A);
    assert_eq!(chosen(&first, &tried(&first, &[0])).unwrap(), B, "rather than the one that has just failed");
    open(&first, 0, now);
    assert_eq!(lease(&first, now).unwrap().0, B);
    open(&middle, 0, now);
    let (giver, lease) = first.lease(&newcomer(), now).unwrap();
    assert_eq!(lease.backend().key().to_string(), C);
    assert!(Arc::ptr_eq(&giver, &last));
    open(&last, 0, now);
    assert!(first.lease(&newcomer(), now).is_none());
}

#[test]
fn who_comes_up_takes_on_its_weight_slowly_and_who_was_there_at_the_start_does_not() {
    let now = Instant::now();
    let config = model::Pool { slow_start: Some(Duration::from_secs(30)), ..plain(&[A, B]) };
    let first = pool(&config, None);
    let ramp = |pool: &Pool, place: usize, at| pool.members()[place].backend.ramp().part(pool.slow_start(), at);
    assert_eq!(ramp(&first, 0, now), balance::FULL_RAMP);
    check(&first, 0, Ok(None), now);
    assert_eq!(ramp(&first, 0, now), balance::FULL_RAMP, "the first verdict is no coming up");
    check(&first, 0, refused(), now);
    check(&first, 0, Ok(None), now);
    assert_eq!(ramp(&first, 0, now + Duration::from_secs(15)), balance::FULL_RAMP / 2);
    open(&first, 1, now);
    check(&first, 1, Ok(None), now);
    assert_eq!(ramp(&first, 1, now + Duration::from_secs(15)), balance::FULL_RAMP / 2, "its circuit has closed");

    let more = model::Pool { backends: self::config(&[(A, 1, None, false), (C, 1, None, false)]).backends, ..config };
    let second = pool(&more, Some(&first));
    assert!(ramp(&second, 1, now) < balance::FULL_RAMP / 2, "one that is new is cold too");
    assert_eq!(ramp(&second, 0, now + Duration::from_secs(15)), balance::FULL_RAMP / 2, "through a reload");
}

#[test]
fn a_version_in_which_nothing_has_changed_is_the_one_before() {
    let first = pool(&plain(&[A, B]), None);
    assert!(Arc::ptr_eq(&first, &pool(&plain(&[A, B]), Some(&first))));
    assert!(!Arc::ptr_eq(&first, &pool(&plain(&[B, A]), Some(&first))));
}
