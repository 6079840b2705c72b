//! The limits on silence and on age. A session ends no earlier than its limit, and not much later.

use std::time::Duration;

use tokio::time::{Instant, interval, sleep};

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, always_for, assert_took, soon};

const MILLIS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What a busy machine may add.
const LATE: Duration = Duration::from_millis(700);

#[tokio::test]
async fn a_backend_that_never_answers_costs_the_request_timeout() {
    let backend = Backend::mute();
    let proxy = Proxy::with(&pool(&[&backend], "request_timeout = \"1s\""));
    let mut client = proxy.connect().await;
    client.send(b"anybody there?").await;
    let sent = Instant::now();
    let _end = client.ending().await;
    assert_took(sent.elapsed(), 990 * MILLIS, LATE);
    proxy.expect_ended("request_timeout", 1).await;
    assert_eq!(proxy.metric("portti_backend_failures_total", &[("reason", "request_timeout")]).await, 1.0);
    proxy.expect_empty().await;
}

#[tokio::test]
async fn further_bytes_of_the_client_do_not_put_the_request_timeout_off() {
    let backend = Backend::mute();
    let proxy = Proxy::with(&pool(&[&backend], "request_timeout = \"1s\""));
    let client = proxy.connect().await;
    let started = Instant::now();
    while client.0.try_write(b"?").is_ok() && started.elapsed() < 10 * SECOND {
        sleep(50 * MILLIS).await;
    }
    assert_took(started.elapsed(), 990 * MILLIS, LATE);
    proxy.expect_ended("request_timeout", 1).await;
}

#[tokio::test]
async fn the_backends_first_byte_ends_the_request_timeout_for_good() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&pool(&[&backend.backend], "request_timeout = \"500ms\""));
    let (mut client, mut server) = proxy.session(&mut backend).await;
    client.send(b"?").await;
    server.send(b"!").await;
    client.expect(b"!").await;
    for _ in 0..3 {
        client.send(b"?").await;
        always_for(600 * MILLIS, "closed", async || client.is_quiet()).await;
    }
    assert_eq!(proxy.metric("portti_backend_failures_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_client_that_asks_nothing_is_owed_no_answer() {
    let backend = Backend::mute();
    let proxy = Proxy::with(&pool(&[&backend], "request_timeout = \"300ms\""));
    let client = proxy.connect().await;
    always_for(SECOND, "closed", async || client.is_quiet()).await;
}

#[tokio::test]
async fn a_session_without_a_byte_ends_by_idle_timeout() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&pool(&[&backend], "idle_timeout = \"1s\""));
    let mut client = proxy.connect().await;
    client.echo(b"hello").await;
    let last = Instant::now();
    client.expect_end().await;
    // It is looked at in sixteenths.
    assert_took(last.elapsed(), 990 * MILLIS, 70 * MILLIS + LATE);
    proxy.expect_ended("idle_timeout", 1).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn clients_that_connect_and_say_nothing_are_collected() {
    let backend = Backend::mute();
    let proxy = Proxy::with(&pool(&[&backend], "idle_timeout = \"1s\""));
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(proxy.connect().await);
    }
    proxy.expect_ended("idle_timeout", 300).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn bytes_in_one_direction_are_enough_not_to_be_idle() {
    let mut backend = Backend::by_hand();
    let keys = "idle_timeout = \"500ms\"\nrequest_timeout = \"off\"";
    let proxy = Proxy::with(&pool(&[&backend.backend], keys));
    let (mut watcher, mut shower) = proxy.session(&mut backend).await;
    let (mut sender, mut silent) = proxy.session(&mut backend).await;
    let mut beat = interval(150 * MILLIS);
    for _ in 0..10 {
        beat.tick().await;
        shower.send(b"down").await;
        watcher.expect(b"down").await;
        sender.send(b"up").await;
        silent.expect(b"up").await;
    }
    assert_eq!(proxy.status().await["sessions_active"], 2);
    proxy.expect_ended("idle_timeout", 2).await;
}

#[tokio::test]
async fn a_half_closed_session_is_idle_too() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&pool(&[&backend.backend], "idle_timeout = \"500ms\""));
    let (mut client, mut server) = proxy.session(&mut backend).await;
    client.end().await;
    server.expect_end().await;
    proxy.expect_ended("idle_timeout", 1).await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_more_is_idle_however_much_waits_for_it() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&pool(&[&backend.backend], "idle_timeout = \"1s\""));
    let (client, server) = proxy.session(&mut backend).await;
    client.narrow();
    server.narrow();
    fill(&server, 700 * MILLIS).await;
    proxy.expect_ended("idle_timeout", 1).await;
    proxy.expect_empty().await;
}

/// Sends until nothing has been taken for `quiet`.
async fn fill(sender: &Peer, quiet: Duration) {
    let chunk = vec![0; 64 * 1024];
    let mut last_taken = Instant::now();
    soon("a full way", async {
        while last_taken.elapsed() < quiet {
            match sender.0.try_write(&chunk) {
                Ok(_) => last_taken = Instant::now(),
                Err(_full) => sleep(5 * MILLIS).await,
            }
        }
    })
    .await;
}

#[tokio::test]
async fn no_session_lasts_longer_than_its_lifetime() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&pool(&[&backend], "max_lifetime = \"1s\""));
    let started = Instant::now();
    let mut client = proxy.connect().await;
    while client.try_echo(b"still here").await.unwrap_or(false) {
        assert!(started.elapsed() < SECOND + LATE, "it lives on");
        sleep(20 * MILLIS).await;
    }
    assert_took(started.elapsed(), 990 * MILLIS, LATE);
    proxy.expect_ended("max_lifetime", 1).await;
    proxy.expect_empty().await;
}
