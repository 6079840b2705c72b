//! Circuits under strangers' hands: what a client can do to itself is not held against a server that is well.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, always_for, eventually, soon};

const MILLIS: Duration = Duration::from_millis(1);

/// Longer than a backend has to be silent before resets count.
const FLOOD: Duration = Duration::from_secs(3);

/// A game server that is well: it echoes what begins with a whole hello, waits for the rest of half a one, and hangs up on anything
/// else with bytes unread, which makes it a reset.
fn well() -> Backend {
    Backend::serving(async |mut stream| {
        let mut buffer = vec![0; 4096];
        let mut read = 0;
        while read < HELLO.len() {
            match stream.read(&mut buffer[read..]).await {
                Ok(0) | Err(_) => return,
                Ok(more) => read += more,
            }
            if !HELLO.starts_with(&buffer[..read.min(HELLO.len())]) {
                return stream.set_zero_linger().unwrap();
            }
        }
        while read > 0 && stream.write_all(&buffer[..read]).await.is_ok() {
            read = stream.read(&mut buffer).await.unwrap_or(0);
        }
    })
}

const HELLO: &[u8] = b"hello, I am a player\n";

/// The stranger of this number.
fn stranger(number: u8) -> Ipv4Addr {
    [127, 0, 66, number].into()
}

/// Sends bytes from an address; returns when something comes back, or the connection ends.
async fn sends(to: SocketAddr, from: Ipv4Addr, bytes: &'static [u8]) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut client = soon("a connection", socket.connect(to)).await.unwrap();
    let _may_be_gone = client.write_all(bytes).await;
    let _answer_or_end = soon("an answer, or an end", client.read(&mut [0; 64])).await;
}

/// The same for many at once, each from an address of its own.
async fn send_at_once(to: SocketAddr, strangers: Range<u8>, bytes: &'static [u8]) {
    let sending: JoinSet<()> = strangers.map(|number| sends(to, stranger(number), bytes)).collect();
    sending.join_all().await;
}

const RUBBISH: &[u8] = b"\x16\x03\x01AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const HALF: &[u8] = b"hello, I";

/// Players who are served until this is dropped, each several times a second.
async fn players(proxy: &Proxy, count: usize) -> JoinSet<()> {
    let mut players = JoinSet::new();
    for _ in 0..count {
        let mut player = proxy.connect().await;
        player.echo(HELLO).await;
        players.spawn(async move {
            loop {
                player.echo(b"ping").await;
                sleep(50 * MILLIS).await;
            }
        });
    }
    players
}

async fn expect_well(proxy: &Proxy) {
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("portti_backend_circuit_transitions_total", &[]), 0.0);
    assert_eq!(proxy.get("/readyz").await.status, 200);
    for _ in 0..5 {
        proxy.connect().await.echo(HELLO).await;
    }
}

#[tokio::test]
async fn a_port_scan_at_night_opens_nothing() {
    let (one, two) = (well(), well());
    let proxy = Proxy::with(&pool(&[&one, &two], "request_timeout = \"200ms\"\nbreaker = { failures = 2 }"));
    let started = Instant::now();
    while started.elapsed() < FLOOD {
        sends(proxy.address(), stranger(1), RUBBISH).await;
        sends(proxy.address(), stranger(1), HALF).await;
    }
    assert!(proxy.metric("portti_backend_failures_total", &[("reason", "backend_reset")]).await > 5.0);
    assert!(proxy.metric("portti_backend_failures_total", &[("reason", "request_timeout")]).await > 5.0);
    expect_well(&proxy).await;
}

#[tokio::test]
async fn a_flood_of_rubbish_from_one_address_opens_nothing() {
    let (one, two) = (well(), well());
    let proxy = Proxy::with(&pool(&[&one, &two], "request_timeout = \"10s\""));
    let started = Instant::now();
    while started.elapsed() < FLOOD {
        let flood: JoinSet<()> = (0..50).map(|_| sends(proxy.address(), stranger(1), RUBBISH)).collect();
        flood.join_all().await;
    }
    expect_well(&proxy).await;
}

#[tokio::test]
async fn rubbish_from_two_hundred_addresses_opens_nothing_beside_players_who_are_served() {
    let (one, two) = (well(), well());
    let proxy = Proxy::with(&pool(&[&one, &two], "balance = \"round_robin\"\nrequest_timeout = \"1s\""));
    let mut players = players(&proxy, 4).await;
    let started = Instant::now();
    while started.elapsed() < FLOOD {
        send_at_once(proxy.address(), 0..200, RUBBISH).await;
    }
    assert!(proxy.metric("portti_backend_failures_total", &[("reason", "backend_reset")]).await >= 200.0);
    expect_well(&proxy).await;
    assert!(players.try_join_next().is_none(), "no player has lost anything");
}

#[tokio::test]
async fn half_packets_from_twelve_addresses_open_nothing_beside_players_who_are_served() {
    let (one, two) = (well(), well());
    let proxy = Proxy::with(&pool(&[&one, &two], "balance = \"round_robin\"\nrequest_timeout = \"1s\""));
    let mut players = players(&proxy, 4).await;
    for _ in 0..2 {
        send_at_once(proxy.address(), 0..12, HALF).await;
    }
    proxy.expect_ended("request_timeout", 24).await;
    expect_well(&proxy).await;
    assert!(players.try_join_next().is_none(), "no player has lost anything");
}

#[tokio::test]
async fn a_hung_server_is_found_from_five_clients_without_an_answer() {
    let (hung, fine) = (Backend::mute(), well());
    let proxy = Proxy::with(&pool(&[&hung, &fine], "balance = \"round_robin\"\nrequest_timeout = \"300ms\""));
    // Each has a neighbour on the other server, who is served there: that is no answer of the hung one.
    send_at_once(proxy.address(), 0..8, HELLO).await;
    assert_eq!(proxy.backend(hung.address).await["circuit"], "closed", "four clients");
    send_at_once(proxy.address(), 8..10, HELLO).await;
    eventually("an open circuit", async || proxy.backend(hung.address).await["circuit"] == "open").await;
    assert_eq!(proxy.backend(fine.address).await["circuit"], "closed");
    let accepted = hung.accepted();
    for _ in 0..5 {
        proxy.connect().await.echo(HELLO).await;
    }
    assert_eq!(hung.accepted(), accepted, "nobody is sent there any more");
}

#[tokio::test]
async fn a_server_that_resets_everybody_is_found_and_only_an_answer_brings_it_back() {
    let backend = Backend::resetting();
    let keys = "retries = 0\nbreaker = { failures = 3, open_for = \"300ms\" }";
    let proxy = Proxy::with(&pool(&[&backend], keys));
    for number in 0..3 {
        sends(proxy.address(), stranger(number), HELLO).await;
    }
    let entered = async |state: &str| {
        // Looking at it is what lets time act.
        proxy.status().await;
        proxy.metric("portti_backend_circuit_transitions_total", &[("to", state)]).await
    };
    eventually("half open", async || entered("half_open").await == 1.0).await;
    sends(proxy.address(), stranger(9), HELLO).await;
    always_for(500 * MILLIS, "one client is not enough", async || entered("open").await == 1.0).await;
    eventually("open again", async || {
        sends(proxy.address(), stranger(10), HELLO).await;
        entered("open").await == 2.0
    })
    .await;
    assert_eq!(entered("closed").await, 0.0);
}

#[tokio::test]
async fn who_was_refused_a_moment_ago_is_no_witness() {
    let mut backend = Backend::by_hand();
    let listener = "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\nmax_connections_per_ip = 1\n";
    let keys = "request_timeout = \"300ms\"\nbreaker = { failures = 3 }";
    let proxy = Proxy::with(&format!("{listener}{}", pool(&[&backend.backend], keys)));
    let mut servers = Vec::new();
    for (number, is_refused) in [(1, true), (2, true), (3, false), (4, false), (5, false)] {
        let mut client = proxy.connect_from(stranger(number)).await;
        servers.push(backend.next().await);
        if is_refused {
            proxy.connect_from(stranger(number)).await.expect_end().await;
        }
        client.send(HELLO).await;
        client.ending().await;
        let expected = if number < 5 { "closed" } else { "open" };
        assert_eq!(proxy.backend(backend.backend.address).await["circuit"], expected, "after client {number}");
    }
    proxy.expect_ended("per_ip_limit", 2).await;
}

#[tokio::test]
async fn what_the_config_does_not_count_opens_nothing() {
    let (mute, resets) = (Backend::mute(), Backend::resetting());
    let keys = "balance = \"round_robin\"\nrequest_timeout = \"200ms\"\nretries = 0\n\
                breaker = { failures = 1, counts = [\"connect\"] }";
    let proxy = Proxy::with(&pool(&[&mute, &resets], keys));
    for round in 0..3 {
        send_at_once(proxy.address(), round * 10..round * 10 + 10, HELLO).await;
    }
    let circuits = async || (proxy.backend(mute.address).await, proxy.backend(resets.address).await);
    let (first, second) = circuits().await;
    assert_eq!((&first["circuit"], &second["circuit"]), (&"closed".into(), &"closed".into()));
    assert_eq!(&first["failures_total"], 15, "they are told all the same");
    mute.close().await;
    eventually("an open circuit", async || {
        sends(proxy.address(), stranger(1), HELLO).await;
        circuits().await.0["circuit"] == "open"
    })
    .await;
}

/// Asks for a page; the status of the answer.
async fn ask(proxy: &Proxy, from: Ipv4Addr) -> String {
    let mut client = proxy.connect_from(from).await;
    client.send(b"GET / HTTP/1.1\r\nHost: game\r\nConnection: close\r\n\r\n").await;
    String::from_utf8(client.expect_any(12).await).unwrap()
}

#[tokio::test]
async fn requests_of_one_client_open_nothing_and_those_of_five_do() {
    let mute = Backend::mute();
    let listener = "[listeners.game]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\n";
    let proxy = Proxy::with(&format!("{listener}{}", pool(&[&mute], "request_timeout = \"200ms\"\nretries = 0")));
    for _ in 0..7 {
        assert_eq!(ask(&proxy, stranger(1)).await, "HTTP/1.1 504");
    }
    assert_eq!(proxy.backend(mute.address).await["circuit"], "closed");
    for number in 2..6 {
        assert_eq!(ask(&proxy, stranger(number)).await, "HTTP/1.1 504");
    }
    eventually("an open circuit", async || proxy.backend(mute.address).await["circuit"] == "open").await;
}

#[tokio::test]
async fn an_answer_that_goes_on_shows_that_a_server_of_http_is_well() {
    // It answers one request without end, and no other.
    let first = std::sync::atomic::AtomicBool::new(true);
    let backend = Backend::serving(move |mut stream| {
        let is_first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        async move {
            let _head = stream.read(&mut [0; 4096]).await;
            if !is_first {
                return std::future::pending().await;
            }
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            while stream.write_all(b"4\r\ntick\r\n").await.is_ok() {
                sleep(20 * MILLIS).await;
            }
        }
    });
    let listener = "[listeners.game]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\n";
    let proxy = Proxy::with(&format!("{listener}{}", pool(&[&backend], "request_timeout = \"500ms\"\nretries = 0")));
    let mut endless = proxy.connect().await;
    endless.send(b"GET / HTTP/1.1\r\nHost: game\r\n\r\n").await;
    endless.expect(b"HTTP/1.1 200 OK").await;
    let _reader = tokio::spawn(async move { endless.ending().await });
    let mut waiting = Vec::new();
    for number in 0..12 {
        let mut client = proxy.connect_from(stranger(number)).await;
        client.send(b"GET / HTTP/1.1\r\nHost: game\r\nConnection: close\r\n\r\n").await;
        waiting.push(client);
    }
    for mut client in waiting {
        client.expect(b"HTTP/1.1 504").await;
    }
    assert_eq!(proxy.backend(backend.address).await["circuit"], "closed");
}

#[tokio::test]
async fn at_most_half_of_a_pool_is_out_by_default_but_a_lone_backend_may_be() {
    let (one, two, lone) = (Backend::echo(), Backend::echo(), Backend::echo());
    let listener = |name: &str| format!("[listeners.{name}]\nbind = \"127.0.0.1:0\"\npool = \"{name}\"\n");
    let proxy = Proxy::with(&format!(
        "{}{}{}[pools.lone]\nbackends = [\"{}\"]\nretries = 0\nbreaker = {{ failures = 2 }}\n",
        listener("game"),
        listener("lone"),
        pool(&[&one, &two], "balance = \"round_robin\"\nretries = 0\nbreaker = { failures = 2 }"),
        lone.address
    ));
    for backend in [&one, &two, &lone] {
        backend.close().await;
    }
    for _ in 0..10 {
        for listener in ["game", "lone"] {
            let _end = Peer::connect(proxy.address_of(listener)).await.ending().await;
        }
    }
    let eligible = async |pool: &str| proxy.metric("portti_backend_eligible", &[("pool", pool)]).await;
    assert_eq!((eligible("game").await, eligible("lone").await), (1.0, 0.0));
    assert_eq!(proxy.metric("portti_pool_panic", &[("pool", "game")]).await, 1.0);
}
