//! Connecting: a backend that cannot be had costs the client time at most, and never more than the config grants.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::backend::BlackHole;
use crate::support::proxy::{pool, pool_of};
use crate::support::tls::client_hello;
use crate::support::{Backend, Peer, Proxy, always_for, assert_took, eventually, free_address};

const MILLIS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_refused_connect_goes_to_the_next_backend_and_the_client_is_unaware() {
    let (dead, alive) = (free_address(), Backend::echo());
    let proxy = Proxy::with(&pool_of(&[dead, alive.address], "balance = \"round_robin\""));
    for _ in 0..4 {
        proxy.connect().await.echo(b"hello").await;
    }
    assert_eq!(alive.accepted(), 4);
    proxy.expect_ended("client_closed", 4).await;
    let metrics = proxy.metrics().await;
    let dead = dead.to_string();
    let refused = metrics.sum("portti_backend_failures_total", &[("backend", &dead), ("reason", "connect_failed")]);
    assert!(refused >= 1.0, "nobody was sent to the dead backend");
    // One retry each: the backend that has just failed is not tried again while another is left.
    assert_eq!(metrics.sum("portti_connect_retries_total", &[("pool", "game")]), refused);
    assert_eq!(metrics.sum("portti_backend_failures_total", &[]), refused);
    assert_eq!(metrics.sum("portti_backend_sessions_total", &[("backend", &dead)]), 0.0);
}

#[tokio::test]
async fn the_backend_that_failed_is_not_the_one_that_is_tried_next() {
    let (dead, alive) = (free_address(), Backend::echo());
    // The dead one draws nearly every first choice, and one retry must do.
    let proxy = Proxy::with(&format!(
        "[pools.game]\nbackends = [{{ address = \"{dead}\", weight = 100 }}, \"{}\"]\nretries = 1\n\
         [pools.game.breaker]\nfailures = 1000",
        alive.address
    ));
    for _ in 0..20 {
        proxy.connect().await.echo(b"hello").await;
    }
    assert_eq!(proxy.backend(dead).await["failures_total"], 20);
    assert_eq!(proxy.metric("portti_connect_retries_total", &[]).await, 20.0);
}

#[tokio::test]
async fn when_all_refuse_the_client_is_closed_within_a_second() {
    let (one, other) = (free_address(), free_address());
    let proxy = Proxy::with(&pool_of(&[one, other], ""));
    let started = Instant::now();
    let mut client = proxy.connect().await;
    client.expect_end().await;
    assert_took(started.elapsed(), Duration::ZERO, SECOND);
    proxy.expect_ended("connect_failed", 1).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn retries_are_counted_out_and_wait_longer_each_time() {
    let dead = free_address();
    let proxy = Proxy::with(&pool_of(&[dead], "retries = 3\nretry_backoff = \"100ms\""));
    let started = Instant::now();
    proxy.connect().await.expect_end().await;
    // 100, 200 and 400 ms, each less up to a half by chance.
    assert_took(started.elapsed(), 350 * MILLIS, 350 * MILLIS + SECOND);
    assert_eq!(proxy.backend(dead).await["failures_total"], 4);
    assert_eq!(proxy.metric("portti_connect_retries_total", &[]).await, 3.0);
    proxy.expect_ended("connect_failed", 1).await;
}

#[tokio::test]
async fn a_connect_into_a_black_hole_ends_after_five_seconds() {
    let hole = BlackHole::new();
    let proxy = Proxy::with(&pool_of(&[hole.address], "retries = 0"));
    let started = Instant::now();
    proxy.connect().await.expect_end().await;
    let took = started.elapsed();
    assert!(took >= 4_500 * MILLIS && took <= 5_500 * MILLIS, "{took:?}");
    proxy.expect_ended("connect_failed", 1).await;
    assert_eq!(proxy.metric("portti_backend_failures_total", &[("reason", "connect_timeout")]).await, 1.0);
}

#[tokio::test]
async fn after_a_black_hole_the_next_backend_is_tried() {
    let (hole, alive) = (BlackHole::new(), Backend::echo());
    let keys = "balance = \"round_robin\"\nconnect_timeout = \"300ms\"";
    let proxy = Proxy::with(&pool_of(&[hole.address, alive.address], keys));
    let mut slow = 0.0;
    for _ in 0..2 {
        let started = Instant::now();
        proxy.connect().await.echo(b"hello").await;
        assert_took(started.elapsed(), Duration::ZERO, 400 * MILLIS + SECOND);
        slow += f64::from(u8::from(started.elapsed() >= 300 * MILLIS));
    }
    assert!(slow > 0.0, "nobody was sent into the black hole");
    assert_eq!(proxy.metric("portti_backend_failures_total", &[("reason", "connect_timeout")]).await, slow);
}

#[tokio::test]
async fn all_tries_together_end_within_the_time_that_the_tries_have() {
    let (one, other) = (BlackHole::new(), BlackHole::new());
    // Waits as long as these would add seconds if they were not part of the budget.
    let keys = "connect_timeout = \"400ms\"\nretries = 2\nretry_backoff = \"10s\"";
    let proxy = Proxy::with(&pool_of(&[one.address, other.address], keys));
    let started = Instant::now();
    proxy.connect().await.expect_end().await;
    assert_took(started.elapsed(), 400 * MILLIS, 800 * MILLIS + 500 * MILLIS);
    proxy.expect_ended("connect_failed", 1).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_its_backend_is_dialled_is_not_counted_for_ever() {
    let hole = BlackHole::new();
    let proxy = Proxy::with(&pool_of(&[hole.address], "connect_timeout = \"1s\"\nretries = 0"));
    for _ in 0..10 {
        proxy.connect().await.reset();
    }
    proxy.expect_empty().await;
}

#[tokio::test]
async fn one_that_has_spoken_and_then_breaks_off_is_not_kept_for_all_tries() {
    let (hole, host) = (BlackHole::new(), "a.example");
    let keys = "connect_timeout = \"60s\"";
    let proxy = Proxy::with(&format!(
        "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n\
         [listeners.by_name]\nbind = \"127.0.0.1:0\"\nsni = [{{ host = \"{host}\", pool = \"game\" }}]\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\n{}",
        pool_of(&[hole.address], keys)
    ));
    let hello = client_hello(host, &[]);
    for (listener, first) in [
        ("game", &b"handshake"[..]),
        ("by_name", &hello),
        ("web", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("web", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"),
    ] {
        let mut client = Peer::connect(proxy.address_of(listener)).await;
        client.send(first).await;
        let dials = async || proxy.backend(hole.address).await["sessions_active"] == 1;
        eventually("its backend is dialled", dials).await;
        client.reset();
        proxy.expect_empty().await;
    }
    proxy.expect_ended("client_reset", 4).await;
}

#[tokio::test]
async fn one_that_has_only_closed_its_side_may_wait_for_an_answer() {
    let hole = BlackHole::new();
    let proxy = Proxy::with(&pool_of(&[hole.address], "connect_timeout = \"60s\""));
    let mut client = proxy.connect().await;
    client.send(b"one question").await;
    client.end().await;
    let stays = async || proxy.status().await["sessions_active"] == 1;
    eventually("its session begins", stays).await;
    always_for(SECOND, "its session goes on", stays).await;
    client.reset();
    proxy.expect_ended("client_reset", 1).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn what_a_client_sent_before_a_retry_reaches_one_backend_once() {
    let (dead, mut backend) = (free_address(), Backend::by_hand());
    let proxy = Proxy::with(&pool_of(&[dead, backend.backend.address], "balance = \"round_robin\""));
    for _ in 0..4 {
        let mut client = proxy.connect().await;
        client.send(b"join world 1").await;
        client.end().await;
        let mut server = backend.next().await;
        server.expect(b"join world 1").await;
        server.expect_end().await;
    }
    assert_eq!(backend.backend.accepted(), 4);
}

#[tokio::test]
async fn ipv6_works_on_both_sides() {
    let backend = Backend::at("[::1]:0".parse().unwrap(), async |mut stream| {
        let (mut from, mut to) = stream.split();
        let _reset = tokio::io::copy(&mut from, &mut to).await;
    });
    let listener = "[listeners.game]\nbind = [\"[::1]:0\", \"127.0.0.1:0\"]\npool = \"game\"\n";
    let proxy = Proxy::with(&format!("{}{listener}", pool(&[&backend], "")));
    assert!(proxy.address().is_ipv6());
    proxy.connect().await.echo(b"hello over six").await;
    let status = proxy.status().await;
    let addresses = status["listeners"][0]["bind"].as_array().unwrap();
    assert_eq!(addresses.len(), 2);
    let four = addresses[1].as_str().unwrap().parse().unwrap();
    Peer::connect(four).await.echo(b"hello from four").await;
    proxy.expect_ended("client_closed", 2).await;
}
