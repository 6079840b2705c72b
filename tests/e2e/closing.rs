//! How sessions end: each side's end and each side's reset reach the other side, and what was sent before is not lost.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::proxy::pool;
use crate::support::{Backend, Ending, Pattern, Peer, Proxy, always_for, assert_took, eventually, soon};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_reply_arrives_two_seconds_after_the_clients_end() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (mut client, mut server) = proxy.session(&mut backend).await;
    client.send(b"a long question").await;
    client.end().await;
    server.expect(b"a long question").await;
    server.expect_end().await;
    always_for(2 * SECOND, "the client is not closed before its reply", async || client.is_quiet()).await;
    server.send(b"a late reply").await;
    server.end().await;
    client.expect(b"a late reply").await;
    client.expect_end().await;
    proxy.expect_ended("client_closed", 1).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn the_client_goes_on_sending_two_seconds_after_the_backends_end() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (mut client, mut server) = proxy.session(&mut backend).await;
    server.send(b"that is all").await;
    server.end().await;
    client.expect(b"that is all").await;
    client.expect_end().await;
    always_for(2 * SECOND, "the backend is not closed", async || server.is_quiet()).await;
    let pattern = Pattern::new(5);
    let length = 1_000_000;
    let (sent, seen) = soon("the upload", async {
        tokio::join!(
            async {
                let sent = pattern.send(&mut client.0, length).await;
                client.end().await;
                sent
            },
            pattern.check(&mut server.0)
        )
    })
    .await;
    assert_eq!((sent, seen), (length, length));
    proxy.expect_ended("backend_closed", 1).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn the_side_that_closes_first_is_the_reason() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (client, mut server) = proxy.session(&mut backend).await;
    drop(client);
    server.expect_end().await;
    drop(server);
    proxy.expect_ended("client_closed", 1).await;
    let (mut client, server) = proxy.session(&mut backend).await;
    drop(server);
    client.expect_end().await;
    drop(client);
    proxy.expect_ended("backend_closed", 1).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn what_a_backend_sent_before_it_closed_arrives() {
    let length = 1_000_000;
    let backend = Backend::serving(move |mut stream| async move {
        Pattern::new(6).send(&mut stream, length).await;
    });
    let proxy = Proxy::before(&[&backend]);
    let mut client = proxy.connect().await;
    assert_eq!(soon("all of it", Pattern::new(6).check(&mut client.0)).await, length);
    drop(client);
    proxy.expect_ended("backend_closed", 1).await;
}

#[tokio::test]
async fn a_clients_reset_reaches_the_backend_within_a_second() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (mut client, mut server) = proxy.session(&mut backend).await;
    client.send(b"hello").await;
    server.expect(b"hello").await;
    let reset = Instant::now();
    client.reset();
    server.expect_reset().await;
    assert_took(reset.elapsed(), Duration::ZERO, SECOND);
    proxy.expect_ended("client_reset", 1).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn a_backends_reset_reaches_the_client_within_a_second() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (mut client, mut server) = proxy.session(&mut backend).await;
    server.send(b"hello").await;
    client.expect(b"hello").await;
    let reset = Instant::now();
    server.reset();
    client.expect_reset().await;
    assert_took(reset.elapsed(), Duration::ZERO, SECOND);
    proxy.expect_ended("backend_reset", 1).await;
    // It had answered before: the reset says nothing against the backend.
    assert_eq!(proxy.metric("portti_backend_failures_total", &[]).await, 0.0);
    proxy.expect_empty().await;
}

/// Sends until nothing more is taken: the proxy may not read, so it cannot learn from reading that this side is gone.
async fn stall(sender: &Peer) {
    let chunk = vec![0; 64 * 1024];
    let mut last_taken = Instant::now();
    soon("a full way", async {
        while last_taken.elapsed() < Duration::from_millis(300) {
            match sender.0.try_write(&chunk) {
                Ok(_) => last_taken = Instant::now(),
                Err(_full) => sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_reset_of_a_client_whose_upload_is_stalled_is_noticed_within_a_second() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&pool(&[&backend.backend], "request_timeout = \"off\""));
    let (client, mut server) = proxy.session(&mut backend).await;
    stall(&client).await;
    let reset = Instant::now();
    client.reset();
    // The backend is not asked: it does not read, and a reset waits behind unread bytes for nobody.
    eventually("the end of the session", async || proxy.status().await["sessions_active"] == 0).await;
    assert_took(reset.elapsed(), Duration::ZERO, SECOND);
    proxy.expect_ended("client_reset", 1).await;
    assert_eq!(server.ending().await.0, Ending::Reset);
}

#[tokio::test]
async fn a_reset_of_a_backend_whose_download_is_stalled_is_noticed_within_a_second() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (mut client, server) = proxy.session(&mut backend).await;
    stall(&server).await;
    let reset = Instant::now();
    server.reset();
    eventually("the end of the session", async || proxy.status().await["sessions_active"] == 0).await;
    assert_took(reset.elapsed(), Duration::ZERO, SECOND);
    proxy.expect_ended("backend_reset", 1).await;
    assert_eq!(client.ending().await.0, Ending::Reset);
}

#[tokio::test]
async fn connections_that_carry_nothing_are_not_leaked() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    for _ in 0..100 {
        drop(proxy.connect().await);
    }
    proxy.expect_ended("client_closed", 100).await;
    proxy.expect_empty().await;
    assert_eq!(proxy.metric("portti_bytes_total", &[]).await, 0.0);
}
