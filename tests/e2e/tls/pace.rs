//! How fast handshakes are begun.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{HOST, LATE, listener, proxy, secure};
use crate::support::proxy::pool;
use crate::support::tls::{client, connect};
use crate::support::{Backend, assert_took, eventually};

#[tokio::test]
async fn handshakes_beyond_the_rate_wait_their_turn() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "handshake_rate = \"10/s\"", "");
    let address = proxy.address();
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..15 {
        clients.spawn(async move {
            connect(address, HOST, &client(&[])).await.unwrap().echo(b"hello").await;
            begun.elapsed()
        });
    }
    let last = clients.join_all().await.into_iter().max().unwrap();
    // Ten at once, and five more a tenth of a second apart.
    assert_took(last, Duration::from_millis(475), LATE);
    let waited = proxy.metric("portti_handshake_wait_seconds_count", &[("listener", "game")]).await;
    assert!((1.0..=5.0).contains(&waited), "{waited}");
}

#[tokio::test]
async fn who_waits_for_a_handshake_waits_within_bounds_and_who_says_nothing_takes_no_turn() {
    let backend = Backend::echo();
    let keys = "handshake_rate = \"1/h\"\nmax_waiting = 1\nwait_timeout = \"500ms\"";
    let proxy = proxy(&backend, keys, "");
    for _ in 0..3 {
        proxy.connect().await.end().await;
    }
    proxy.expect_ended("client_closed", 3).await;
    secure(&proxy).await.echo(b"the first").await;
    let (address, begun) = (proxy.address(), Instant::now());
    let waits = tokio::spawn(async move { connect(address, HOST, &client(&[])).await.map(drop) });
    eventually("one waits", async || proxy.metric("portti_handshakes_waiting", &[]).await == 1.0).await;
    connect(address, HOST, &client(&[])).await.map(drop).unwrap_err();
    proxy.expect_ended("queue_full", 1).await;
    waits.await.unwrap().unwrap_err();
    assert_took(begun.elapsed(), Duration::from_millis(500), LATE);
    proxy.expect_ended("queue_timeout", 1).await;
    // Without a rate nobody waits.
    proxy.reload_with(&(listener("", "") + &pool(&[&backend], ""))).await;
    secure(&proxy).await.echo(b"hello").await;
}
