//! Names and a resolver that does as it is told, in time that is told too.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use super::answer::{Addresses, Denial, Family, Server};
use super::*;
use crate::config;

/// One answer; `None` is silence.
type Line = Option<Result<Answer, Failure>>;

/// What the resolver is to say next, and how often it was asked.
#[derive(Default)]
struct Script {
    lines: RefCell<VecDeque<Line>>,
    asked: Cell<usize>,
}

fn at(last: u8) -> Found {
    Found { address: SocketAddr::from(([192, 0, 2, last], 1)), weight: None, backup: false }
}

/// A service's answer, or a host's: each server is a host of its own, with one address or none that could be found out.
fn servers(found: &[(Found, bool)], ttl: u64) -> Line {
    let host = |index: usize| Arc::<str>::from(format!("host-{index}.test."));
    let server = |(index, (found, _)): (usize, &(Found, bool))| Server {
        host: host(index),
        port: found.address.port(),
        weight: found.weight,
        backup: found.backup,
    };
    let addresses = |(index, (found, is_known)): (usize, &(Found, bool))| {
        let addresses = match is_known {
            true => Addresses::Found(vec![found.address.ip()]),
            false => Addresses::Failed("no answer".to_owned()),
        };
        ((host(index), Family::V4), addresses)
    };
    let (servers, hosts) =
        (found.iter().enumerate().map(server).collect(), found.iter().enumerate().map(addresses).collect());
    Some(Ok(Answer { servers, hosts, ttl: Duration::from_secs(ttl) }))
}

fn answer(found: &[Found], ttl: u64) -> Line {
    servers(&found.iter().map(|&found| (found, true)).collect::<Vec<_>>(), ttl)
}

fn failure() -> Line {
    Some(Err(Denial::NoName.into()))
}

/// The names of a file with one host name, and their resolver. `None` in the script is silence, and so is its end.
fn names(lines: impl IntoIterator<Item = Line>) -> (Names, Rc<Script>, Config) {
    let text = "[listeners.game]\nbind = \"127.0.0.1:1\"\npool = \"game\"\n[pools.game]\nbackends = [\"game.test:1\"]";
    let config = config::parse(text).unwrap().config;
    let script = Rc::new(Script { lines: RefCell::new(lines.into_iter().collect()), asked: Cell::new(0) });
    let told = Rc::clone(&script);
    let lookup: Lookup = Rc::new(move |_| {
        told.asked.set(told.asked.get() + 1);
        let line = told.lines.borrow_mut().pop_front().flatten();
        Box::pin(async move {
            match line {
                Some(line) => line,
                None => std::future::pending().await,
            }
        })
    });
    (Names::with(&config.dns, lookup), script, config)
}

fn known(names: &Names) -> Vec<Found> {
    names.answers().0.into_values().flatten().collect()
}

async fn run(test: impl Future<Output = ()>) {
    tokio::time::pause();
    tokio::task::LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_answer_holds_as_long_as_its_ttl_within_bounds() {
    run(async {
        let (names, script, config) = names([answer(&[at(1)], 0), answer(&[at(1)], 7), answer(&[at(1)], 9999)]);
        names.follow(&config);
        names.settled(Duration::from_secs(5)).await;
        assert_eq!((known(&names), script.asked.get()), (vec![at(1)], 1));
        for (wait, asked) in [(990, 1), (20, 2), (6900, 2), (200, 3), (299_000, 3), (2000, 4)] {
            sleep(Duration::from_millis(wait)).await;
            assert_eq!(script.asked.get(), asked);
        }
    })
    .await;
}

#[tokio::test]
async fn a_failure_keeps_the_last_answer_and_is_retried_ever_more_seldom() {
    run(async {
        let (names, script, config) =
            names([answer(&[at(1), at(2)], 1), failure(), failure(), failure(), answer(&[at(3)], 60)]);
        names.follow(&config);
        names.settled(Duration::from_secs(5)).await;
        sleep(Duration::from_millis(1500)).await;
        assert_eq!((known(&names), script.asked.get()), (vec![at(1), at(2)], 2));
        assert_eq!(names.failing().len(), 1);
        assert_eq!(names.failing()[0].1, "NXDOMAIN");
        for (wait, asked) in [(1000, 3), (2000, 4), (3300, 4), (400, 5)] {
            sleep(Duration::from_millis(wait)).await;
            assert_eq!(script.asked.get(), asked);
        }
        assert_eq!((known(&names), names.failing().len()), (vec![at(3)], 0));
    })
    .await;
}

#[tokio::test]
async fn what_part_of_an_answer_does_not_have_is_kept() {
    run(async {
        let part = servers(&[(at(9), false), (at(3), true)], 60);
        let (names, script, config) = names([answer(&[at(1), at(2)], 1), part, answer(&[at(3)], 60)]);
        names.follow(&config);
        names.settled(Duration::from_secs(5)).await;
        sleep(Duration::from_millis(1500)).await;
        assert_eq!((known(&names), script.asked.get()), (vec![at(1), at(3)], 2));
        assert_eq!(names.failing()[0].1, "A: no answer");
        sleep(Duration::from_secs(1)).await;
        assert_eq!((known(&names), script.asked.get()), (vec![at(3)], 3), "it is retried soon, whatever its TTL");
        assert!(names.failing().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_part_that_fails_for_ever_does_not_put_off_the_others() {
    run(async {
        let part = |last| servers(&[(at(1), true), (at(last), false)], 2);
        let (names, script, config) = names((0..40).map(|_| part(9)));
        names.follow(&config);
        sleep(Duration::from_secs(60)).await;
        assert!(script.asked.get() >= 30, "its TTL is 2 s: {}", script.asked.get());
        assert_eq!(known(&names), [at(1)]);
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_found_as_a_backup_too_is_none() {
    run(async {
        let main = Found { weight: Some(5), ..at(1) };
        let spare = Found { weight: Some(1), backup: true, ..at(1) };
        let (names, _, config) = names([answer(&[spare, main], 60)]);
        names.follow(&config);
        names.settled(Duration::from_secs(5)).await;
        assert_eq!(known(&names), [main]);
    })
    .await;
}

#[tokio::test]
async fn each_change_is_told_once() {
    run(async {
        let (names, _, config) = names([answer(&[at(1), at(2)], 1), answer(&[at(2), at(1)], 1), answer(&[at(2)], 100)]);
        names.follow(&config);
        let began = Instant::now();
        names.changed().await;
        assert_eq!(known(&names), [at(1), at(2)]);
        names.changed().await;
        assert_eq!((known(&names), began.elapsed().as_secs()), (vec![at(2)], 2), "another order is no change");
        assert!(tokio::time::timeout(Duration::from_secs(99), names.changed()).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_silent_resolver_is_waited_for_no_longer_than_patience() {
    run(async {
        let (names, _, config) = names([None]);
        names.follow(&config);
        let began = Instant::now();
        names.settled(Duration::from_millis(500)).await;
        assert_eq!(began.elapsed().as_millis() / 10, 50);
        assert!(known(&names).is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_name_that_leaves_the_file_is_forgotten() {
    run(async {
        let (names, script, config) = names([answer(&[at(1)], 1), answer(&[at(2)], 1)]);
        names.follow(&config);
        names.settled(Duration::from_secs(5)).await;
        names.follow(&config);
        assert_eq!(known(&names), [at(1)], "nothing has changed");
        let without = Config { pools: Vec::new(), ..config.clone() };
        names.follow(&without);
        assert!(known(&names).is_empty());
        sleep(Duration::from_secs(1000)).await;
        assert_eq!(script.asked.get(), 1);
        names.follow(&config);
        names.settled(Duration::from_secs(5)).await;
        assert_eq!(known(&names), [at(2)]);
    })
    .await;
}

#[tokio::test]
async fn without_names_there_is_nothing_to_wait_for() {
    run(async {
        let (names, _, config) = names([None]);
        names.follow(&Config { pools: Vec::new(), ..config });
        let began = Instant::now();
        names.settled(Duration::from_secs(5)).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    })
    .await;
}
