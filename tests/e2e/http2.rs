//! HTTP/2 as clients speak it, good and bad: what one of them does on a stream is no other's trouble.

use std::time::Duration;

use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::http::{config, echo};
use crate::support::proxy::pool;
use crate::support::{Backend, Proxy, eventually, soon};

mod backends;
mod frames;

/// A client's connection.
pub(crate) async fn client(proxy: &Proxy) -> SendRequest<Bytes> {
    client_with(proxy, &h2::client::Builder::new()).await
}

/// The same, with settings of its own.
async fn client_with(proxy: &Proxy, settings: &h2::client::Builder) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (client, connection) = settings.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Sends the head of a request without a body; the rest comes later.
fn ask(client: &mut SendRequest<Bytes>, path: &str) -> h2::client::ResponseFuture {
    let request = Request::get(format!("http://a.example{path}")).body(()).unwrap();
    client.send_request(request, true).unwrap().0
}

/// Sends the head of a request whose body is to follow.
fn post(client: &mut SendRequest<Bytes>, path: &str) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    let request = Request::post(format!("http://a.example{path}")).body(()).unwrap();
    client.send_request(request, false).unwrap()
}

/// The whole of a body, or what ended it.
pub(crate) async fn whole(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len()).unwrap();
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// What a request without a body is answered.
pub(crate) async fn answer(client: &mut SendRequest<Bytes>, path: &str) -> (StatusCode, Vec<u8>) {
    let response = soon("an answer", ask(client, path)).await.unwrap();
    let status = response.status();
    (status, soon("its body", whole(response.into_body())).await.unwrap())
}

/// The head of a request, as a server of HTTP/1.1 gets it.
pub(crate) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_end) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Answers what it is asked for: `/large` is 20 MB, `/mute` nothing; an upload to `/stuck` is not read.
fn server() -> Backend {
    Backend::serving(async |mut stream: TcpStream| {
        loop {
            let head = head(&mut stream).await;
            match head.split(' ').nth(1) {
                None => return,
                Some("/stuck" | "/mute") => std::future::pending().await,
                Some("/large") => {
                    let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n").await;
                    let _sent = stream.write_all(&vec![b'x'; 20_000_000]).await;
                }
                Some(_) => {
                    let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            }
        }
    })
}

/// Requests that are being answered.
async fn in_flight(proxy: &Proxy) -> f64 {
    proxy.metric("portti_requests_in_flight", &[]).await
}

#[tokio::test]
async fn an_upload_that_its_backend_does_not_take_holds_up_no_other() {
    let (echo, stuck) = (echo().0, server());
    let route = format!(
        "[[listeners.game.routes]]\npath = \"/stuck\"\npool = \"stuck\"\n[pools.stuck]\nbackends = [\"{}\"]\n",
        stuck.address
    );
    let proxy = Proxy::with(&config("pool = \"game\"", &(route + &pool(&[&echo], ""))));
    let mut client = client(&proxy).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let (answer, mut body) = post(&mut client, "/stuck");
        // Until nobody takes any more of it.
        loop {
            body.reserve_capacity(64 * 1024);
            let room = timeout(Duration::from_millis(300), std::future::poll_fn(|cx| body.poll_capacity(cx))).await;
            let Ok(Some(Ok(room))) = room else { break };
            body.send_data(Bytes::from(vec![0; room]), false).unwrap();
        }
        held.push((answer, body));
    }
    let (answer, mut body) = post(&mut client, "/");
    body.send_data(Bytes::from(vec![7; 50_000]), true).unwrap();
    let response = soon("an answer beside them", answer).await.unwrap();
    let told = soon("its body", whole(response.into_body())).await.unwrap();
    assert_eq!(told.iter().filter(|&&byte| byte == 7).count(), 50_000);
}

#[tokio::test]
async fn an_upload_that_is_reset_is_not_whole_whatever_the_reason() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL] {
        let mut backend = Backend::by_hand();
        let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend.backend], "")));
        let mut client = client(&proxy).await;
        let (_answer, mut body) = post(&mut client, "/");
        body.send_data(Bytes::from_static(b"hello"), false).unwrap();
        let mut asked = backend.next().await.0;
        let head = head(&mut asked).await;
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        let mut piece = [0; 10];
        soon("a piece", asked.read_exact(&mut piece)).await.unwrap();
        assert_eq!(&piece, b"5\r\nhello\r\n");
        body.send_reset(reason);
        let mut rest = Vec::new();
        let _reset = soon("the end", asked.read_to_end(&mut rest)).await;
        assert_eq!(rest, b"", "no last chunk");
    }
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_loses_that_alone() {
    let backend = server();
    let keys = "pool = \"game\"\nsend_timeout = \"400ms\"";
    let proxy = Proxy::with(&config(keys, &pool(&[&backend], "")));
    let mut client = client_with(&proxy, h2::client::Builder::new().initial_window_size(10)).await;
    let response = soon("a head", ask(&mut client, "/large")).await.unwrap();
    eventually("it is under way", async || in_flight(&proxy).await == 1.0).await;
    eventually("it is not any more", async || in_flight(&proxy).await == 0.0).await;
    let why = soon("the end", whole_untaken(response)).await.unwrap_err();
    assert_eq!(why.reason(), Some(Reason::CANCEL));
    assert_eq!(answer(&mut client, "/").await, (StatusCode::OK, b"ok".to_vec()));
    assert_eq!(proxy.backend(backend.address).await["sessions_active"], 0);
}

/// Reads a body, and gives no credit for it.
async fn whole_untaken(response: Response<RecvStream>) -> Result<(), h2::Error> {
    let mut body = response.into_body();
    while let Some(piece) = body.data().await {
        piece?;
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_taken_slowly_goes_on() {
    let proxy = Proxy::with(&config("pool = \"game\"\nsend_timeout = \"2s\"", &pool(&[&server()], "")));
    let mut client = client_with(&proxy, h2::client::Builder::new().initial_window_size(100)).await;
    let response = soon("a head", ask(&mut client, "/large")).await.unwrap();
    let mut body = response.into_body();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let piece = soon("a piece", body.data()).await.unwrap().unwrap();
        sleep(Duration::from_millis(300)).await;
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_on_ends_its_request_alone() {
    let (backend, _) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"\nbody_timeout = \"400ms\"", &pool(&[&backend], "")));
    let mut client = client(&proxy).await;
    let (answer, mut body) = post(&mut client, "/");
    body.send_data(Bytes::from_static(b"some"), false).unwrap();
    assert_eq!(soon("an answer", answer).await.unwrap().status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(self::answer(&mut client, "/").await.0, StatusCode::OK);
    assert_eq!(proxy.metric("portti_requests_refused_total", &[("reason", "body_timeout")]).await, 1.0);
    assert_eq!(proxy.metric("portti_backend_failures_total", &[]).await, 0.0);
    // By HTTP/1.1, too.
    let text = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhe";
    let said = crate::http::said(proxy.address(), text).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("\"reason\": \"body_timeout\""), "{said}");
}

#[tokio::test]
async fn who_cancels_without_end_is_told_to_calm_down() {
    let backend = server();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let mut client = client(&proxy).await;
    assert_eq!(answer(&mut client, "/").await.0, StatusCode::OK);
    let mut cancelled = 0;
    while client.clone().ready().await.is_ok() {
        assert!(cancelled < 1000, "{cancelled} were cancelled");
        let request = || Request::get("http://a.example/mute").body(()).unwrap();
        let asked: Vec<_> = (0..50).filter_map(|_| client.send_request(request(), true).ok()).collect();
        // Each has reached its backend, unless the connection is over.
        eventually("they are under way", async || {
            in_flight(&proxy).await == 50.0 || client.clone().ready().await.is_err()
        })
        .await;
        drop(asked);
        eventually("they are not any more", async || in_flight(&proxy).await == 0.0).await;
        cancelled += 50;
    }
    let why = client.ready().await.map(drop).unwrap_err();
    assert_eq!((why.reason(), cancelled > 200), (Some(Reason::ENHANCE_YOUR_CALM), true), "{cancelled}");
    proxy.expect_ended("rate_limited", 1).await;
    // Of connections that are given up no port waits for a minute.
    let waiting = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let [a, b, c, d] = match backend.address.ip() {
        std::net::IpAddr::V4(address) => address.octets(),
        std::net::IpAddr::V6(_) => unreachable!("an address of IPv4"),
    };
    let to = format!(" {d:02X}{c:02X}{b:02X}{a:02X}:{:04X} 06 ", backend.address.port());
    assert_eq!(waiting.lines().filter(|line| line.contains(&to)).count(), 0, "TIME_WAIT");
}

#[tokio::test]
async fn limits_of_heads_hold_for_http2_too() {
    let (backend, requests) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let mut client = client(&proxy).await;
    let padded: &[(&str, &str)] = &[("x-padded", " x")];
    for (headers, expected) in [
        ((0..95).map(|number| (format!("x-{number}"), "y".to_owned())).collect::<Vec<_>>(), Ok(StatusCode::OK)),
        (
            (0..101).map(|number| (format!("x-{number}"), "y".to_owned())).collect(),
            Ok(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        ),
        (vec![("x-large".to_owned(), "y".repeat(70_000))], Ok(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
        (
            padded.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            Err(Reason::PROTOCOL_ERROR),
        ),
    ] {
        let mut request = Request::get("http://a.example/").body(()).unwrap();
        for (name, value) in &headers {
            let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let answer = soon("an answer", client.send_request(request, true).unwrap().0).await;
        let found = answer.map(|answer| answer.status()).map_err(|why| why.reason().unwrap());
        assert_eq!(found, expected, "{} headers", headers.len());
    }
    assert_eq!(requests.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(answer(&mut client, "/").await.0, StatusCode::OK, "the connection goes on");
}

#[tokio::test]
async fn cookies_are_one_header_and_who_expects_it_is_asked_for_the_body() {
    let (backend, _) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let mut client = client(&proxy).await;
    let request = Request::post("http://a.example/").header("expect", "100-continue");
    let request = ["a=1", "b=2", "c=3"].iter().fold(request, |request, crumb| request.header("cookie", *crumb));
    let (mut answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let word = soon("a word", std::future::poll_fn(|cx| answer.poll_informational(cx))).await.unwrap().unwrap();
    assert_eq!(word.status(), StatusCode::CONTINUE);
    body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
    body.send_trailers(trailers).unwrap();
    let answer = soon("an answer", answer).await.unwrap();
    let told = String::from_utf8(soon("its body", whole(answer.into_body())).await.unwrap()).unwrap();
    assert!(told.contains("\ncookie: a=1; b=2; c=3\n") && told.ends_with("\n\nhello"), "{told}");
}

#[tokio::test]
async fn a_tunnel_that_its_backend_breaks_off_is_reset() {
    let backend = Backend::serving(async |mut stream: TcpStream| {
        head(&mut stream).await;
        let consent = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(consent).await.unwrap();
        match stream.read_u8().await.unwrap() {
            b'r' => stream.set_zero_linger().unwrap(),
            _ => stream.shutdown().await.unwrap(),
        }
    });
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    for (word, expected) in [("r", Err(Some(Reason::CANCEL))), ("e", Ok(Vec::new()))] {
        let mut client = client(&proxy).await;
        // It has to hear first that this is spoken here.
        eventually("it has heard", async || client.is_extended_connect_protocol_enabled()).await;
        let mut request = Request::connect("http://a.example/game").body(()).unwrap();
        request.extensions_mut().insert(h2::ext::Protocol::from_static("echo"));
        let (answer, mut up) = client.send_request(request, false).unwrap();
        let answer = soon("an answer", answer).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        up.send_data(Bytes::from_static(word.as_bytes()), false).unwrap();
        let down = soon("the end", whole(answer.into_body())).await;
        assert_eq!(down.map_err(|why| why.reason()), expected, "{word}");
    }
}
