//! What backends may say of a request, and when.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::http::{config, get, said};
use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, soon};

/// Reads a head, up to its empty line.
async fn head(peer: &mut Peer) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("a head", peer.0.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn what_is_no_answer_or_could_be_read_in_two_ways_reaches_nobody() {
    let mut backend = Backend::by_hand();
    let keys = "retries = 0\n[pools.game.breaker]\nfailures = 100";
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend.backend], keys)));
    let heads = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: folded\r\n line\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for answer in heads {
        let server = async {
            let mut server = backend.next().await;
            head(&mut server).await;
            server.send(format!("{answer}5\r\nhello\r\n0\r\n\r\n").as_bytes()).await;
            server
        };
        let (request, address) = (get("/", ""), proxy.address());
        let (said, _server) = tokio::join!(said(address, &request), server);
        assert!(said.starts_with("HTTP/1.1 502 ") && said.contains("\"backend_reset\""), "{answer:?}: {said}");
        assert!(!said.contains("hello"), "{answer:?}: {said}");
    }
    let broken = proxy.metric("portti_backend_failures_total", &[("reason", "backend_reset")]).await;
    assert_eq!(broken, heads.len() as f64);
}

#[tokio::test]
async fn an_answer_that_is_broken_at_once_is_none_and_never_nothing_at_all() {
    let mut backend = Backend::by_hand();
    let keys = "retries = 0\n[pools.game.breaker]\nfailures = 100";
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend.backend], keys)));
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (answer, statuses) in [
        (CHUNKED.to_owned() + "ZZ\r\nhello", &["502"][..]),
        (CHUNKED.to_owned() + "5\nhello\n0\n\n", &["502"]),
        (CHUNKED.to_owned() + "5\r\nhelloX", &["502"]),
        // Where it has ended is seen later than its head, or at once.
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_owned(), &["200", "502"]),
        (CHUNKED.to_owned() + "5\r\nhel", &["200", "502"]),
    ] {
        let server = async {
            let mut server = backend.next().await;
            head(&mut server).await;
            server.send(answer.as_bytes()).await;
        };
        let (request, address) = (get("/", ""), proxy.address());
        let (said, ()) = tokio::join!(said(address, &request), server);
        let status = said.strip_prefix("HTTP/1.1 ").and_then(|said| said.get(..3)).unwrap_or_default();
        assert!(statuses.contains(&status), "{answer:?}: {said}");
        assert!(!said.contains("ZZ"), "{answer:?}: {said}");
    }
    let refused = proxy.metric("portti_requests_refused_total", &[("reason", "backend_reset")]).await;
    assert!(refused >= 3.0, "{refused}");
}

#[tokio::test]
async fn what_stands_behind_an_answer_is_nobodys() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend.backend], "")));
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        // The one before is not used again.
        let mut server = backend.next().await;
        head(&mut server).await;
        server.send(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
        assert!(head(&mut client).await.starts_with("HTTP/1.1 204 "));
    }
    assert!(client.is_quiet());
}

#[tokio::test]
async fn an_answer_may_come_while_its_request_is_still_sent() {
    const LENGTH: usize = 20_000_000;
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend.backend], "")));
    let mut client = proxy.connect().await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes()).await;
    let mut server = backend.next().await;
    head(&mut server).await;
    let (mut server_reads, mut server_writes) = server.0.into_split();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
    let server = async {
        let mut rest = (&mut server_reads).take(LENGTH as u64);
        let reads = async { tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.unwrap() };
        let writes = async {
            let mut whole = answer.as_bytes().chain(tokio::io::repeat(7).take(LENGTH as u64));
            tokio::io::copy(&mut whole, &mut server_writes).await.unwrap();
        };
        tokio::join!(reads, writes).0
    };
    let client = async {
        // Nothing of the answer is read before all is sent.
        for _ in 0..LENGTH / 100_000 {
            client.send(&[7; 100_000]).await;
        }
        head(&mut client).await;
        client.expect_any(LENGTH).await;
        client
    };
    let (taken, mut client) = tokio::join!(soon("all of the request", server), client);
    assert_eq!(taken, LENGTH as u64);
    // The client's connection carries another one.
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    head(&mut backend.next().await).await;
}

#[tokio::test]
async fn who_refuses_the_rest_of_a_request_has_answered_it() {
    let backend = Backend::serving(async |stream| {
        let mut peer = Peer(stream);
        head(&mut peer).await;
        // With bytes that are not read, its end is a reset.
        tokio::time::sleep(Duration::from_millis(20)).await;
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n").await;
    });
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000000\r\n\r\n";
    let answer = said(proxy.address(), &[request.as_bytes(), &[7; 100_000]].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("no\n"), "{answer}");
}

#[tokio::test]
async fn what_is_said_before_an_answer_is_not_passed_on() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend.backend], "")));
    let mut client = proxy.connect().await;
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert!(head(&mut client).await.starts_with("HTTP/1.1 100 "), "this proxy wants it");
    let mut server = backend.next().await;
    assert!(!head(&mut server).await.contains("expect"), "nobody waits for this one's word");
    server.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    client.send(b"hello").await;
    server.expect(b"hello").await;
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(head(&mut client).await.starts_with("HTTP/1.1 200 "));
}
