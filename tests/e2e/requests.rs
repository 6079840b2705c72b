//! Requests on their way to pools: who is served, and how backends are spoken to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::http::{config, echo, get, said, told};
use crate::support::proxy::pool;
use crate::support::tls::AUTHORITY;
use crate::support::{Backend, Process, Proxy, eventually, free_address, soon};

/// The status of the answer to one request on a connection of its own, from this address.
async fn status(proxy: &Proxy, from: [u8; 4], request: &[u8]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(proxy.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    let _reset = soon("an answer", stream.read_to_string(&mut answer)).await;
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn post(path: &str, headers: &str) -> Vec<u8> {
    String::from_utf8(get(path, &format!("Content-Length: 0\r\n{headers}")))
        .unwrap()
        .replace("GET", "POST")
        .into_bytes()
}

/// Connections that do nothing, until this is the service level.
async fn fill(proxy: &Proxy, level: &str, crowd: &mut Vec<TcpStream>) {
    while proxy.status().await["service_level"] != level {
        crowd.push(TcpStream::connect(proxy.address()).await.unwrap());
        eventually("it is in", async || proxy.status().await["sessions_active"] == crowd.len()).await;
    }
}

const STRANGER: [u8; 4] = [127, 0, 0, 2];
const NEIGHBOUR: [u8; 4] = [127, 0, 0, 3];

#[tokio::test]
async fn rooms_are_shed_first_then_joins_and_players_last() {
    let (backend, _) = echo();
    let routes = "[[listeners.game.routes]]\npath = \"/rooms\"\nmethods = [\"POST\"]\npool = \"game\"\nshed_at = \"degraded\"\n\
        [[listeners.game.routes]]\npath = \"/join\"\npool = \"game\"\nshed_at = \"critical\"\n\
        [server]\nmax_connections = 40\n[server.reconnect]\nmin_session = \"300ms\"\n";
    let proxy =
        Proxy::with(&(config("pool = \"game\"\nreconnect_key = \"cookie:player\"", routes) + &pool(&[&backend], "")));
    // One who plays for a while, by a cookie; and one by its address, on one connection.
    let cookie = "Cookie: theme=dark; player=7\r\n";
    for _ in 0..2 {
        assert_eq!(status(&proxy, STRANGER, &get("/join", cookie)).await, "200");
        sleep(Duration::from_millis(310)).await;
    }
    assert_eq!(status(&proxy, STRANGER, &get("/join", cookie)).await, "200");
    let mut stays = proxy.connect_from(NEIGHBOUR).await;
    stays.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sleep(Duration::from_millis(310)).await;
    drop(stays);
    proxy.expect_empty().await;

    let asked: [(&str, [u8; 4], Vec<u8>); 6] = [
        ("a room", STRANGER, post("/rooms", "")),
        ("a join", STRANGER, get("/join", "")),
        ("the rest", STRANGER, get("/", "")),
        ("a player's room", STRANGER, post("/rooms", cookie)),
        ("a neighbour's room", NEIGHBOUR, post("/rooms", "Cookie: player=8\r\n")),
        ("an impostor's room", STRANGER, post("/rooms", "Cookie: player=9\r\n")),
    ];
    let mut crowd = Vec::new();
    for (level, expected) in [
        ("full", ["200"; 6]),
        ("degraded", ["503", "200", "200", "200", "200", "503"]),
        ("critical", ["503", "503", "200", "200", "200", "503"]),
    ] {
        fill(&proxy, level, &mut crowd).await;
        for ((what, from, request), expected) in asked.iter().zip(expected) {
            assert_eq!(status(&proxy, *from, request).await, expected, "{level}: {what}");
            eventually("it is out", async || proxy.status().await["sessions_active"] == crowd.len()).await;
        }
    }
    let answer = said(proxy.address(), &post("/rooms", "")).await;
    assert!(answer.contains("retry-after: ") && answer.contains("\"reason\": \"shed\""), "{answer}");
    assert_eq!(proxy.metric("portti_requests_refused_total", &[("reason", "shed")]).await, 6.0);
    // Who is in and asks when nobody new is served hears so; who comes then does not come in.
    let mut inside = TcpStream::connect(proxy.address()).await.unwrap();
    eventually("it is in", async || proxy.status().await["sessions_active"] == crowd.len() + 1).await;
    while proxy.status().await["service_level"] != "overloaded" {
        crowd.push(TcpStream::connect(proxy.address()).await.unwrap());
    }
    inside.write_all(&get("/", cookie)).await.unwrap();
    let mut answer = String::new();
    soon("an answer", inside.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

/// A server that takes its time.
fn slow(time: Duration) -> Backend {
    Backend::serving(move |mut stream: TcpStream| async move {
        let mut head = [0; 2000];
        while stream.read(&mut head).await.is_ok_and(|length| length > 0) {
            sleep(time).await;
            let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
        }
    })
}

#[tokio::test]
async fn requests_wait_in_the_pools_queue() {
    let backend = slow(Duration::from_millis(400));
    let pools = format!(
        "[pools.game]\nbackends = [{{ address = \"{}\", max_connections = 1 }}]\nqueue = {{ size = 1, timeout = \"5s\" }}\n",
        backend.address
    );
    let proxy = Arc::new(Proxy::with(&config("pool = \"game\"", &pools)));
    let mut asked = JoinSet::new();
    for _ in 0..2 {
        let proxy = Arc::clone(&proxy);
        asked.spawn(async move { said(proxy.address(), &get("/", "")).await });
    }
    eventually("one waits", async || proxy.metric("portti_queue_depth", &[]).await == 1.0).await;
    let full = said(proxy.address(), &get("/", "")).await;
    assert!(full.starts_with("HTTP/1.1 503 ") && full.contains("\"reason\": \"queue_full\""), "{full}");
    let answers = asked.join_all().await;
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200 ")), "{answers:?}");
    assert_eq!(proxy.metric("portti_queue_wait_seconds_count", &[]).await, 1.0);
    // A client that goes leaves the line.
    let [mut served, leaves] = [proxy.connect().await, proxy.connect().await];
    served.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("one is served", async || proxy.backend(backend.address).await["sessions_active"] == 1).await;
    let mut leaves = leaves;
    leaves.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("one waits", async || proxy.metric("portti_queue_depth", &[]).await == 1.0).await;
    drop(leaves);
    eventually("nobody waits", async || proxy.metric("portti_queue_depth", &[]).await == 0.0).await;
}

#[tokio::test]
async fn who_closes_its_side_behind_a_request_is_answered() {
    let (backend, _) = echo();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "")));
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    soon("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    proxy.expect_ended("client_closed", 1).await;
}

/// A server of HTTP/2 alone; by TLS if it has what it takes.
fn http2_server(tls: Option<ServerConfig>) -> Backend {
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    Backend::serving(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let server = http2::Builder::new(TokioExecutor::new());
            let _ended = match acceptor {
                None => server.serve_connection(TokioIo::new(stream), service_fn(told)).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                        server.serve_connection(TokioIo::new(stream), service_fn(told)).await
                    }
                    _ => Ok(()),
                },
            };
        }
    })
}

#[tokio::test]
async fn backends_may_speak_http2_plain_or_by_tls() {
    let identity = AUTHORITY.issue(&["127.0.0.1"]);
    let tls = ServerConfig::builder().with_no_client_auth();
    let mut tls = tls.with_single_cert(identity.chain(), identity.private_key()).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    for (tls, section) in [(None, ""), (Some(tls), "[pools.game.tls]\nverify = false\n")] {
        let backend = http2_server(tls);
        let keys = format!("protocol = \"h2\"\n{section}");
        let proxy = Arc::new(Proxy::with(
            &("[server]\nworkers = 1\n".to_owned() + &config("pool = \"game\"", &pool(&[&backend], &keys))),
        ));
        let ask = async |address: SocketAddr, number: usize| {
            let body = "x".repeat(number * 100);
            let length = body.len();
            let head = format!(
                "POST /{number} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            );
            said(address, (head + &body).as_bytes()).await
        };
        let first = ask(proxy.address(), 0).await;
        assert!(first.starts_with("HTTP/1.1 200 ") && first.contains("POST http"), "{first}");
        let mut asked = JoinSet::new();
        for number in 0..50 {
            let address = proxy.address();
            asked.spawn(async move {
                let answer = ask(address, number).await;
                assert!(
                    answer.starts_with("HTTP/1.1 200 ") && answer.contains(&format!("://a.example/{number}\n")),
                    "{answer}"
                );
                assert!(answer.ends_with(&"x".repeat(number * 100)), "{answer}");
            });
        }
        assert_eq!(asked.join_all().await.len(), 50);
        assert_eq!(backend.accepted(), 1, "all on one connection");
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
        let request = String::from_utf8(get("/", "")).unwrap().replace("Connection: close\r\n", upgrade);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        soon("an answer", stream.read_exact(&mut status)).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200", "as if it had not asked for more");
    }
}

/// More at once than it takes, and before it could say so: what it refuses has done nothing, and is nobody's failure.
#[tokio::test]
async fn what_an_http2_backend_refuses_is_sent_again() {
    let backend = Backend::serving(async |stream| {
        let mut server = http2::Builder::new(TokioExecutor::new());
        let service = service_fn(async |request| {
            sleep(Duration::from_millis(50)).await;
            told(request).await
        });
        let _ended = server.max_concurrent_streams(4).serve_connection(TokioIo::new(stream), service).await;
    });
    let proxy = Arc::new(Proxy::with(&config("pool = \"game\"", &pool(&[&backend], "protocol = \"h2\""))));
    let mut asked = JoinSet::new();
    for _ in 0..40 {
        let proxy = Arc::clone(&proxy);
        asked.spawn(async move { said(proxy.address(), &post("/", "")).await });
    }
    let answers = asked.join_all().await;
    let failed: Vec<_> = answers.iter().filter(|answer| !answer.starts_with("HTTP/1.1 200 ")).collect();
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), answers.len(), failed.first());
    assert_eq!(proxy.metric("portti_backend_failures_total", &[]).await, 0.0);
}

#[tokio::test]
async fn answers_may_count_against_a_backend_and_proxies_may_sign() {
    let broken = Backend::serving(async |mut stream| {
        let mut head = [0; 2000];
        while stream.read(&mut head).await.is_ok_and(|length| length > 0) {
            let _sent =
                stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\nVia: 1.1 inner\r\n\r\nsick").await;
        }
    });
    let keys = "retries = 0\nbreaker = { failures = 3, status = [502, 503] }";
    let proxy = Proxy::with(&config("pool = \"game\"\nvia = \"portti\"", &pool(&[&broken], keys)));
    for _ in 0..3 {
        let answer = said(proxy.address(), &get("/", "")).await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.ends_with("sick"), "it passes as it is: {answer}");
        assert!(answer.contains("via: 1.1 inner\r\nvia: 1.1 portti\r\n"), "{answer}");
    }
    let answer = said(proxy.address(), &get("/", "")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("via: 1.1 portti\r\n"), "{answer}");
    assert_eq!(proxy.metric("portti_backend_failures_total", &[("reason", "status")]).await, 3.0);
    let (backend, _) = echo();
    let keys = "warm_connections = 0";
    proxy.reload_with(&config("pool = \"game\"\nvia = \"portti\"", &pool(&[&backend], keys))).await;
    for _ in 0..3 {
        let answer = said(proxy.address(), &get("/", "Via: 2 outer\r\n")).await;
        assert!(answer.contains("via: 2 outer\nvia: 1.1 portti\n"), "{answer}");
    }
    assert_eq!(backend.accepted(), 3, "nothing is kept warm");
    let labels = |class| [("pool", "game"), ("code_class", class)];
    let counted = [
        proxy.metric("portti_requests_total", &labels("2xx")).await,
        proxy.metric("portti_requests_total", &labels("5xx")).await,
    ];
    assert_eq!(counted, [3.0, 4.0]);
    assert_eq!(proxy.metric("portti_request_duration_seconds_count", &[("pool", "game")]).await, 7.0);
}

#[tokio::test]
async fn a_rollout_takes_its_part_of_requests_by_client() {
    let ([(old, _), (new, _)], nobody) = ([echo(), echo()], free_address());
    let pools = format!("[pools.new]\nbackends = [\"{}\"]\n[pools.off]\nbackends = [\"{nobody}\"]\n", new.address);
    let rollout = "[listeners.game.rollout]\npool = \"new\"\nclients = [\"127.0.0.3\"]\n\
        [[listeners.game.routes]]\npath = \"/off\"\npool = \"off\"\n";
    let proxy = Proxy::with(&(config("pool = \"game\"", rollout) + &pools + &pool(&[&old], "")));
    for _ in 0..2 {
        assert_eq!(status(&proxy, STRANGER, &get("/", "")).await, "200");
    }
    assert_eq!(status(&proxy, NEIGHBOUR, &get("/", "")).await, "200");
    assert_eq!((old.accepted() > 0, new.accepted()), (true, 1));
    assert_eq!(status(&proxy, NEIGHBOUR, &get("/off", "")).await, "502", "routes come first");
}

#[tokio::test]
async fn a_warm_connection_of_http2_that_is_dead_fails_one_request() {
    let backend = Backend::serving(async |stream: TcpStream| {
        let answered = std::sync::atomic::AtomicUsize::new(0);
        let service = service_fn(move |request| {
            let is_dead = answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0;
            async move {
                if is_dead {
                    std::future::pending::<()>().await;
                }
                told(request).await
            }
        });
        let _ended = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    });
    let keys = "protocol = \"h2\"\nrequest_timeout = \"300ms\"\nwarm_timeout = \"1h\"";
    let proxy =
        Proxy::with(&("[server]\nworkers = 1\n".to_owned() + &config("pool = \"game\"", &pool(&[&backend], keys))));
    for expected in ["200", "504", "200"] {
        assert_eq!(status(&proxy, STRANGER, &get("/", "")).await, expected);
    }
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_gives_its_place_back() {
    let backend = Backend::serving(async |mut stream: TcpStream| {
        let _asked = stream.read(&mut [0; 2000]).await;
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n").await;
        let _sent = stream.write_all(&vec![0; 20_000_000]).await;
    });
    for limit in ["idle_timeout = \"500ms\"", "tcp_user_timeout = \"1s\""] {
        let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend], limit)));
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut client = socket.connect(proxy.address()).await.unwrap();
        client.write_all(&get("/", "")).await.unwrap();
        eventually("it is served", async || proxy.backend(backend.address).await["sessions_active"] == 1).await;
        eventually("it is not any more", async || proxy.backend(backend.address).await["sessions_active"] == 0).await;
        proxy.expect_empty().await;
    }
}

#[tokio::test]
async fn an_answer_of_http2_whose_end_is_told_apart_is_whole() {
    let backend = Backend::serving(async |stream| {
        let service = service_fn(async |_: Request<Incoming>| {
            let pieces = [&b"he"[..], b"llo"].map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece))));
            let body = StreamBody::new(futures_util::stream::iter(pieces));
            Response::builder().header("content-length", 5).body(body)
        });
        let _ended = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    });
    let pool = pool(&[&backend], "protocol = \"h2\"");
    let address = free_address();
    let web = format!("[listeners.web]\nbind = \"{address}\"\nmode = \"http\"\npool = \"game\"\n");
    let process = Process::with(&(web + &pool)).await;
    let answer = said(address, &get("/", "")).await;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    let line = process.line("the request's line", |line| line["request"].is_string()).await;
    assert_eq!((&line["status"], line.get("reason")), (&200.into(), None), "{line}");
}
