//! Backends are spoken to by TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::{HOST, LATE, folder, listener, since};
use crate::support::admin::ask_with;
use crate::support::backend::ByHand;
use crate::support::proxy::pool;
use crate::support::tls::{AUTHORITY, Authority, client, connect, server, server_at, server_with};
use crate::support::{Backend, Ending, Pattern, Peer, Proxy, always_for, assert_took, eventually, soon};

/// A folder with the authority as `ca.pem`.
fn trusting() -> tempfile::TempDir {
    let folder = folder();
    std::fs::write(folder.path().join("ca.pem"), &AUTHORITY.certificate).unwrap();
    folder
}

/// The pool `game` with this backend, which is spoken to by TLS.
fn encrypted(backend: &Backend, pool_keys: &str, tls: &str) -> String {
    pool(&[backend], pool_keys) + "[pools.game.tls]\n" + tls + "\n"
}

/// A backend that speaks TLS as a test says, what it accepts with, and a proxy in front of it.
fn by_hand() -> (ByHand, TlsAcceptor, Proxy) {
    let by_hand = Backend::by_hand();
    let tls = "ca = \"ca.pem\"\nserver_name = \"game.internal\"";
    let proxy = Proxy::in_folder(trusting(), &encrypted(&by_hand.backend, "", tls)).unwrap();
    (by_hand, acceptor(), proxy)
}

fn acceptor() -> TlsAcceptor {
    let identity = AUTHORITY.issue(&["game.internal"]);
    let config = ServerConfig::builder().with_no_client_auth();
    Arc::new(config.with_single_cert(identity.chain(), identity.private_key()).unwrap()).into()
}

#[tokio::test]
async fn a_backend_is_believed_if_its_certificate_is_good_and_its_name_is_right() {
    let good = server(&AUTHORITY.issue(&["game.internal", "127.0.0.1"]), b"welcome");
    let stranger = server(&Authority::new().issue(&["game.internal"]), b"welcome");
    let ended = AUTHORITY.issue_with(&["game.internal"], |params| params.not_after = rcgen::date_time_ymd(2021, 2, 3));
    let ended = server(&ended, b"welcome");
    let proxy = Proxy::in_folder(trusting(), "[pools.game]\nbackends = [\"127.0.0.1:1\"]").unwrap();
    let ca = "ca = \"ca.pem\"";
    let named = &format!("{ca}\nserver_name = \"game.internal\"");
    let cases = [
        (&good, named.as_str(), true),
        // By its address, which is another.
        (&good, ca, false),
        (&good, "ca = \"ca.pem\"\nserver_name = \"other.internal\"", false),
        // The system does not know the tests' authority.
        (&good, "server_name = \"game.internal\"", false),
        (&good, "verify = false", true),
        (&stranger, named, false),
        (&stranger, "verify = false", true),
        (&ended, named, false),
    ];
    let mut failed = 0;
    for (backend, tls, is_believed) in cases {
        proxy.reload_with(&encrypted(backend, "retries = 0", tls)).await;
        let mut client = proxy.connect().await;
        if is_believed {
            client.expect(b"welcome").await;
            client.echo(b"hello").await;
            client.end().await;
            client.expect_end().await;
        } else {
            client.expect_end().await;
            failed += 1;
            proxy.expect_ended("connect_failed", failed).await;
        }
    }
    proxy.expect_ended("client_closed", 3).await;
}

#[tokio::test]
async fn a_name_in_the_file_is_the_name_in_the_certificate() {
    let config = ServerConfig::builder().with_no_client_auth();
    let identity = AUTHORITY.issue(&["localhost"]);
    let config = config.with_single_cert(identity.chain(), identity.private_key()).unwrap();
    let backend = server_at(([127, 0, 0, 1], 0).into(), config, b"welcome");
    let keys = format!(
        "[pools.game]\nbackends = [\"localhost:{}\"]\n[pools.game.tls]\nca = \"ca.pem\"\n",
        backend.address.port()
    );
    let proxy = Proxy::in_folder(trusting(), &keys).unwrap();
    // Its backend is listed under name and address.
    eventually("the name is known", async || proxy.status().await["pools"][0]["backends"][0]["eligible"] == true).await;
    proxy.connect().await.expect(b"welcome").await;
}

#[tokio::test]
async fn backends_that_ask_are_shown_a_certificate() {
    let verifier = WebPkiClientVerifier::builder(Arc::new(AUTHORITY.roots())).build().unwrap();
    let identity = AUTHORITY.issue(&["game.internal"]);
    let config = ServerConfig::builder().with_client_cert_verifier(verifier);
    let config = config.with_single_cert(identity.chain(), identity.private_key()).unwrap();
    let backend = server_with(config, b"welcome");
    let tls = "ca = \"ca.pem\"\nserver_name = \"game.internal\"";
    let shown = format!("{tls}\nclient_cert = \"game.pem\"\nclient_key = \"game.key\"");
    let proxy = Proxy::in_folder(trusting(), &encrypted(&backend, "", &shown)).unwrap();
    proxy.connect().await.expect(b"welcome").await;
    let ends = proxy.metric("portti_certificate_not_after_seconds", &[("pool", "game"), ("cert", "game.pem")]).await;
    assert!(ends > 0.0);
    proxy.reload_with(&encrypted(&backend, "", tls)).await;
    let (_ending, heard) = proxy.connect().await.ending().await;
    assert_eq!(heard, 0);
}

#[tokio::test]
async fn the_header_comes_before_the_handshake() {
    let identity = AUTHORITY.issue(&["game.internal"]);
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(identity.chain(), identity.private_key()).unwrap());
    let backend = Backend::serving(move |mut stream| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap());
            }
            let mut stream = acceptor.accept(stream).await.unwrap();
            stream.write_all(&line).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let tls = "ca = \"ca.pem\"\nserver_name = \"game.internal\"";
    let proxy = Proxy::in_folder(trusting(), &encrypted(&backend, "send_proxy = \"v1\"", tls)).unwrap();
    let mut client = proxy.connect().await;
    let (from, to) = (client.0.local_addr().unwrap(), proxy.address());
    let header = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
    client.expect(header.as_bytes()).await;
    client.expect_end().await;
    client.end().await;
    proxy.expect_ended("backend_closed", 1).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_a_connect_that_failed_and_another_is_tried() {
    let mute = Backend::mute();
    let identity = AUTHORITY.issue(&["game.internal"]);
    let good = server(&identity, b"welcome");
    let keys = "connect_timeout = \"500ms\"\nbalance = \"round_robin\"\nretry_backoff = \"1ms\"";
    let tls = "[pools.game.tls]\nca = \"ca.pem\"\nserver_name = \"game.internal\"\n";
    let proxy = Proxy::in_folder(trusting(), &(pool(&[&mute, &good], keys) + tls)).unwrap();
    let asked = Instant::now();
    let mut clients = [proxy.connect().await, proxy.connect().await];
    for client in &mut clients {
        client.expect(b"welcome").await;
    }
    assert_took(since(asked), Duration::from_millis(490), LATE);
    let failures = proxy.metric("portti_backend_failures_total", &[("reason", "connect_timeout")]).await;
    assert!((1.0..=2.0).contains(&failures), "{failures}");
    // One that speaks, but not TLS.
    let wrong = Backend::greeting(b"no TLS here");
    proxy.reload_with(&(pool(&[&wrong], "retries = 0") + tls)).await;
    proxy.connect().await.expect_end().await;
    proxy.expect_ended("connect_failed", 1).await;
}

#[tokio::test]
async fn both_sides_may_be_encrypted() {
    let backend = server(&AUTHORITY.issue(&["game.internal"]), b"welcome");
    let tls = "ca = \"ca.pem\"\nserver_name = \"game.internal\"";
    let proxy = Proxy::in_folder(trusting(), &(listener("", "") + &encrypted(&backend, "", tls))).unwrap();
    let mut client = connect(proxy.address(), HOST, &client(&[])).await.unwrap();
    client.expect(b"welcome").await;
    client.echo(&vec![7; 300_000]).await;
    client.end().await;
    client.expect_end().await;
    proxy.expect_ended("client_closed", 1).await;
}

#[tokio::test]
async fn a_backend_that_is_cut_off_has_not_ended() {
    let (mut by_hand, acceptor, proxy) = by_hand();
    let mut client = proxy.connect().await;
    let mut server = acceptor.accept(by_hand.next().await.0).await.unwrap();
    server.write_all(b"welcome").await.unwrap();
    client.expect(b"welcome").await;
    server.get_mut().0.shutdown().await.unwrap();
    client.expect_reset().await;
    proxy.expect_ended("backend_reset", 1).await;
}

#[tokio::test]
async fn who_is_only_connecting_when_sessions_are_ended_ends_too() {
    let (mut by_hand, acceptor, proxy) = by_hand();
    let mut client = proxy.connect().await;
    let begun = by_hand.next().await.0;
    let path = format!("/api/v1/pools/game/backends/{}/state", by_hand.backend.address);
    let json = [("Content-Type", "application/json")];
    let order = r#"{"state": "drain", "close": true}"#;
    assert_eq!(ask_with(proxy.admin(), "POST", &path, &json, order).await.status, 200);
    // It takes the connection all the same.
    let _server = acceptor.accept(begun).await.unwrap();
    client.expect_end().await;
    proxy.expect_ended("killed", 1).await;
}

#[tokio::test]
async fn health_checks_speak_tls_too() {
    let good = server(&AUTHORITY.issue(&["game.internal"]), b"welcome");
    let stranger = server(&Authority::new().issue(&["game.internal"]), b"welcome");
    let check = "[pools.game.health]\ntype = \"exchange\"\nexpect = \"welcome\"\ninterval = \"200ms\"\n";
    let tls = "ca = \"ca.pem\"\nserver_name = \"game.internal\"";
    let config = |backend: &Backend| encrypted(backend, "", tls) + check;
    let proxy = Proxy::in_folder(trusting(), &config(&good)).unwrap();
    eventually("it is up", async || proxy.backend(good.address).await["health"] == "up").await;
    proxy.reload_with(&config(&stranger)).await;
    eventually("it is down", async || proxy.backend(stranger.address).await["health"] == "down").await;
    let why = proxy.backend(stranger.address).await["last_check"]["error"].to_string();
    assert!(why.contains("tls: invalid peer certificate"), "{why}");
    // Told otherwise, the checker goes on with that.
    let blind = pool(&[&stranger], "") + "[pools.game.tls]\nverify = false\n" + check;
    proxy.reload_with(&blind).await;
    eventually("it is up", async || proxy.backend(stranger.address).await["health"] == "up").await;
}

#[tokio::test]
async fn what_a_backend_said_before_it_was_cut_off_arrives_and_does_not_pass_for_the_whole() {
    const LENGTH: usize = 1_000_000;
    let (mut by_hand, acceptor, proxy) = by_hand();
    for is_meant in [false, true] {
        let mut client = proxy.connect().await;
        client.narrow();
        client.send(b"hello").await;
        let mut server = Peer(acceptor.accept(by_hand.next().await.0).await.unwrap());
        server.expect(b"hello").await;
        let pattern = Pattern::new(4);
        assert_eq!(soon("room", pattern.send(&mut server.0, LENGTH)).await, LENGTH);
        if is_meant {
            server.end().await;
        } else {
            server.0.get_mut().0.shutdown().await.unwrap();
        }
        let lives = async || proxy.status().await["sessions_active"] == 1;
        always_for(Duration::from_millis(300), "bytes are on their way", lives).await;
        assert_eq!(soon("all of it", pattern.check_some(&mut client.0, 0, LENGTH)).await, LENGTH);
        assert_eq!(client.ending().await, (if is_meant { Ending::Closed } else { Ending::Reset }, 0));
        drop(client);
        proxy.expect_ended(if is_meant { "backend_closed" } else { "backend_reset" }, 1).await;
    }
}

#[tokio::test]
async fn an_answer_whose_end_was_not_meant_is_not_whole() {
    let by_hand = Backend::by_hand();
    let tls = "ca = \"ca.pem\"\nserver_name = \"game.internal\"";
    let http = "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\nmode = \"http\"\n";
    let config = http.to_owned() + &encrypted(&by_hand.backend, "", tls);
    let (mut by_hand, acceptor) = (by_hand, acceptor());
    let proxy = Proxy::in_folder(trusting(), &config).unwrap();
    for is_meant in [false, true] {
        let mut client = proxy.connect().await;
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let mut server = Peer(acceptor.accept(by_hand.next().await.0).await.unwrap());
        // Delimited by its end alone (RFC 9112, 6.3), which must have been meant (9.8).
        server.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it").await;
        if is_meant {
            server.end().await;
        } else {
            server.0.get_mut().0.shutdown().await.unwrap();
        }
        let mut answer = Vec::new();
        let _broken = soon("the answer", client.0.read_to_end(&mut answer)).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("half of it"), "{answer}");
        assert_eq!(answer.ends_with("0\r\n\r\n"), is_meant, "{answer}");
    }
}
