//! TLS clients go where they ask to, and what they send is passed on as it is.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::support::tls::{AUTHORITY, client, client_hello, connect, server};
use crate::support::{Backend, Peer, Proxy, assert_took, eventually};

const LATE: Duration = Duration::from_millis(700);

/// Listener `game` with further keys, and a route for each host to the pool of the backend.
fn config(listener: &str, routes: &[(&str, &Backend)]) -> String {
    let mut text = format!("[listeners.game]\nbind = \"127.0.0.1:0\"\n{listener}\n");
    for (index, (asked, backend)) in routes.iter().enumerate() {
        text += &format!(
            "[[listeners.game.sni]]\n{asked}\npool = \"p{index}\"\n[pools.p{index}]\nbackends = [\"{}\"]\n",
            backend.address
        );
    }
    text
}

/// What the server greets with that a client gets to which asks for a host.
async fn greeting(proxy: &Proxy, host: &str, protocols: &[&str]) -> String {
    let mut client = connect(proxy.address(), host, &client(protocols)).await.unwrap();
    let heard = client.expect_any(2).await;
    client.echo(b"hello").await;
    client.end().await;
    client.expect_end().await;
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn clients_go_where_they_ask_to_and_others_where_all_go() {
    let identity = AUTHORITY.issue(&["example.com", "*.example.com", "*.eu.example.com", "example.org"]);
    let [eu, below, games, others] = [&b"eu"[..], b"be", b"ga", b"ot"].map(|text| server(&identity, text));
    let routes: [(&str, &Backend); 3] = [
        ("host = \"EU.example.com\"", &eu),
        ("alpn = [\"minecraft\", \"factorio\"]", &games),
        ("host = [\"*.example.com\", \"example.net\"]", &below),
    ];
    let other = format!("[pools.others]\nbackends = [\"{}\"]\n", others.address);
    let proxy = Proxy::with(&(config("pool = \"others\"", &routes) + &other));
    let cases = [
        ("eu.example.com", &[][..], "eu"),
        ("eu.example.com", &["minecraft"], "eu"),
        ("us.example.com", &[], "be"),
        ("a.eu.example.com", &["h2"], "be"),
        ("us.example.com", &["h2", "factorio"], "ga"),
        ("example.org", &["minecraft"], "ga"),
        ("example.com", &[], "ot"),
        ("example.org", &["minecraft/2"], "ot"),
    ];
    for (host, protocols, expected) in cases {
        assert_eq!(greeting(&proxy, host, protocols).await, expected, "{host} {protocols:?}");
    }
    // Without a name: an address is none.
    let mut nameless = Peer::connect(proxy.address()).await;
    nameless.send(&client_hello("127.0.0.1", &[])).await;
    eventually("another one goes there", async || others.accepted() == 3).await;
    drop(nameless);
    proxy.expect_empty().await;
    let status = proxy.status().await;
    assert_eq!(status["listeners"][0]["sni"][2]["host"][0], "*.example.com");
    assert_eq!(status["listeners"][0]["pool"], "others");
}

#[tokio::test]
async fn what_was_looked_at_is_passed_on_as_it_is() {
    let mut by_hand = Backend::by_hand();
    let keys = "send_proxy = \"v2\"";
    let proxy = Proxy::with(&(config("", &[("host = \"eu.example.com\"", &by_hand.backend)]) + keys));
    let hello = client_hello("eu.example.com", &["minecraft"]);
    for size in [1, 100, hello.len()] {
        let mut client = proxy.connect().await;
        for piece in hello.chunks(size) {
            client.send(piece).await;
            tokio::time::sleep(Duration::from_millis(u64::from(size < 1000))).await;
        }
        client.send(b"and more").await;
        let mut backend = by_hand.next().await;
        let _addresses = backend.expect_any(28).await;
        backend.expect(b"\x02\0\x0eeu.example.com\x05\0\x20").await;
        backend.expect_any(32).await;
        backend.expect(&hello).await;
        backend.expect(b"and more").await;
        backend.send(b"welcome").await;
        client.expect(b"welcome").await;
    }
}

#[tokio::test]
async fn who_asks_for_what_is_not_here_is_told_so() {
    let identity = AUTHORITY.issue(&["eu.example.com"]);
    let eu = server(&identity, b"eu");
    let proxy = Proxy::with(&config("", &[("host = \"eu.example.com\"", &eu)]));
    let error = connect(proxy.address(), "us.example.com", &client(&[])).await.unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    proxy.expect_ended("preread_invalid", 1).await;
    assert_eq!(greeting(&proxy, "eu.example.com", &[]).await, "eu");
    assert_eq!(eu.accepted(), 1);
}

/// A first message that asks for a host in these bytes, and for nothing else.
fn hello_for(name: &[u8]) -> Vec<u8> {
    let long = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let list = long(&[&[0][..], &long(name)].concat());
    let extensions = long(&[&[0, 0][..], &long(&list)].concat());
    let body = [&[3, 3][..], &[7; 32], &[0], &long(&[0x13, 1]), &[1, 0], &extensions].concat();
    let message = [&[1, 0][..], &long(&body)].concat();
    [&[22, 3, 1][..], &long(&message)].concat()
}

#[tokio::test]
async fn who_asks_for_a_name_that_is_none_goes_where_all_go_or_is_told_so() {
    let mut others = Backend::by_hand();
    let eu = Backend::echo();
    let routes = [("host = \"eu.example.com\"", &eu)];
    let other = format!("[pools.others]\nbackends = [\"{}\"]\n", others.backend.address);
    let proxy = Proxy::with(&(config("pool = \"others\"", &routes) + &other));
    let strict = Proxy::with(&config("", &routes));
    let long = [b'a'; 300];
    let names = [&b"[2001:db8::1]"[..], "größe.example".as_bytes(), b"\xff", b"", b".", b"eu..example.com", &long];
    for name in names {
        let hello = hello_for(name);
        let mut client = proxy.connect().await;
        client.send(&hello).await;
        let mut server = others.next().await;
        server.expect(&hello).await;
        server.send(b"welcome").await;
        client.expect(b"welcome").await;

        let mut client = strict.connect().await;
        client.send(&hello).await;
        client.expect(b"\x15\x03\x03\x00\x02\x02\x70").await;
        client.expect_end().await;
    }
    strict.expect_ended("preread_invalid", 7).await;
    for name in [&b"eu.example.com."[..], b"EU.example.com"] {
        let mut client = proxy.connect().await;
        let hello = hello_for(name);
        client.echo(&hello).await;
    }
    assert_eq!(eu.accepted(), 2);
}

#[tokio::test]
async fn a_first_message_that_breaks_off_anywhere_ends_one_session_and_reaches_no_backend() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&config("pool = \"p0\"", &[("host = \"eu.example.com\"", &backend)]));
    let hello = client_hello("eu.example.com", &[]);
    for length in 0..hello.len() {
        let mut client = proxy.connect().await;
        client.send(&hello[..length]).await;
        client.end().await;
        let (_ending, answered) = client.ending().await;
        assert_eq!(answered, 0);
    }
    proxy.expect_ended("client_closed", u32::try_from(hello.len()).unwrap()).await;
    for length in [0, 50] {
        let mut client = proxy.connect().await;
        client.send(&hello[..length]).await;
        eventually("it is there", async || proxy.status().await["sessions_active"] == 1).await;
        client.reset();
        eventually("it is gone", async || proxy.status().await["sessions_active"] == 0).await;
    }
    proxy.expect_ended("client_reset", 2).await;
    assert_eq!(backend.accepted(), 0);
    proxy.connect().await.echo(&hello).await;
}

#[tokio::test]
async fn what_is_no_tls_ends_at_once_and_what_never_comes_in_time() {
    let backend = Backend::echo();
    let listener = "pool = \"p0\"\npreread_timeout = \"1s\"";
    let proxy = Proxy::with(&config(listener, &[("host = \"eu.example.com\"", &backend)]));
    let endless = [&b"\x16\x03\x01\x40\x00\x01\x00\x3f\xff"[..], &[0; 20_000]].concat();
    let many_pieces =
        [&b"\x16\x03\x01\x00\x05\x01\x00\x3f\xff\0"[..], &b"\x16\x03\x01\x00\x01\0".repeat(3000)].concat();
    let wrong: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: eu.example.com\r\n\r\n",
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        &endless,
        &many_pieces,
    ];
    for bytes in wrong {
        let asked = Instant::now();
        let mut client = proxy.connect().await;
        let _closed = client.0.write_all(bytes).await;
        client.ending().await;
        assert_took(asked.elapsed(), Duration::ZERO, LATE);
    }
    proxy.expect_ended("preread_invalid", 6).await;

    let hello = client_hello("eu.example.com", &[]);
    let asked = Instant::now();
    let mut slow = proxy.connect().await;
    let mut sent = 0;
    while slow.is_quiet() && sent < hello.len() {
        let _closed = slow.0.write_all(&hello[sent..=sent]).await;
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    slow.ending().await;
    assert_took(asked.elapsed(), Duration::from_millis(990), LATE);
    proxy.expect_ended("preread_timeout", 1).await;
    assert_eq!(backend.accepted(), 0);
}

#[tokio::test]
async fn a_client_that_has_not_said_its_name_yet_does_not_hold_up_a_drain() {
    let backend = Backend::echo();
    let drain = "[server]\ndrain_timeout = \"500ms\"\n";
    let mut proxy = Proxy::with(&(config("pool = \"p0\"", &[("host = \"eu.example.com\"", &backend)]) + drain));
    let mut client = proxy.connect().await;
    client.send(&client_hello("eu.example.com", &[])[..50]).await;
    eventually("it is there", async || proxy.status().await["sessions_active"] == 1).await;
    proxy.shut_down();
    let asked = Instant::now();
    proxy.ended().await;
    assert_took(asked.elapsed(), Duration::from_millis(490), LATE);
}

#[tokio::test]
async fn routes_follow_the_file() {
    let identity = AUTHORITY.issue(&["eu.example.com"]);
    let [blue, green] = [&b"bl"[..], b"gr"].map(|text| server(&identity, text));
    let proxy = Proxy::with(&config("", &[("host = \"eu.example.com\"", &blue)]));
    let mut playing = connect(proxy.address(), "eu.example.com", &client(&[])).await.unwrap();
    playing.expect(b"bl").await;
    proxy.reload_with(&config("", &[("host = \"eu.example.com\"", &green)])).await;
    assert_eq!(greeting(&proxy, "eu.example.com", &[]).await, "gr");
    playing.echo(b"still here").await;
}
