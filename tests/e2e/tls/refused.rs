//! What is no handshake ends one session.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use super::{HOST, LATE, folder, listener, proxy, secure, since};
use crate::support::proxy::pool;
use crate::support::tls::client_hello;
use crate::support::{Backend, Proxy, assert_took, eventually};

#[tokio::test]
async fn what_is_no_tls_is_refused_at_once() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "", "");
    let wrong: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: game.example.com\r\n\r\n",
        // SSL 2.0, SSL 3.0 without anything newer, an alert, and two broken messages.
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
        &[&b"\x16\x03\x00\x00\x2d\x01\x00\x00\x29\x03\x00"[..], &[7; 32], b"\0\0\x02\0\x0a\x01\0"].concat(),
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
    ];
    for bytes in wrong {
        let asked = Instant::now();
        let mut client = proxy.connect().await;
        client.send(bytes).await;
        client.ending().await;
        assert_took(since(asked), Duration::ZERO, LATE);
    }
    proxy.expect_ended("tls_failed", 6).await;
    assert_eq!(backend.accepted(), 0);
    secure(&proxy).await.echo(b"hello").await;
}

#[tokio::test]
async fn a_first_message_that_breaks_off_anywhere_ends_one_session() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "", "");
    let hello = client_hello(HOST, &[]);
    for length in 0..hello.len() {
        let mut client = proxy.connect().await;
        client.send(&hello[..length]).await;
        client.end().await;
        client.ending().await;
    }
    // Who says nothing at all is a check of the port.
    proxy.expect_ended("client_closed", 1).await;
    proxy.expect_ended("tls_failed", u32::try_from(hello.len() - 1).unwrap()).await;
    proxy.expect_empty().await;
    let client = proxy.connect().await;
    eventually("it is there", async || proxy.status().await["sessions_active"] == 1).await;
    client.reset();
    proxy.expect_ended("client_reset", 1).await;
    secure(&proxy).await.echo(b"hello").await;
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_given_up() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "", "handshake_timeout = \"1s\"");
    let hello = client_hello(HOST, &[]);
    let asked = Instant::now();
    let mut waits = [proxy.connect().await, proxy.connect().await, proxy.connect().await];
    // One says nothing, one all of its first message, and one a byte now and then.
    waits[1].send(&hello).await;
    let mut sent = 0;
    while since(asked) < Duration::from_millis(1100) && sent < 50 {
        let _closed = waits[2].0.write_all(&hello[sent..=sent]).await;
        sent += 1;
        sleep(Duration::from_millis(20)).await;
    }
    for client in &mut waits {
        client.ending().await;
    }
    assert_took(since(asked), Duration::from_millis(990), LATE);
    proxy.expect_ended("tls_failed", 3).await;
}

#[tokio::test]
async fn those_who_take_their_time_keep_nobody_from_playing() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "", "");
    let hello = client_hello(HOST, &[]);
    let mut slow = Vec::new();
    // More than the handshakes that may be under way on both workers.
    for number in 0..1200 {
        let mut client = proxy.connect().await;
        client.send(&hello[..number % hello.len()]).await;
        slow.push(client);
    }
    eventually("they are there", async || proxy.status().await["sessions_active"] == 1200).await;
    let asked = Instant::now();
    secure(&proxy).await.echo(b"hello").await;
    assert_took(since(asked), Duration::ZERO, LATE);
    drop(slow);
    proxy.expect_empty().await;
}

#[tokio::test]
async fn those_who_say_nothing_more_after_their_first_message_give_way() {
    let backend = Backend::echo();
    let config = listener("", "") + &pool(&[&backend], "") + "[server]\nworkers = 1\n";
    let proxy = Proxy::in_folder(folder(), &config).unwrap();
    let hello = client_hello(HOST, &[]);
    let mut stalled = Vec::new();
    for _ in 0..600 {
        let mut client = proxy.connect().await;
        client.send(&hello).await;
        stalled.push(client);
    }
    let asked = Instant::now();
    secure(&proxy).await.echo(b"hello").await;
    assert_took(since(asked), Duration::ZERO, Duration::from_secs(4));
    let gave_way = proxy.metric("portti_sessions_total", &[("reason", "tls_failed")]).await;
    assert!((1.0..=600.0).contains(&gave_way), "{gave_way}");
}

#[tokio::test]
async fn a_handshake_under_way_does_not_hold_up_a_drain_that_is_over() {
    let backend = Backend::echo();
    let drain = "[server]\ndrain_timeout = \"500ms\"\n";
    let config = listener("", "") + &pool(&[&backend], "") + drain;
    let mut proxy = Proxy::in_folder(folder(), &config).unwrap();
    let mut client = proxy.connect().await;
    client.send(&client_hello(HOST, &[])).await;
    eventually("it is there", async || proxy.status().await["sessions_active"] == 1).await;
    proxy.shut_down();
    let asked = Instant::now();
    proxy.ended().await;
    assert_took(since(asked), Duration::from_millis(490), LATE);
}
