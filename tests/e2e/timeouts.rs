//! The limits on silence and on age. A session ends no earlier than its limit, and not much later.

use std::time::Duration;

use tokio::time::{Instant, interval, sleep};

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, always_for, assert_took, eventually, soon};

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
async fn who_stays_after_the_other_sides_end_does_not_keep_the_session() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&pool(&[&backend.backend], "half_close_timeout = \"1s\""));
    let (mut client, mut server) = proxy.session(&mut backend).await;
    let (mut other, mut its_server) = proxy.session(&mut backend).await;
    server.end().await;
    client.expect_end().await;
    other.end().await;
    its_server.expect_end().await;
    let ended = Instant::now();
    // Late replies arrive, and put the end off.
    for _ in 0..3 {
        sleep(500 * MILLIS).await;
        its_server.send(b"late").await;
        other.expect(b"late").await;
    }
    proxy.expect_ended("backend_closed", 1).await;
    other.expect_end().await;
    assert_took(ended.elapsed(), 2_490 * MILLIS, 2 * LATE);
    proxy.expect_ended("client_closed", 1).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn the_place_at_a_backend_is_free_when_that_has_closed() {
    let mut backend = Backend::by_hand();
    let address = backend.backend.address;
    let proxy = Proxy::with(&format!(
        "[pools.game]\nbackends = [{{ address = \"{address}\", max_connections = 1 }}]\n\
         queue = {{ size = 5, timeout = \"30s\" }}"
    ));
    let (mut kicked, mut server) = proxy.session(&mut backend).await;
    let mut waiting = proxy.connect().await;
    let waits = async || proxy.metric("portti_queue_depth", &[]).await == 1.0;
    eventually("the next one waits", waits).await;
    server.send(b"you are out").await;
    server.end().await;
    kicked.expect(b"you are out").await;
    kicked.expect_end().await;
    let mut next = backend.next().await;
    next.send(b"welcome").await;
    waiting.expect(b"welcome").await;
    assert_eq!(proxy.backend(address).await["sessions_active"], 1);
    assert_eq!(proxy.status().await["sessions_active"], 2, "its client has not closed yet");
    drop((kicked, server));
    proxy.expect_ended("backend_closed", 1).await;
    assert_eq!(proxy.backend(address).await["sessions_active"], 1, "it was given back once");
}

#[tokio::test]
async fn it_is_free_also_while_the_client_takes_nothing_of_what_the_backend_said() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (client, mut server) = proxy.session(&mut backend).await;
    client.narrow();
    let mut sent = 0.0;
    // What does not go on waits at the proxy, and leaves room for the end.
    while proxy.metric("portti_bytes_total", &[("direction", "down")]).await >= sent {
        server.send(&[0; 64 * 1024]).await;
        sent += 65_536.0;
        sleep(20 * MILLIS).await;
    }
    let address = backend.backend.address;
    assert_eq!(proxy.backend(address).await["sessions_active"], 1);
    server.end().await;
    eventually("the place is free", async || proxy.backend(address).await["sessions_active"] == 0).await;
    assert_eq!(proxy.status().await["sessions_active"], 1);
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

#[tokio::test]
async fn one_that_takes_nothing_for_tcp_user_timeout_is_given_up() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&pool(&[&backend.backend], "tcp_user_timeout = \"1s\""));
    let (client, server) = proxy.session(&mut backend).await;
    client.narrow();
    server.narrow();
    fill(&server, 700 * MILLIS).await;
    proxy.expect_ended("client_reset", 1).await;
    let (client, server) = proxy.session(&mut backend).await;
    client.narrow();
    server.narrow();
    soon("a full way up", fill(&client, 700 * MILLIS)).await;
    proxy.expect_ended("backend_reset", 1).await;
    // Who is silent, and alive, is not.
    let (mut client, mut server) = proxy.session(&mut backend).await;
    always_for(2_500 * MILLIS, "closed", async || client.is_quiet() && server.is_quiet()).await;
    server.send(b"still here").await;
    client.expect(b"still here").await;
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
