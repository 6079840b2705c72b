//! The queue of a pool, seen from outside.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Backend, Peer, Proxy, assert_took, eventually, free_address};

const LATE: Duration = Duration::from_millis(700);

fn queued(backend: &Backend, room: u32, keys: &str) -> String {
    let address = backend.address;
    format!(
        "[pools.game]\nbackends = [{{ address = \"{address}\", max_connections = {room} }}]\n[pools.game.queue]\n{keys}"
    )
}

async fn waiting(proxy: &Proxy, sessions: u32) {
    let what = format!("{sessions} sessions that wait");
    eventually(&what, async || proxy.metric("portti_queue_depth", &[]).await == f64::from(sessions)).await;
}

#[tokio::test]
async fn those_who_wait_are_served_in_order() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&queued(&backend, 1, "timeout = \"1m\""));
    let mut playing = proxy.connect().await;
    playing.echo(b"first").await;
    let mut line: Vec<Peer> = Vec::new();
    for number in 1..=3 {
        line.push(proxy.connect().await);
        waiting(&proxy, number).await;
    }
    for _ in 0..3 {
        let next = line.remove(0);
        assert!(line.iter().all(Peer::is_quiet));
        drop(std::mem::replace(&mut playing, next));
        playing.echo(b"my turn").await;
    }
    waiting(&proxy, 0).await;
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("portti_queue_wait_seconds_count", &[("pool", "game")]), 3.0);
    assert_eq!(metrics.sum("portti_backend_sessions_total", &[]), 4.0);
}

#[tokio::test]
async fn those_who_were_just_playing_are_served_before_newcomers() {
    let backend = Backend::echo();
    let reconnect = "\n[server]\n[server.reconnect]\nmin_session = \"0s\"\n";
    let proxy = Proxy::with(&(queued(&backend, 1, "timeout = \"1m\"") + reconnect));
    proxy.connect_from([127, 0, 0, 9]).await.echo(b"plays").await;
    proxy.expect_empty().await;

    let mut playing = proxy.connect_from([127, 0, 0, 1]).await;
    playing.echo(b"first").await;
    let mut newcomer = proxy.connect_from([127, 0, 0, 50]).await;
    waiting(&proxy, 1).await;
    let mut back = proxy.connect_from([127, 0, 0, 9]).await;
    waiting(&proxy, 2).await;
    drop(playing);
    back.echo(b"back again").await;
    assert!(newcomer.is_quiet());
    drop(back);
    newcomer.echo(b"my turn").await;
}

#[tokio::test]
async fn what_a_client_sends_while_it_waits_is_passed_on_later() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&queued(&backend, 1, "timeout = \"1m\""));
    let mut playing = proxy.connect().await;
    playing.echo(b"first").await;
    let mut early = proxy.connect().await;
    early.send(b"hello ").await;
    waiting(&proxy, 1).await;
    early.send(b"world").await;
    drop(playing);
    early.expect(b"hello world").await;
}

#[tokio::test]
async fn who_waits_too_long_or_finds_the_queue_full_is_refused() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&queued(&backend, 1, "timeout = \"800ms\"\nsize = 1"));
    let mut playing = proxy.connect().await;
    playing.echo(b"first").await;
    let (mut waits, began) = (proxy.connect().await, Instant::now());
    waiting(&proxy, 1).await;
    proxy.connect().await.expect_end().await;
    proxy.expect_ended("queue_full", 1).await;
    waits.expect_end().await;
    assert_took(began.elapsed(), Duration::from_millis(700), LATE);
    proxy.expect_ended("queue_timeout", 1).await;
    waiting(&proxy, 0).await;
    playing.echo(b"still here").await;
}

#[tokio::test]
async fn who_leaves_is_out_of_the_queue_within_a_second() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&queued(&backend, 1, "timeout = \"1m\""));
    let mut playing = proxy.connect().await;
    playing.echo(b"first").await;
    let closes = proxy.connect().await;
    let mut talks_and_closes = proxy.connect().await;
    talks_and_closes.send(b"bye").await;
    let resets = proxy.connect().await;
    let mut stays = proxy.connect().await;
    waiting(&proxy, 4).await;
    let began = Instant::now();
    drop(closes);
    drop(talks_and_closes);
    resets.reset();
    waiting(&proxy, 1).await;
    assert!(began.elapsed() < Duration::from_secs(1) + LATE, "took {:?}", began.elapsed());
    proxy.expect_ended("client_closed", 2).await;
    proxy.expect_ended("client_reset", 1).await;
    drop(playing);
    stays.echo(b"my turn").await;
}

#[tokio::test]
async fn a_backend_that_a_reload_adds_serves_those_who_wait() {
    let (full, fresh) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::with(&queued(&full, 1, "timeout = \"1m\""));
    let mut playing = proxy.connect().await;
    playing.echo(b"first").await;
    let mut waits = proxy.connect().await;
    waiting(&proxy, 1).await;
    proxy.reload_with(&queued(&fresh, 1, "timeout = \"1m\"")).await;
    waits.echo(b"at the new one").await;
    playing.echo(b"at the old one").await;
    assert_eq!(fresh.accepted(), 1);
}

#[tokio::test]
async fn a_circuit_that_becomes_half_open_serves_those_who_wait() {
    let backend = Backend::echo();
    let breaker = "\n[pools.game.breaker]\nfailures = 1\nopen_for = \"500ms\"";
    let proxy = Proxy::with(&(queued(&backend, 5, "timeout = \"1m\"") + breaker));
    backend.close().await;
    let mut fails = proxy.connect().await;
    fails.expect_end().await;
    backend.open_again();
    let mut waits = proxy.connect().await;
    waits.echo(b"hello").await;
    assert_eq!(proxy.metric("portti_queue_wait_seconds_count", &[]).await, 1.0);
}

#[tokio::test]
async fn without_a_queue_there_is_no_waiting() {
    let proxy = Proxy::with(&crate::support::proxy::pool_of(
        &[free_address()],
        "retries = 0\nqueue = \"off\"\n[pools.game.breaker]\nfailures = 1",
    ));
    proxy.connect().await.expect_end().await;
    proxy.connect().await.expect_end().await;
    proxy.expect_ended("no_backend", 1).await;
}
