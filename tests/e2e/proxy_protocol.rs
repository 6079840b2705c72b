//! Who the client is, told by a balancer in front, and to the backends behind.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, assert_took, eventually, soon};

const LATE: Duration = Duration::from_millis(700);

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 25565\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\x30\x39\x63\xdd";
/// With a field of 300 bytes that nobody knows.
fn long_v2() -> Vec<u8> {
    let fields = [&b"\xe0\x01\x2c"[..], &[7; 300]].concat();
    [&V2[..14], &u16::to_be_bytes(12 + 303), &V2[16..], &fields].concat()
}

/// Listener `game` behind balancers at 127.0.0.1, with further keys.
fn config(backend: &Backend, accept: &str, listener: &str) -> String {
    format!(
        "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{listener}\n\
         accept_proxy = {{ from = [\"127.0.0.1\"]{accept} }}\n{}",
        pool(&[backend], "")
    )
}

/// A session of which the balancer says this, before `hello`.
async fn echoes(proxy: &Proxy, header: &[u8]) -> bool {
    let mut client = proxy.connect().await;
    client.send(header).await;
    client.try_echo(b"hello").await.unwrap_or(false)
}

#[tokio::test]
async fn a_header_is_taken_out_in_whatever_pieces_and_what_follows_is_the_clients() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&config(&backend, "", ""));
    let long = long_v2();
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let mut cases = 0;
    for header in [V1, V2, &long, b"PROXY UNKNOWN\r\n", local] {
        for size in [1, 7, header.len() - 1, header.len()] {
            let mut client = proxy.connect().await;
            for piece in header.chunks(size) {
                client.send(piece).await;
                if size < 100 && header.len() < 100 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            client.echo(b"hello").await;
            cases += 1;
        }
        let mut client = proxy.connect().await;
        client.send(&[header, b"in one segment"].concat()).await;
        client.expect(b"in one segment").await;
        client.end().await;
        client.expect_end().await;
    }
    assert_eq!(cases, 20);
    proxy.expect_empty().await;
    assert_eq!(proxy.metric("portti_sessions_total", &[("reason", "client_closed")]).await, 25.0);
}

/// The longest header that the standard allows, or one that ends in the middle of a field.
fn longest_v2(is_whole: bool) -> Vec<u8> {
    let length = u16::MAX - 12 - 3 + u16::from(!is_whole);
    let fields = [&[0xe0][..], &length.to_be_bytes(), &vec![7; usize::from(u16::MAX) - 12 - 3]].concat();
    [&V2[..14], &u16::MAX.to_be_bytes(), &V2[16..], &fields].concat()
}

#[tokio::test]
async fn the_longest_header_is_taken_out_to_the_byte() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&config(&backend, "", "deny = [\"192.0.2.0/25\"]\npreread_timeout = \"2s\""));
    let mut header = longest_v2(true);
    assert_eq!(header.len(), 65_551);
    assert!(!echoes(&proxy, &header).await, "lists go by the address in it");
    proxy.expect_ended("denied", 1).await;
    header[19] = 200;
    for size in [1000, 5000, header.len()] {
        let mut client = proxy.connect().await;
        for piece in header.chunks(size) {
            client.send(piece).await;
        }
        client.echo(b"hello").await;
        let mut client = proxy.connect().await;
        client.send(&[&header[..], b"in one segment"].concat()).await;
        client.expect(b"in one segment").await;
    }
    assert!(!echoes(&proxy, &longest_v2(false)).await);
    proxy.expect_ended("preread_invalid", 1).await;
    let asked = Instant::now();
    let mut unfinished = proxy.connect().await;
    unfinished.send(&header[..60_000]).await;
    unfinished.ending().await;
    assert_took(asked.elapsed(), Duration::from_millis(1990), LATE);
    proxy.expect_ended("preread_timeout", 1).await;
    let mut leaves = proxy.connect().await;
    leaves.send(&header[..60_000]).await;
    leaves.end().await;
    leaves.ending().await;
    proxy.expect_ended("client_closed", 7).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn lists_and_limits_go_by_the_address_that_is_told() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&config(&backend, "", "deny = [\"192.0.2.0/24\"]\nmax_connections_per_ip = 1"));
    assert!(!echoes(&proxy, V1).await && !echoes(&proxy, V2).await && !echoes(&proxy, &long_v2()).await);
    proxy.expect_ended("denied", 3).await;
    let other = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";
    let mut playing = proxy.connect().await;
    playing.send(other).await;
    playing.echo(b"hello").await;
    assert!(!echoes(&proxy, b"PROXY TCP6 2001:db8::99 2001:db8::2 1 2\r\n").await, "the same household");
    proxy.expect_ended("per_ip_limit", 1).await;
    assert!(echoes(&proxy, b"PROXY TCP6 2001:db8:1::1 2001:db8::2 1 2\r\n").await, "another one");
    assert!(echoes(&proxy, b"PROXY UNKNOWN\r\n").await, "the balancer itself");
}

#[tokio::test]
async fn who_comes_from_elsewhere_is_refused_or_is_whom_it_comes_from() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&config(&backend, "", ""));
    let mut stranger = proxy.connect_from([127, 0, 0, 2]).await;
    let _closed = stranger.0.write_all(V1).await;
    assert!(!stranger.try_echo(b"hello").await.unwrap_or(false));
    proxy.expect_ended("preread_invalid", 1).await;

    proxy.reload_with(&config(&backend, ", required = false", "deny = [\"192.0.2.0/24\"]")).await;
    let mut direct = proxy.connect_from([127, 0, 0, 2]).await;
    direct.echo(V1).await;
    assert!(!echoes(&proxy, V1).await, "balancers are still heard");
    proxy.expect_ended("denied", 1).await;
}

#[tokio::test]
async fn what_is_no_header_ends_the_session_at_once_and_what_never_comes_in_time() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&config(&backend, "", "preread_timeout = \"1s\""));
    let wrong: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 70000\r\n",
        b"PROXY TCP4 example.com 198.51.100.7 12345 25565\r\n",
        &[b'P'; 200],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02\x03\0\x04abcd",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02\x04\0\x09",
    ];
    for bytes in wrong {
        let asked = Instant::now();
        assert!(!echoes(&proxy, bytes).await, "{}", bytes.escape_ascii());
        assert_took(asked.elapsed(), Duration::ZERO, LATE);
    }
    proxy.expect_ended("preread_invalid", 6).await;

    let asked = Instant::now();
    let mut silent = [proxy.connect().await, proxy.connect().await];
    silent[1].send(&V2[..20]).await;
    for client in &mut silent {
        let mut heard = Vec::new();
        let _reset = soon("the end", client.0.read_to_end(&mut heard)).await;
        assert!(heard.is_empty());
    }
    assert_took(asked.elapsed(), Duration::from_millis(990), LATE);
    proxy.expect_ended("preread_timeout", 2).await;

    drop(proxy.connect().await);
    let mut leaves = proxy.connect().await;
    leaves.send(&V1[..20]).await;
    leaves.end().await;
    proxy.expect_ended("client_closed", 2).await;
    assert!(echoes(&proxy, V1).await);
}

#[tokio::test]
async fn those_who_never_finish_their_header_are_bounded_and_hurt_nobody() {
    let backend = Backend::echo();
    let server = "[server]\nmax_connections = 500\nlevels = { overloaded = \"100%\" }\n";
    let proxy = Proxy::with(&(config(&backend, "", "preread_timeout = \"2s\"") + server));
    let mut playing = proxy.connect().await;
    playing.send(V1).await;
    playing.echo(b"hello").await;
    let mut silent = Vec::new();
    for _ in 0..600 {
        let mut client = proxy.connect().await;
        let _closed = client.0.write_all(b"PROXY TCP4 ").await;
        silent.push(client);
    }
    playing.echo(b"still here").await;
    proxy.expect_ended("at_capacity", 101).await;
    proxy.expect_ended("preread_timeout", 499).await;
    assert_eq!(proxy.status().await["sessions_active"], 1);
    assert!(echoes(&proxy, V2).await);
}

#[tokio::test]
async fn a_drain_waits_for_headers_that_are_on_their_way() {
    let backend = Backend::echo();
    let mut proxy = Proxy::with(&config(&backend, "", ""));
    let mut client = proxy.connect().await;
    client.send(&V1[..10]).await;
    eventually("it is there", async || proxy.status().await["sessions_active"] == 1).await;
    let address = proxy.address();
    proxy.shut_down();
    eventually("a closed listener", async || Peer::is_refused(address).await).await;
    client.send(&V1[10..]).await;
    client.echo(b"hello").await;
    drop(client);
    proxy.ended().await;
}

#[tokio::test]
async fn a_drain_that_is_over_waits_for_no_header() {
    let backend = Backend::echo();
    let mut proxy = Proxy::with(&(config(&backend, "", "") + "[server]\ndrain_timeout = \"500ms\"\n"));
    let mut client = proxy.connect().await;
    client.send(&V1[..10]).await;
    eventually("it is there", async || proxy.status().await["sessions_active"] == 1).await;
    proxy.shut_down();
    let asked = Instant::now();
    proxy.ended().await;
    assert_took(asked.elapsed(), Duration::from_millis(490), LATE);
}

/// The client's first bytes, which no header has in it.
const FIRST: &[u8] = b"<first>";

/// The header that a backend gets, up to the client's first bytes.
async fn header_to(backend: &mut Peer) -> Vec<u8> {
    let mut header = Vec::new();
    while !header.ends_with(FIRST) {
        header.push(soon("a byte", backend.0.read_u8()).await.unwrap());
    }
    header.truncate(header.len() - FIRST.len());
    header
}

#[tokio::test]
async fn backends_are_told_byte_for_byte() {
    let mut by_hand = Backend::by_hand();
    for (keys, length) in [
        ("send_proxy = \"v1\"", 0),
        ("send_proxy = \"v2\"", 63),
        ("send_proxy = \"v2\"\nsend_proxy_checksum = true", 70),
    ] {
        let proxy = Proxy::with(&pool(&[&by_hand.backend], keys));
        let (mut client, mut backend) = proxy.session(&mut by_hand).await;
        client.send(FIRST).await;
        let header = header_to(&mut backend).await;
        let (from, to) = (client.0.local_addr().unwrap(), proxy.address());
        if length == 0 {
            let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
            assert_eq!(header, expected.as_bytes());
            continue;
        }
        assert_eq!(header.len(), length);
        let rest = u8::try_from(length - 16).unwrap();
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let start =
            [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", &[rest][..], &[127, 0, 0, 1, 127, 0, 0, 1], &ports, b"\x05\0\x20"]
                .concat();
        assert!(header.starts_with(&start), "{}", header.escape_ascii());
        assert!(header[31..63].iter().all(u8::is_ascii_hexdigit), "the session's id");
    }
}

#[tokio::test]
async fn a_chain_of_two_keeps_the_address() {
    for version in ["v1", "v2"] {
        let mut by_hand = Backend::by_hand();
        let inner =
            Proxy::with(&config(&by_hand.backend, "", "").replace("[pools.game]", "[pools.game]\nsend_proxy = \"v1\""));
        let address = inner.address();
        let outer = Proxy::with(&format!("[pools.game]\nbackends = [\"{address}\"]\nsend_proxy = \"{version}\"\n"));
        let mut client = outer.connect_from([127, 0, 0, 77]).await;
        client.send(FIRST).await;
        let mut backend = by_hand.next().await;
        let header = header_to(&mut backend).await;
        let (from, to): (SocketAddr, SocketAddr) = (client.0.local_addr().unwrap(), outer.address());
        let expected = format!("PROXY TCP4 127.0.0.77 127.0.0.1 {} {}\r\n", from.port(), to.port());
        assert_eq!(header, expected.as_bytes(), "{version}");
        backend.send(b"welcome").await;
        client.expect(b"welcome").await;
    }
}

#[tokio::test]
async fn health_checks_say_that_they_come_from_nobody() {
    for (version, expected) in [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")] {
        let mut by_hand = Backend::by_hand();
        let keys = format!(
            "send_proxy = \"{version}\"\n[pools.game.health]\ntype = \"exchange\"\nsend = \"<first>\"\nexpect = \"ok\"\ninterval = \"300ms\""
        );
        let proxy = Proxy::with(&pool(&[&by_hand.backend], &keys));
        let mut check = by_hand.next().await;
        assert_eq!(header_to(&mut check).await, expected);
        check.send(b"ok").await;
        let address = by_hand.backend.address;
        eventually("it is up", async || proxy.backend(address).await["health"] == "up").await;
    }
}
