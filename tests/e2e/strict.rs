//! Requests that are none, or could be read in two ways, sent on a connection of HTTP/1.1: each ends it, and nothing behind it is read.
//!
//! Beside what `http` has. What RFC 9112 leaves to a server (a second equal length, further control characters) is not here.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::http::{config, echo, said};
use crate::support::proxy::pool;
use crate::support::{Proxy, soon};

/// Stands behind whatever is refused.
const BEHIND: &str = "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";

/// Whether one answer came, which refuses.
fn is_refusal(said: &str) -> bool {
    let status = said.strip_prefix("HTTP/1.1 ").or_else(|| said.strip_prefix("HTTP/1.0 "));
    status.is_some_and(|status| status.starts_with(['4', '5'])) && said.matches("HTTP/1.").count() == 1
}

#[tokio::test]
async fn what_is_no_request_ends_the_connection() {
    let (backend, requests) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let lines = [
        "GET /",
        "GET  HTTP/1.1",
        "GET /a b HTTP/1.1",
        "G(T / HTTP/1.1",
        " / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/2.0",
        "GET / HTTP/1",
        "GET / XTTP/1.1",
    ];
    let headers = [
        "X: a\0b",
        "X: a\rb",
        "X\0: a",
        "X",
        "X y: z",
        ": z",
        "X : z",
        "X\t: z",
        "X(y): z",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5 5",
        "Content-Length: 0x5",
        "Content-Length: 5,6",
        "Content-Length: 5x",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding : chunked",
    ];
    let lines = lines.map(|line| format!("{line}\r\nHost: a\r\n\r\n"));
    let headers = headers.map(|header| format!("POST / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"));
    // That version has no chunks: whoever sends some means something else by them (RFC 9112, 6.1).
    let old = CHUNKED.replace("HTTP/1.1", "HTTP/1.0") + "\r\n0\r\n\r\n";
    for request in lines.into_iter().chain(headers).chain([old]) {
        let said = said(proxy.address(), (request.clone() + BEHIND).as_bytes()).await;
        assert!(is_refusal(&said), "{request:?}: {said}");
    }
    assert_eq!((requests.load(Ordering::Relaxed), backend.accepted()), (0, 0));
}

#[tokio::test]
async fn a_body_in_chunks_means_its_content() {
    let (backend, _) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    for body in [
        "A\r\n0123456789\r\n0\r\n\r\n",
        "a\r\n0123456789\r\n0\r\n\r\n",
        "000a\r\n0123456789\r\n000\r\n\r\n",
        "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
        "a;name=value\r\n0123456789\r\n0;last\r\n\r\n",
        "a;name=\"a;b\"\r\n0123456789\r\n0\r\n\r\n",
        "a\r\n0123456789\r\n0\r\nX-Sum: 45\r\n\r\n",
    ] {
        let text = format!("{CHUNKED}Connection: close\r\n\r\n{body}");
        let said = said(proxy.address(), text.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("\n\n0123456789"), "{body:?}: {said}");
    }
}

#[tokio::test]
async fn chunks_that_are_not_exact_end_the_connection() {
    let (backend, requests) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let bodies = [
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "3\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "x\r\nhello\r\n0\r\n\r\n",
        "5x\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Sum\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Sum : 1\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Sum: 1\r\n 2\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Sum: \0\r\n\r\n",
    ];
    for body in bodies {
        let said = said(proxy.address(), format!("{CHUNKED}\r\n{body}{BEHIND}").as_bytes()).await;
        assert!(is_refusal(&said), "{body:?}: {said}");
        proxy.expect_empty().await;
    }
    // The head of each may have reached the backend, and no more than that.
    assert!(requests.load(Ordering::Relaxed) <= bodies.len());
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_no_request() {
    let (backend, requests) = echo();
    let routes = "[[listeners.game.routes]]\npath = \"/rooms\"\npool = \"game\"\n";
    let keys = "header_timeout = \"400ms\"\nkeepalive_timeout = \"400ms\"";
    let proxy = Proxy::with(&config(keys, &(routes.to_owned() + &pool(&[&backend], ""))));
    let body = "GET /rooms HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n", body.len());
    for (head, body) in [
        (length.clone(), body.to_owned()),
        (length.clone() + "Expect: 100-continue\r\n", body.to_owned()),
        (length.replace("Host: a", "Host: a\r\nHost: b"), body.to_owned()),
        (CHUNKED.to_owned(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
    ] {
        let whole = format!("{head}\r\n{body}");
        // In one piece, and with all or most of the body behind the answer.
        for cut in [whole.len(), head.len() + 2, head.len() + 7] {
            let mut client = proxy.connect().await;
            client.send(&whole.as_bytes()[..cut]).await;
            let mut said = vec![0; 12];
            soon("an answer", client.0.read_exact(&mut said)).await.unwrap();
            for &byte in &whole.as_bytes()[cut..] {
                // The connection may be closed meanwhile.
                let _closed = client.0.write_u8(byte).await;
            }
            let _reset = soon("the end", client.0.read_to_end(&mut said)).await;
            let said = String::from_utf8(said).unwrap();
            assert!(is_refusal(&said), "{head} {cut}: {said}");
        }
    }
    assert_eq!((requests.load(Ordering::Relaxed), backend.accepted()), (0, 0));
}

#[tokio::test]
async fn heads_have_a_bound_and_reach_nobody_beyond_it() {
    let (backend, requests) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let head = |target: usize, headers: usize, bytes: usize| {
        let lines = format!("X: {}\r\n", "y".repeat(bytes)).repeat(headers);
        format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n", "x".repeat(target))
    };
    for large in [head(8000, 0, 0), head(1, 90, 20), head(1, 1, 60_000)] {
        let said = said(proxy.address(), large.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{large:.100}: {said:.300}");
    }
    for too_large in [head(300_000, 0, 0), head(1, 200, 1), head(1, 1, 300_000), head(1, 90, 4000)] {
        let mut client = proxy.connect().await;
        // It may be refused before all of it has been sent.
        let (mut reads, mut writes) = client.0.split();
        let mut answer = Vec::new();
        let sends = async { writes.write_all(too_large.as_bytes()).await };
        let (_broken, _reset) = soon("the end", async { tokio::join!(sends, reads.read_to_end(&mut answer)) }).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(is_refusal(&answer), "{too_large:.100}: {answer}");
    }
    assert_eq!(requests.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn whom_a_request_asks_has_to_be_clear_and_else_the_connection_ends() {
    let (backend, requests) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    for request in [
        "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n",
        "CONNECT b:443 HTTP/1.0\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let said = said(proxy.address(), (request.to_owned() + BEHIND).as_bytes()).await;
        assert!(is_refusal(&said) && said.contains("\r\nconnection: close\r\n"), "{request:?}: {said}");
    }
    assert_eq!(requests.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_no_request_is_counted_as_one_that_was_refused() {
    let (backend, _) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let long = "X: y\r\n".repeat(101);
    for (number, (request, reason)) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n".to_owned(), "bad_request"),
        ("\x16\x03\x01\0\0".to_owned(), "bad_request"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{long}\r\n"), "head_too_large"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = proxy.metric("portti_requests_refused_total", &[("reason", reason)]).await;
        let said = said(proxy.address(), request.as_bytes()).await;
        assert!(is_refusal(&said) && said.contains(reason), "{request:?}: {said}");
        proxy.expect_ended("client_closed", u32::try_from(number).unwrap() + 1).await;
        let refused = proxy.metric("portti_requests_refused_total", &[("reason", reason)]).await;
        let counted = proxy.metric("portti_requests_total", &[("code_class", "4xx")]).await;
        assert_eq!((refused - before, counted), (1.0, number as f64 + 1.0), "{request:?}");
    }
    assert_eq!(proxy.metric("portti_requests_in_flight", &[]).await, 0.0);
}
