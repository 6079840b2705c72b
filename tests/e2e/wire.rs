//! A connection of HTTP/1.1 as its client sees it: which answers come, in which order, where each ends, and how it closes.
//!
//! What RFC 9112 and 9110 ask for, and nothing that is only this proxy's habit: names of headers are compared in lower case.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::TcpStream;

use crate::http::{config, echo, get, said};
use crate::support::admin::ask_with;

use crate::support::proxy::pool;
use crate::support::tls::{AUTHORITY, client, secure};
use crate::support::{Backend, Ending, Peer, Proxy, eventually, soon};

const CLOSE: &str = "Connection: close\r\n";

/// A request without a body on a connection that goes on, unless these headers say otherwise.
fn ask(line: &str, headers: &str) -> String {
    format!("{line}\r\nHost: a\r\n{headers}\r\n")
}

/// Whether a head came, up to its empty line.
async fn has_head(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return false };
        seen.push(byte);
    }
    true
}

/// A server that answers each request, which has no body, with these bytes, or only the first and then closes.
fn answering(answer: &'static str, closes: bool) -> Backend {
    Backend::serving(move |mut stream| async move {
        while has_head(&mut stream).await && stream.write_all(answer.as_bytes()).await.is_ok() && !closes {}
    })
}

fn before(backend: &Backend) -> Proxy {
    Proxy::with(&config("pool = \"game\"", &pool(&[backend], "retries = 0\n")))
}

/// What it all comes to when it is sent at once, with something behind it, and when it is sent byte by byte.
async fn heard(proxy: &Proxy, text: &str, behind: &str) -> [String; 2] {
    let slowly = async {
        let mut client = proxy.connect().await;
        for byte in text.bytes() {
            // Pieces that the network has joined again would prove nothing.
            tokio::task::yield_now().await;
            client.send(&[byte]).await;
        }
        let mut answer = Vec::new();
        soon("the end", client.0.read_to_end(&mut answer)).await.expect("closed in order");
        String::from_utf8(answer).unwrap()
    };
    let whole = text.to_owned() + behind;
    let at_once = said(proxy.address(), whole.as_bytes());
    let (at_once, slowly) = tokio::join!(at_once, slowly);
    [at_once, slowly]
}

/// The statuses of all answers, whose bodies do not name HTTP.
fn statuses(said: &str) -> Vec<&str> {
    said.match_indices("HTTP/1.").map(|(at, version)| &said[at + version.len() + 2..][..3]).collect()
}

/// The lines of the first head, in lower case.
fn head_of(said: &str) -> Vec<String> {
    let head = said.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().map(str::to_lowercase).collect()
}

fn has(said: &str, name: &str) -> bool {
    head_of(said).iter().any(|line| line.split_once(':').is_some_and(|(found, _)| found == name))
}

#[tokio::test]
async fn requests_sent_together_are_answered_in_their_order() {
    let (backend, _) = echo();
    let proxy = before(&backend);
    let mut text = String::new();
    for number in 0..10 {
        let body = match number % 3 {
            0 => "Content-Length: 5\r\n\r\nhello",
            1 => "Transfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n1\r\no\r\n0\r\n\r\n",
            _ => "\r\n",
        };
        // Empty lines in front of a request are nothing (RFC 9112, 2.2).
        text += &format!("\r\nPOST /{number} HTTP/1.1\r\nHost: a\r\n{body}");
    }
    text += &ask("GET /last HTTP/1.1", CLOSE);
    // Nobody hears of what comes behind that (9.6).
    for said in heard(&proxy, &text, &ask("GET /never HTTP/1.1", "")).await {
        assert_eq!(statuses(&said), ["200"; 11], "{said}");
        let asked = said.lines().filter_map(|line| line.strip_prefix("POST /").or_else(|| line.strip_prefix("GET /")));
        let expected: Vec<_> = (0..10).map(|number| number.to_string()).chain(["last".to_owned()]).collect();
        assert_eq!(asked.collect::<Vec<_>>(), expected);
        assert_eq!(said.matches("\n\nhello").count(), 7, "{said}");
    }
}

#[tokio::test]
async fn the_client_says_whether_its_connection_goes_on() {
    let (backend, _) = echo();
    let proxy = before(&backend);
    for (line, headers, answers) in [
        ("GET /1 HTTP/1.1", "", 2),
        ("GET /1 HTTP/1.1", "Connection: x-own, Close\r\n", 1),
        ("GET /1 HTTP/1.1", "Connection: keep-alive\r\nCONNECTION: close\r\n", 1),
        ("GET /1 HTTP/1.0", "", 1),
        ("GET /1 HTTP/1.0", "Connection: Keep-Alive\r\n", 2),
    ] {
        let text = ask(line, headers) + &ask("GET /2 HTTP/1.1", CLOSE);
        let said = said(proxy.address(), text.as_bytes()).await;
        assert_eq!(statuses(&said).len(), answers, "{line} {headers}: {said}");
        let closes = head_of(&said).iter().any(|line| line == "connection: close");
        assert!(closes || answers == 2 || line.ends_with("1.0"), "who closes says so: {said}");
        let stays = head_of(&said).iter().any(|line| line == "connection: keep-alive");
        assert!(stays || answers == 1 || line.ends_with("1.1"), "who stays on 1.0 says so: {said}");
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let cases = [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n"),
    ];
    for (method, answer) in cases {
        let backend = answering(answer, false);
        let line = format!("{method} / HTTP/1.1");
        let said = said(before(&backend).address(), (ask(&line, "") + &ask(&line, CLOSE)).as_bytes()).await;
        // Two heads, and nothing between or behind them.
        assert_eq!((statuses(&said).len(), said.matches("\r\n\r\n").count()), (2, 2), "{method} {answer}: {said}");
        assert!(said.ends_with("\r\n\r\n"), "{method} {answer}: {said}");
        let has_framing = has(&said, "content-length") || has(&said, "transfer-encoding");
        assert!(!(has_framing && answer.contains(" 204 ")), "RFC 9110, 8.6, and RFC 9112, 6.1: {said}");
    }
}

#[tokio::test]
async fn an_answer_has_the_framing_that_its_client_knows() {
    let chunked =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", false);
    let until_close = answering("HTTP/1.1 200 OK\r\n\r\nhello", true);
    let old = answering("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", true);
    for backend in [chunked, until_close, old] {
        let proxy = before(&backend);
        let mut client = proxy.connect().await;
        client.send(ask("GET / HTTP/1.0", "").as_bytes()).await;
        let mut answer = String::new();
        soon("the end", client.0.read_to_string(&mut answer)).await.expect("closed in order");
        assert!(answer.ends_with("\r\n\r\nhello") && !has(&answer, "transfer-encoding"), "{answer}");
        let twice = ask("GET / HTTP/1.1", "") + &ask("GET / HTTP/1.1", CLOSE);
        let answers = said(proxy.address(), twice.as_bytes()).await;
        assert_eq!(statuses(&answers), ["200", "200"], "{answers}");
        assert_ne!(has(&answers, "transfer-encoding"), has(&answers, "content-length"), "{answers}");
    }
}

#[tokio::test]
async fn trailers_are_for_those_who_ask_for_them() {
    let backend = answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 15\r\n\r\n",
        false,
    );
    let proxy = before(&backend);
    for (headers, expected) in [("", false), ("TE: gzip\r\n", false), ("TE: trailers\r\n", true)] {
        let said = said(proxy.address(), &get("/", headers)).await.to_lowercase();
        assert_eq!(said.ends_with("0\r\nx-sum: 15\r\n\r\n"), expected, "{headers}: {said}");
        assert_eq!(said.ends_with("0\r\n\r\n"), !expected, "{headers}: {said}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Su",
    ] {
        let mut backend = Backend::by_hand();
        let proxy = before(&backend.backend);
        let mut client = proxy.connect().await;
        client.send((ask("GET / HTTP/1.1", "") + &ask("GET /2 HTTP/1.1", "")).as_bytes()).await;
        let mut server = backend.next().await;
        assert!(has_head(&mut server.0).await);
        server.send(answer.as_bytes()).await;
        let mut seen = Vec::new();
        while !seen.ends_with(b"hello") {
            seen.push(soon("the body", client.0.read_u8()).await.unwrap());
        }
        drop(server);
        let mut rest = Vec::new();
        let _reset = soon("the end", client.0.read_to_end(&mut rest)).await;
        let rest = String::from_utf8(rest).unwrap();
        // Neither the end of this answer nor another one.
        assert!(!rest.contains("0\r\n\r\n") && !rest.contains("HTTP/1.1"), "{answer}: {rest}");
        assert_eq!(backend.backend.accepted(), 1, "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_its_connection_ends_is_cut_by_a_reset() {
    let mut backend = Backend::by_hand();
    let proxy = before(&backend.backend);
    for (is_killed, request) in [(false, "GET / HTTP/1.0"), (true, "GET / HTTP/1.0"), (false, "GET / HTTP/1.1")] {
        let mut client = proxy.connect().await;
        client.send(ask(request, "").as_bytes()).await;
        let mut server = backend.next().await;
        assert!(has_head(&mut server.0).await);
        server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        assert!(has_head(&mut client.0).await);
        let is_told = request.ends_with("1.1");
        client.expect(if is_told { b"5\r\nhello\r\n" } else { b"hello" }).await;
        if is_killed {
            let list = proxy.get("/api/v1/sessions").await.json();
            let id = list["sessions"][0]["id"].as_str().unwrap();
            ask_with(proxy.admin(), "DELETE", &format!("/api/v1/sessions/{id}"), &[], "").await;
        } else {
            drop(server);
        }
        let expected = if is_told { Ending::Closed } else { Ending::Reset };
        assert_eq!(client.ending().await.0, expected, "{request}, killed: {is_killed}");
        proxy.expect_empty().await;
    }
}

#[tokio::test]
async fn only_who_expects_it_is_told_to_go_on() {
    let (backend, _) = echo();
    let routes = "[[listeners.game.routes]]\npath = \"/rooms\"\npool = \"game\"\n";
    let proxy = Proxy::with(&config("", &(routes.to_owned() + &pool(&[&backend], ""))));
    for (line, headers, expected) in [
        ("POST /rooms HTTP/1.1", "Expect: 100-continue\r\n", ["100", "200"].as_slice()),
        ("POST /rooms HTTP/1.1", "Expect: 100-Continue\r\n", &["100", "200"]),
        ("POST /rooms HTTP/1.1", "", &["200"]),
        ("POST /rooms HTTP/1.0", "Expect: 100-continue\r\n", &["200"]),
        // What would be sent is not wanted (RFC 9110, 10.1.1).
        ("POST / HTTP/1.1", "Expect: 100-continue\r\n", &["404"]),
    ] {
        let mut client = proxy.connect().await;
        client.send(ask(line, &format!("{headers}{CLOSE}Content-Length: 5\r\n")).as_bytes()).await;
        let mut answer = Vec::new();
        if expected[0] == "100" {
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(soon("consent", client.0.read_u8()).await.unwrap());
            }
        }
        if expected != ["404"] {
            client.send(b"hello").await;
        }
        let _reset = soon("the end", client.0.read_to_end(&mut answer)).await;
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(statuses(&answer), expected, "{line} {headers}: {answer}");
        assert!(answer.ends_with("\n\nhello") || expected == ["404"], "{line} {headers}: {answer}");
    }
}

#[tokio::test]
async fn who_goes_away_leaves_no_request_behind() {
    let mut backend = Backend::by_hand();
    let proxy = before(&backend.backend);
    for request in [ask("GET / HTTP/1.1", ""), ask("POST / HTTP/1.1", "Content-Length: 5\r\n") + "he"] {
        let mut client = proxy.connect().await;
        client.send(request.as_bytes()).await;
        let mut server = backend.next().await;
        assert!(has_head(&mut server.0).await);
        client.reset();
        let (_, rest) = server.ending().await;
        assert!(rest <= 2, "{request}: {rest} bytes");
        proxy.expect_empty().await;
    }
}

#[tokio::test]
async fn the_last_answer_of_a_drain_says_so_and_no_request_is_begun_behind_it() {
    let requests = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&requests);
    let backend = Backend::serving(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            while has_head(&mut stream).await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            }
        }
    });
    let mut proxy = before(&backend);
    let mut client = proxy.connect().await;
    client.send(ask("GET / HTTP/1.1", "").repeat(200).as_bytes()).await;
    eventually("a request", async || requests.load(Ordering::Relaxed) > 0).await;
    proxy.shut_down();
    let mut answers = String::new();
    soon("the end", client.0.read_to_string(&mut answers)).await.expect("closed in order");
    let (before_last, last) = answers.rsplit_once("HTTP/1.1").unwrap();
    assert!(last.to_lowercase().contains("connection: close\r\n") && last.ends_with("hello"), "{last}");
    assert!(!before_last.to_lowercase().contains("connection: close"), "{before_last}");
    let answered = statuses(&answers).len();
    assert!(answered < 100 && answered == requests.load(Ordering::Relaxed), "the rest are the client's to send again");
    proxy.ended().await;
}

/// Asks again and again, and takes nothing, until the other side has enough of it.
async fn hoard<S: AsyncRead + AsyncWrite>(client: Peer<S>) {
    let (_unread, mut asking) = split(client.0);
    let ask = ask("GET / HTTP/1.1", "").repeat(100);
    while soon("an end", asking.write_all(ask.as_bytes())).await.is_ok() {}
}

#[tokio::test]
async fn who_takes_none_of_many_answers_is_not_kept() {
    let page = "x".repeat(100_000).leak();
    let backend = answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len()).leak(), false);
    let folder = tempfile::tempdir().unwrap();
    AUTHORITY.issue(&["a.example"]).write(folder.path(), "web");
    let nowhere = "keepalive_timeout = \"300ms\"\n[[listeners.game.routes]]\nhost = \"b\"\npool = \"game\"";
    let tls = "[listeners.tls]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\n\
        [listeners.tls.tls]\ncertificates = [{ cert = \"web.pem\", key = \"web.key\" }]\n";
    let pool = pool(&[&backend], "idle_timeout = \"300ms\"\n");
    let proxy = Proxy::in_folder(folder, &(config(nowhere, tls) + &pool)).unwrap();
    // Of this proxy's own words, and of a backend's.
    let plain = proxy.connect().await;
    plain.narrow();
    hoard(plain).await;
    let plain = Peer::connect(proxy.address_of("tls")).await;
    plain.narrow();
    hoard(secure(plain, "a.example", &client(&["http/1.1"])).await.unwrap()).await;
    proxy.expect_empty().await;
}
