//! Listeners that speak HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::proxy::{pool, pool_of};
use crate::support::tls::{AUTHORITY, client, connect};
use crate::support::{Backend, Proxy, assert_took, eventually, free_address, soon};

const LATE: Duration = Duration::from_millis(700);

/// An answer with what was asked: a line for the request, one for each header, and the body.
pub(crate) async fn told(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let mut said = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        said += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    let body = request.into_body().collect().await?.to_bytes();
    let answer = Response::builder().header("keep-alive", "x").header("x-server", "echo");
    Ok(answer.body(Full::from([said.as_bytes(), b"\n", body.as_ref()].concat())).unwrap())
}

/// A server that answers so, and how many requests it had.
pub(crate) fn echo() -> (Backend, Arc<AtomicUsize>) {
    let requests = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&requests);
    let backend = Backend::serving(move |stream| {
        let count = Arc::clone(&count);
        async move {
            let service = service_fn(move |request: Request<Incoming>| {
                count.fetch_add(1, Ordering::Relaxed);
                told(request)
            });
            let _ended = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    });
    (backend, requests)
}

/// Listener `game` speaks HTTP, with further keys.
pub(crate) fn config(keys: &str, rest: &str) -> String {
    format!("[listeners.game]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\n{keys}\n{rest}")
}

/// What a whole conversation on a connection of its own comes to, as text; it ends when this proxy closes.
pub(crate) async fn said(address: SocketAddr, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _closed = stream.write_all(text).await;
    let mut answer = Vec::new();
    let _reset = soon("the end", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

#[tokio::test]
async fn requests_reach_the_backend_with_who_they_are_from() {
    let (backend, _) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let headers =
        "X-Forwarded-For: 192.0.2.9\r\nX-Own: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nX_Forwarded_For: 192.0.2.9\r\n";
    let answer = said(proxy.address(), &get("/rooms?x=1", headers)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("x-server: echo") && !answer.contains("keep-alive: x"), "{answer}");
    for line in ["GET /rooms?x=1", "host: a.example", "x-own: 1", "te: trailers", "x-forwarded-for: 127.0.0.1"] {
        assert!(answer.lines().any(|found| found == line), "{line:?} is not in {answer}");
    }
    assert!(answer.contains("x-forwarded-proto: http\n") && answer.contains("x-request-id: "), "{answer}");
    assert!(!answer.contains("192.0.2.9"), "{answer}");
    proxy.expect_ended("client_closed", 1).await;
    let counted = proxy.metric("portti_requests_total", &[("listener", "game"), ("code_class", "2xx")]).await;
    assert_eq!(counted, 1.0);
}

#[tokio::test]
async fn a_client_of_http_1_0_need_not_name_a_host() {
    let (backend, _) = echo();
    let route = "[[listeners.game.routes]]\nhost = \"b.example\"\npool = \"game\"\nshed_at = \"overloaded\"\n";
    let proxy = Proxy::with(&config("pool = \"game\"", &(route.to_owned() + &pool(&[&backend], ""))));
    let answer = said(proxy.address(), b"OPTIONS / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("OPTIONS /\n"), "{answer}");
    assert!(answer.contains(&format!("host: {}\n", backend.address)), "{answer}");
    assert!(!answer.contains("x-forwarded-host"), "{answer}");
}

#[tokio::test]
async fn what_is_said_of_a_connection_is_named_as_such() {
    let (backend, _) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let answer = said(proxy.address(), &get("/", "TE: trailers\r\n")).await;
    assert!(answer.contains("te: trailers\n") && answer.contains("connection: TE\n"), "{answer}");
    let options = b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = said(proxy.address(), options).await;
    assert!(answer.contains("OPTIONS *\n") && answer.contains("host: a\n"), "{answer}");
}

#[tokio::test]
async fn a_call_of_grpc_gets_a_status_that_its_client_reads() {
    let proxy = Proxy::with(&config("pool = \"game\"", &pool_of(&[free_address()], "retries = 0\n")));
    let stream = TokioIo::new(TcpStream::connect(proxy.address()).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let call = Request::post(format!("http://{}/Chat/Say", proxy.address()))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answer = soon("an answer", sender.send_request(call.body(Full::<Bytes>::from("call")).unwrap())).await.unwrap();
    let headers = answer.headers();
    assert_eq!(
        (answer.status(), headers["grpc-status"].as_bytes(), headers["content-type"].as_bytes()),
        (StatusCode::OK, &b"14"[..], &b"application/grpc"[..])
    );
    drop(answer);
    let refused = proxy.metric("portti_requests_refused_total", &[("reason", "connect_failed")]).await;
    assert_eq!(refused, 1.0);
}

#[tokio::test]
async fn one_connection_carries_many_requests_to_one_warm_connection() {
    let (backend, requests) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let stream = TokioIo::new(TcpStream::connect(proxy.address()).await.unwrap());
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for number in 0..50 {
        let body = Full::<Bytes>::from(format!("body {number}"));
        let request = Request::post("/").header("host", "a").body(body).unwrap();
        let answer = soon("an answer", sender.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(body.ends_with(format!("\n\nbody {number}").as_bytes()), "{body:?}");
    }
    assert_eq!((requests.load(Ordering::Relaxed), backend.accepted()), (50, 1));
    assert_eq!(proxy.status().await["sessions_active"], 1);
    assert_eq!(proxy.backend(backend.address).await["sessions_active"], 0, "between requests it is nobody's");
    drop(sender);
    proxy.expect_empty().await;
}

#[tokio::test]
async fn http2_is_spoken_plain_and_by_tls() {
    let (backend, _) = echo();
    let folder = tempfile::tempdir().unwrap();
    AUTHORITY.issue(&["a.example"]).write(folder.path(), "web");
    let tls = "[listeners.tls]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\n\
        [listeners.tls.tls]\ncertificates = [{ cert = \"web.pem\", key = \"web.key\" }]\n";
    let proxy = Proxy::in_folder(folder, &(config("pool = \"game\"", tls) + &pool(&[&backend], ""))).unwrap();
    let plain = TokioIo::new(TcpStream::connect(proxy.address()).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), plain).await.unwrap();
    tokio::spawn(connection);
    check_http2(sender, "http").await;

    let secure = connect(proxy.address_of("tls"), "a.example", &client(&["h2", "http/1.1"])).await.unwrap();
    assert_eq!(secure.0.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(Box::new(secure.0))).await.unwrap();
    tokio::spawn(connection);
    check_http2(sender, "https").await;
    proxy.expect_ended("client_closed", 2).await;

    let mut secure = connect(proxy.address_of("tls"), "a.example", &client(&[])).await.unwrap();
    secure.send(&get("/", "")).await;
    let mut answer = String::new();
    soon("the end", secure.0.read_to_string(&mut answer)).await.expect("closed in order");
    assert!(answer.contains("x-forwarded-proto: https\n"), "{answer}");
}

/// Twenty requests at once.
/// The library says that it goes, and then waits for the client to say that it has heard.
#[tokio::test]
async fn silence_on_http2_ends_even_if_the_client_never_answers() {
    let (backend, _) = echo();
    let keys = "pool = \"game\"\nkeepalive_timeout = \"400ms\"\nheader_timeout = \"400ms\"";
    let folder = tempfile::tempdir().unwrap();
    AUTHORITY.issue(&["a.example"]).write(folder.path(), "web");
    let tls = "[listeners.tls]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\nkeepalive_timeout = \"400ms\"\n\
        [listeners.tls.tls]\ncertificates = [{ cert = \"web.pem\", key = \"web.key\" }]\n";
    let proxy = Proxy::in_folder(folder, &config(keys, &(tls.to_owned() + &pool(&[&backend], "")))).unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut silent = TcpStream::connect(proxy.address()).await.unwrap();
    silent.write_all(preface).await.unwrap();
    // HEADERS that announce a continuation.
    let mut half = TcpStream::connect(proxy.address()).await.unwrap();
    half.write_all(&[&preface[..], b"\0\0\x01\x01\x01\0\0\0\x01\x82"].concat()).await.unwrap();
    let mut unspoken = connect(proxy.address_of("tls"), "a.example", &client(&["h2"])).await.unwrap().0;
    let mut seen = Vec::new();
    let _reset = soon("the end", silent.read_to_end(&mut seen)).await;
    let _reset = soon("the end", half.read_to_end(&mut seen)).await;
    let _reset = soon("the end", unspoken.read_to_end(&mut seen)).await;
    proxy.expect_empty().await;
}

async fn check_http2(sender: http2::SendRequest<Full<Bytes>>, scheme: &'static str) {
    let mut asked = JoinSet::new();
    for number in 0..20_usize {
        let mut sender = sender.clone();
        asked.spawn(async move {
            let uri = format!("{scheme}://a.example/{number}");
            let request = Request::post(uri).body(Full::from(vec![7_u8; number * 5000])).unwrap();
            let answer = soon("an answer", sender.send_request(request)).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&body);
            assert!(
                text.starts_with(&format!("POST /{number}\n")) && text.contains("host: a.example\n"),
                "{text:.300}"
            );
            assert!(text.contains(&format!("x-forwarded-proto: {scheme}\n")), "{text:.300}");
            assert_eq!(body.iter().filter(|&&byte| byte == 7).count(), number * 5000);
        });
    }
    assert_eq!(asked.join_all().await.len(), 20);
}

#[tokio::test]
async fn routes_lead_requests_to_pools() {
    let ([(rooms, _), (lobby, _)], none) = ([echo(), echo()], free_address());
    let routes = "[[listeners.game.routes]]\npath = \"/rooms\"\nmethods = [\"POST\"]\npool = \"rooms\"\n\
        [[listeners.game.routes]]\nhost = \"*.example\"\npool = \"lobby\"\n";
    let pools = format!(
        "[pools.rooms]\nbackends = [\"{}\"]\n[pools.lobby]\nbackends = [\"{}\"]\n",
        rooms.address, lobby.address
    );
    let proxy = Proxy::with(&(config("", routes) + &pools + &pool_of(&[none], "")));
    let ask = async |method: &str, host: &str, path: &str| {
        let text =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        said(proxy.address(), text.as_bytes()).await.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(ask("POST", "b.other", "/rooms/7").await, "200");
    assert_eq!((rooms.accepted(), lobby.accepted()), (1, 0));
    assert_eq!(ask("GET", "a.example", "/rooms/7").await, "200");
    assert_eq!((rooms.accepted(), lobby.accepted()), (1, 1));
    assert_eq!(ask("GET", "b.other", "/rooms/7").await, "404");
}

/// However a path is spelled, it does not slip past the route that it is meant for; the backend gets it as it was spelled.
#[tokio::test]
async fn routes_compare_what_paths_mean() {
    let ([(rooms, in_rooms), (lobby, in_lobby)], none) = ([echo(), echo()], free_address());
    let routes = |keys: &str| {
        let routes = "[[listeners.game.routes]]\npath = \"/rooms\"\npool = \"rooms\"\n";
        let pools = format!(
            "[pools.rooms]\nbackends = [\"{}\"]\n[pools.lobby]\nbackends = [\"{}\"]\n",
            rooms.address, lobby.address
        );
        config(&format!("pool = \"lobby\"\n{keys}"), routes) + &pools + &pool_of(&[none], "")
    };
    let asked = || (in_rooms.load(Ordering::Relaxed), in_lobby.load(Ordering::Relaxed));
    let proxy = Proxy::with(&routes(""));
    let spelled = ["/%72ooms", "//rooms", "/./rooms", "/a/../rooms", "/a//%2e%2E/rooms/7", "http://a.example/%72ooms"];
    for (number, path) in spelled.iter().enumerate() {
        let answer = said(proxy.address(), &get(path, "")).await;
        let sent_on = path.trim_start_matches("http://a.example");
        assert!(answer.contains(&format!("\n\r\nGET {sent_on}\n")), "{path}: {answer}");
        assert_eq!(asked(), (number + 1, 0), "{path}");
    }
    for path in ["/../rooms", "/%2e%2e/rooms", "/%zz", "/rooms%", "/a%00"] {
        let answer = said(proxy.address(), &get(path, "")).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"bad_request\""), "{path}: {answer}");
    }
    assert!(said(proxy.address(), &get("/a%2F..%2Frooms", "")).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(asked().1, 1, "an encoded slash is part of a name");

    proxy.reload_with(&routes("path_normalize = false")).await;
    for path in ["/%72ooms", "//rooms", "/../rooms", "/%zz"] {
        assert!(said(proxy.address(), &get(path, "")).await.starts_with("HTTP/1.1 200 "), "{path}");
    }
    assert_eq!(asked(), (spelled.len(), 5));
}

#[tokio::test]
async fn what_goes_wrong_behind_is_said_in_its_own_words() {
    let mute = Backend::mute();
    let breaks = Backend::resetting();
    let proxy = Proxy::with(&config(
        "pool = \"game\"",
        &pool_of(&[free_address()], "retries = 0\n[pools.game.breaker]\nfailures = 1"),
    ));
    let answer = said(proxy.address(), &get("/", "")).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("\"reason\": \"connect_failed\""), "{answer}");
    let answer = said(proxy.address(), &get("/", "Accept: text/html\r\n")).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ")
            && answer.contains("retry-after: ")
            && answer.contains("no server is ready"),
        "{answer}"
    );
    proxy.reload_with(&config("pool = \"game\"", &pool(&[&mute], "request_timeout = \"500ms\""))).await;
    let asked = Instant::now();
    let answer = said(proxy.address(), &get("/", "")).await;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("\"reason\": \"request_timeout\""), "{answer}");
    assert_took(asked.elapsed(), Duration::from_millis(490), LATE);
    proxy.reload_with(&config("pool = \"game\"", &pool(&[&breaks], "retries = 0"))).await;
    let answer = said(proxy.address(), &get("/", "")).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("\"reason\": \"backend_reset\""), "{answer}");
    assert_eq!(proxy.metric("portti_requests_total", &[("code_class", "5xx")]).await, 4.0);
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_and_reaches_nobody() {
    let (backend, requests) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let cases: [&[u8]; 17] = [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a@b/ HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ];
    for bytes in cases {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = [0; 12];
        soon("an answer", stream.read_exact(&mut answer))
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", bytes.escape_ascii()));
        assert_eq!(&answer, b"HTTP/1.1 400", "{}", bytes.escape_ascii());
    }
    assert_eq!(requests.load(Ordering::Relaxed), 0);
    assert_eq!(backend.accepted(), 0);
}

#[tokio::test]
async fn slow_heads_and_silence_have_their_times() {
    let (backend, _) = echo();
    let keys = "pool = \"game\"\nheader_timeout = \"500ms\"\nkeepalive_timeout = \"1200ms\"";
    let proxy = Proxy::with(&config(keys, &pool(&[&backend], "")));
    let asked = Instant::now();
    let mut slow = proxy.connect().await;
    for byte in &get("/", "")[..] {
        if !slow.is_quiet() || slow.0.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    slow.ending().await;
    assert_took(asked.elapsed(), Duration::from_millis(490), LATE);
    proxy.expect_ended("preread_timeout", 1).await;
    let asked = Instant::now();
    let answer = said(proxy.address(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_took(asked.elapsed(), Duration::from_millis(1190), LATE);
    proxy.expect_ended("idle_timeout", 1).await;
    let asked = Instant::now();
    assert_eq!(said(proxy.address(), b"").await, "");
    assert_took(asked.elapsed(), Duration::from_millis(490), LATE);
    proxy.expect_ended("preread_timeout", 2).await;
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_closes_idle_connections() {
    let slow = Backend::serving(async |mut stream| {
        let mut buffer = [0; 1000];
        let _head = stream.read(&mut buffer).await;
        tokio::time::sleep(Duration::from_millis(800)).await;
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
        let _open = stream.read(&mut buffer).await;
    });
    let mut proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&slow], "")));
    let mut waits = proxy.connect().await;
    waits.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut idle = proxy.connect().await;
    let mut busy = proxy.connect().await;
    busy.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("they are there", async || slow.accepted() == 2).await;
    // One that has had an answer, and is silent now.
    let mut head = [0; 12];
    soon("an answer", idle.0.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).await.unwrap();
    soon("an answer", idle.0.read_exact(&mut head)).await.unwrap();
    waits.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    proxy.shut_down();
    for client in [&mut idle, &mut busy, &mut waits] {
        let mut rest = Vec::new();
        soon("the end", client.0.read_to_end(&mut rest)).await.expect("closed in order");
        assert!(rest.ends_with(b"late"), "{}", rest.escape_ascii());
    }
    proxy.ended().await;
}

#[tokio::test]
async fn bodies_pass_without_being_kept() {
    const LENGTH: usize = 50_000_000;
    let sink = Backend::serving(async |stream| {
        let service = service_fn(async |request: Request<Incoming>| {
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame?.data_ref().map_or(0, Bytes::len);
            }
            Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::from(length.to_string())))
        });
        let _ended = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    });
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&sink], "")));
    let mut client = proxy.connect().await;
    client
        .send(format!("PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes())
        .await;
    let piece = vec![7; 100_000];
    for _ in 0..LENGTH / piece.len() {
        client.send(&piece).await;
    }
    let mut answer = String::new();
    soon("the answer", client.0.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with(&format!("\r\n\r\n{LENGTH}")), "{answer}");
}

#[tokio::test]
async fn no_backend_gets_a_request_without_host_target_or_body() {
    let (backend, requests) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    for text in ["GET a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let answer = said(proxy.address(), text.as_bytes()).await;
        assert!(answer.contains(" 400 "), "{text}: {answer}");
    }
    let plain = TokioIo::new(TcpStream::connect(proxy.address()).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), plain).await.unwrap();
    tokio::spawn(connection);
    let lengths = Request::post("http://a/").header("content-length", "5").header("content-length", "5");
    let answer =
        soon("an answer", sender.send_request(lengths.body(Full::<Bytes>::from("hello")).unwrap())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(requests.load(Ordering::Relaxed), 0);
    let named = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, host\r\n\r\n";
    let answer = said(proxy.address(), named).await;
    assert!(answer.contains("\nhost: a\n"), "{answer}");
    let chunked =
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let answer = said(proxy.address(), chunked).await;
    assert!(answer.ends_with("\n\nhello"), "{answer}");
}
