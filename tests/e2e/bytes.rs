//! Bytes arrive as they were sent: all of them, in order, in both directions, and nobody else's.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::{Backend, Pattern, Peer, Proxy, eventually, soon};

const MEGABYTE: usize = 1_000_000;

#[tokio::test]
async fn the_server_may_speak_first() {
    let backend = Backend::greeting(b"220 welcome\r\n");
    let proxy = Proxy::before(&[&backend]);
    let mut client = proxy.connect().await;
    client.expect(b"220 welcome\r\n").await;
    client.echo(b"thanks").await;
}

#[tokio::test]
async fn the_client_may_speak_first() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (mut client, mut server) = proxy.session(&mut backend).await;
    client.send(b"hello").await;
    server.expect(b"hello").await;
    server.send(b"hello yourself").await;
    client.expect(b"hello yourself").await;
}

#[tokio::test]
async fn messages_of_every_size_come_back() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut client = proxy.connect().await;
    // Around the sizes of a segment on loopback and of the relay's buffer.
    for size in [1, 2, 1_460, 65_482, 65_483, 65_484, 65_535, 65_536, 65_537, 200_000] {
        let pattern = Pattern::new(size as u64);
        let (mut from, mut to) = client.0.split();
        let (sent, seen) = soon("an echo", async {
            tokio::join!(pattern.send(&mut to, size), pattern.check_some(&mut from, 0, size))
        })
        .await;
        assert_eq!((sent, seen), (size, size));
    }
}

#[tokio::test]
async fn fifty_megabytes_pass_both_ways_at_once() {
    let length = 50 * MEGABYTE;
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (mut client, mut server) = proxy.session(&mut backend).await;
    let (up, down) = (Pattern::new(1), Pattern::new(2));
    let client_side = async {
        let (mut from, mut to) = client.0.split();
        let send = async {
            assert_eq!(up.send(&mut to, length).await, length);
            to.shutdown().await.unwrap();
        };
        tokio::join!(send, down.check(&mut from)).1
    };
    let server_side = async {
        let (mut from, mut to) = server.0.split();
        let send = async {
            assert_eq!(down.send(&mut to, length).await, length);
            to.shutdown().await.unwrap();
        };
        tokio::join!(send, up.check(&mut from)).1
    };
    let seen = soon("both transfers", async { tokio::join!(client_side, server_side) }).await;
    assert_eq!(seen, (length, length));
    proxy.expect_empty().await;
    for direction in ["up", "down"] {
        assert_eq!(proxy.metric("portti_bytes_total", &[("direction", direction)]).await, length as f64);
    }
}

#[tokio::test]
async fn bytes_sent_one_by_one_keep_their_order() {
    let backend = Backend::serving(async |mut stream| {
        stream.set_nodelay(true).unwrap();
        while let Ok(byte) = stream.read_u8().await {
            stream.write_u8(byte).await.unwrap();
        }
    });
    let proxy = Proxy::before(&[&backend]);
    let mut client = proxy.connect().await;
    let pattern = Pattern::new(3);
    let length = 5_000;
    let (mut from, mut to) = client.0.split();
    let send = async {
        let mut bytes = Vec::new();
        pattern.send(&mut bytes, length).await;
        for byte in bytes {
            to.write_u8(byte).await.unwrap();
        }
        to.shutdown().await.unwrap();
    };
    let seen = soon("an echo byte by byte", async { tokio::join!(send, pattern.check(&mut from)).1 }).await;
    assert_eq!(seen, length);
}

/// The median of the times that `exchange` takes.
async fn median(times: usize, mut exchange: impl AsyncFnMut()) -> Duration {
    let mut took = Vec::new();
    for _ in 0..times {
        let started = Instant::now();
        exchange().await;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    took[times / 2]
}

#[tokio::test]
async fn a_ping_pong_has_no_plateau() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut client = proxy.connect().await;
    let median = median(200, async || client.echo(b"p").await).await;
    assert!(median < Duration::from_millis(10), "{median:?}");
}

/// Where Nagle's algorithm is on, the second of two small messages waits until the first is acknowledged, and where
/// nothing is to be answered yet, that takes 40 ms.
#[tokio::test]
async fn a_second_small_message_does_not_wait_for_the_first_to_be_acknowledged() {
    const APART: Duration = Duration::from_millis(2);
    let backend = Backend::serving(async |mut stream| {
        stream.set_nodelay(true).unwrap();
        let mut question = [0; 2];
        while stream.read_exact(&mut question).await.is_ok() {
            stream.write_u8(b'a').await.unwrap();
            sleep(APART).await;
            stream.write_u8(b'b').await.unwrap();
        }
    });
    let proxy = Proxy::before(&[&backend]);
    let mut client = proxy.connect().await;
    let median = median(50, async || {
        client.send(b"x").await;
        sleep(APART).await;
        client.send(b"y").await;
        client.expect(b"ab").await;
    })
    .await;
    assert!(median < Duration::from_millis(30), "{median:?}");
}

#[tokio::test]
async fn two_thousand_sessions_keep_their_bytes_apart() {
    const SESSIONS: u32 = 2_000;
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let address = proxy.address();
    let mut clients = JoinSet::new();
    let (hold, held) = tokio::sync::watch::channel(false);
    for number in 0..SESSIONS {
        let mut held = held.clone();
        clients.spawn(async move {
            let mut client = Peer::connect(address).await;
            let message: Vec<u8> = number.to_be_bytes().repeat(16);
            client.echo(&message).await;
            // All of them live at once from here to the next echo.
            held.wait_for(|&go| go).await.unwrap();
            for round in 0..3_u32 {
                let message: Vec<u8> = (number ^ (round << 16)).to_be_bytes().repeat(64);
                client.echo(&message).await;
            }
            client.end().await;
            client.expect_end().await;
        });
    }
    let active = async || proxy.status().await["sessions_active"] == SESSIONS;
    eventually("2,000 live sessions", active).await;
    let asked = Instant::now();
    assert_eq!(proxy.get("/readyz").await.status, 200);
    assert!(asked.elapsed() < Duration::from_secs(1), "the admin server took {:?}", asked.elapsed());
    hold.send(true).unwrap();
    clients.join_all().await;
    proxy.expect_ended("client_closed", SESSIONS).await;
    proxy.expect_empty().await;
}
