//! Backends that speak HTTP/2, and do what the protocol lets them do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{answer, client, whole};
use crate::http::{config, get, said};
use crate::support::proxy::pool;
use crate::support::{Backend, Proxy, eventually, soon};

/// A server that takes so many requests at once on a connection, and does this with each.
fn server<F>(
    streams_max: u32,
    serve: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + Clone + 'static,
) -> Backend
where
    F: Future<Output = ()> + Send + 'static,
{
    Backend::serving(move |stream: TcpStream| {
        let serve = serve.clone();
        async move {
            let mut builder = h2::server::Builder::new();
            builder.max_concurrent_streams(streams_max).initial_window_size(1 << 20);
            let Ok(mut connection) = builder.handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(serve(request, respond));
            }
        }
    })
}

/// Answers with this, in one piece, unless it has no room.
async fn says(mut respond: SendResponse<Bytes>, words: &'static [u8]) {
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(words), true).unwrap();
}

/// One that answers in this way, but for `/events`, whose answer never ends.
fn with_events(streams_max: u32) -> Backend {
    server(streams_max, async |request, mut respond| {
        if request.uri().path() != "/events" {
            return says(respond, b"ok").await;
        }
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"event\n"), false).unwrap();
        let _gone = std::future::poll_fn(|cx| body.poll_reset(cx)).await;
    })
}

fn one_worker(rest: &str) -> String {
    "[server]\nworkers = 1\n".to_owned() + &config("pool = \"game\"", rest)
}

async fn failures(proxy: &Proxy) -> f64 {
    proxy.metric("portti_backend_failures_total", &[]).await
}

#[tokio::test]
async fn a_full_connection_is_no_full_backend() {
    let backend = with_events(2);
    let keys = "protocol = \"h2\"\nrequest_timeout = \"2s\"\nh2_connections = 3";
    let proxy = Proxy::with(&one_worker(&pool(&[&backend], keys)));
    let mut client = client(&proxy).await;
    let mut held = Vec::new();
    for connections in [1, 1, 2, 2, 3] {
        let response = soon("an answer", super::ask(&mut client, "/events")).await.unwrap();
        let mut body = response.into_body();
        assert_eq!(soon("an event", body.data()).await.unwrap().unwrap(), "event\n");
        held.push(body);
        assert_eq!(backend.accepted(), connections);
    }
    for _ in 0..10 {
        assert_eq!(answer(&mut client, "/").await.0, StatusCode::OK);
    }
    let last = soon("an answer", super::ask(&mut client, "/events")).await.unwrap();
    // Now there is no room, and no further connection: who comes waits until there is.
    let mut waits = super::ask(&mut client, "/");
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waits).await.is_err());
    drop(last);
    assert_eq!(soon("an answer", waits).await.unwrap().status(), StatusCode::OK);
    assert_eq!((backend.accepted(), failures(&proxy).await), (3, 0.0));
}

#[tokio::test]
async fn who_finds_no_room_in_time_is_told_so_and_the_backend_not_blamed() {
    let backend = with_events(1);
    let keys = "protocol = \"h2\"\nh2_connections = 1\nqueue = { size = 10, timeout = \"300ms\" }";
    let proxy = Proxy::with(&one_worker(&pool(&[&backend], keys)));
    let mut client = client(&proxy).await;
    let _held = soon("an answer", super::ask(&mut client, "/events")).await.unwrap();
    let (status, words) = answer(&mut client, "/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8_lossy(&words).contains("queue_timeout"), "{words:?}");
    assert_eq!(failures(&proxy).await, 0.0);
}

#[tokio::test]
async fn many_at_once_open_one_connection() {
    let backend = server(1000, async |_, respond| {
        sleep(Duration::from_millis(50)).await;
        says(respond, b"ok").await;
    });
    let proxy = Arc::new(Proxy::with(&one_worker(&pool(&[&backend], "protocol = \"h2\""))));
    let mut asked = JoinSet::new();
    for _ in 0..100 {
        let proxy = Arc::clone(&proxy);
        asked.spawn(async move { said(proxy.address(), &get("/", "")).await });
    }
    for answer in asked.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(backend.accepted() <= 2, "{} connections", backend.accepted());
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_is_tried_once_for_all_who_wait() {
    let nobody = crate::support::free_address();
    let keys = "protocol = \"h2\"\nretries = 0\nbreaker = { failures = 1000 }";
    let proxy = Arc::new(Proxy::with(&one_worker(&crate::support::proxy::pool_of(&[nobody], keys))));
    let mut asked = JoinSet::new();
    for _ in 0..20 {
        let proxy = Arc::clone(&proxy);
        asked.spawn(async move { said(proxy.address(), &get("/", "")).await });
    }
    for answer in asked.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("connect_failed"), "{answer}");
    }
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_else() {
    let backend = server(100, async |request, mut respond| {
        if request.uri().path() != "/large" {
            return says(respond, b"ok").await;
        }
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from(vec![b'x'; 8_000_000]), true).unwrap();
        let _gone = std::future::poll_fn(|cx| body.poll_reset(cx)).await;
    });
    let proxy = Proxy::with(&one_worker(&pool(&[&backend], "protocol = \"h2\"\nh2_connections = 1")));
    let mut slow = Vec::new();
    // More than the window of a connection by default has room for, whose clients' sockets have little.
    for _ in 0..60 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(proxy.address()).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &get("/large", "")).await.unwrap();
        stream.readable().await.unwrap();
        slow.push(stream);
    }
    let beside = said(proxy.address(), &get("/", "")).await;
    assert!(beside.contains("\r\nok\r\n"), "{beside}");
    assert_eq!(backend.accepted(), 1);
}

#[tokio::test]
async fn an_upload_that_a_backend_does_not_take_holds_up_no_other() {
    // Its window for a connection is less than that of a stream.
    let backend = server(100, async |request: Request<RecvStream>, respond| {
        if request.uri().path() == "/stuck" {
            let _unread = (request, respond);
            return std::future::pending().await;
        }
        whole(request.into_body()).await.unwrap();
        says(respond, b"ok").await;
    });
    let proxy = Proxy::with(&one_worker(&pool(&[&backend], "protocol = \"h2\"\nrequest_timeout = \"off\"")));
    let mut client = client(&proxy).await;
    let (_stuck, mut up) = super::post(&mut client, "/stuck");
    // What the window takes, and what waits then.
    up.send_data(Bytes::from(vec![7; 200_000]), true).unwrap();
    eventually("others go beside it", async || {
        let (beside, mut up) = super::post(&mut client, "/");
        up.send_data(Bytes::from_static(b"hello"), true).unwrap();
        let answered = tokio::time::timeout(Duration::from_secs(1), beside).await;
        matches!(answered, Ok(Ok(response)) if response.status() == StatusCode::OK) && backend.accepted() == 2
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_reset_is_not_whole_whatever_the_reason() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL] {
        let backend = server(100, move |_, mut respond: SendResponse<Bytes>| async move {
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"hello"), false).unwrap();
            sleep(Duration::from_millis(100)).await;
            body.send_reset(reason);
        });
        let proxy = Proxy::with(&one_worker(&pool(&[&backend], "protocol = \"h2\"")));
        let text = said(proxy.address(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(text.ends_with("\r\n5\r\nhello\r\n"), "{reason:?}: {text}");
        let response = soon("an answer", super::ask(&mut client(&proxy).await, "/")).await.unwrap();
        let why = soon("the end", whole(response.into_body())).await.unwrap_err();
        assert!(why.is_reset(), "{reason:?}: {why}");
    }
}

#[tokio::test]
async fn what_is_reset_behind_its_end_is_whole() {
    let backend = server(100, async |_, mut respond| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"hello"), true).unwrap();
        // The rest of the upload is not wanted: the library says so by NO_ERROR when all of this is dropped.
    });
    let proxy = Proxy::with(&one_worker(&pool(&[&backend], "protocol = \"h2\"")));
    let mut client = client(&proxy).await;
    let (answer, _body) = super::post(&mut client, "/");
    let response = soon("an answer", answer).await.unwrap();
    assert_eq!(soon("its body", whole(response.into_body())).await.unwrap(), b"hello");
}

#[tokio::test]
async fn what_one_backend_refuses_another_answers() {
    let refuses = server(100, async |_, mut respond: SendResponse<Bytes>| respond.send_reset(Reason::REFUSED_STREAM));
    let leaves = Backend::serving(async |stream: TcpStream| {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        connection.graceful_shutdown();
        connection.abrupt_shutdown(Reason::NO_ERROR);
        let _ended = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
    });
    for bad in [refuses, leaves] {
        let well = server(100, async |_, respond| says(respond, b"ok").await);
        let keys = "protocol = \"h2\"\nbalance = \"round_robin\"\nretries = 1";
        let proxy = Proxy::with(&one_worker(&pool(&[&bad, &well], keys)));
        for method in ["GET", "POST", "GET", "POST"] {
            let text = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let answer = said(proxy.address(), text.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{method}: {answer}");
        }
        let address = bad.address.to_string();
        let refused = [("reason", "refused"), ("backend", &address)];
        assert!(proxy.metric("portti_backend_failures_total", &refused).await >= 1.0);
        assert!(proxy.metric("portti_connect_retries_total", &[]).await >= 1.0);
    }
}

#[tokio::test]
async fn heads_of_answers_may_be_as_long_as_by_http1() {
    let backend = server(100, async |_, mut respond: SendResponse<Bytes>| {
        let head = Response::builder().header("x-large", "y".repeat(50_000));
        respond.send_response(head.body(()).unwrap(), true).unwrap();
    });
    let proxy = Proxy::with(&one_worker(&pool(&[&backend], "protocol = \"h2\"")));
    let answer = said(proxy.address(), &get("/", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.len() > 50_000, "{}", answer.len());
}

#[tokio::test]
async fn what_a_client_cancels_is_cancelled_at_the_backend() {
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let backend = server(100, move |_, mut respond: SendResponse<Bytes>| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::Relaxed);
            let why = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            assert_eq!(why.unwrap(), Reason::CANCEL);
            count.fetch_sub(1, Ordering::Relaxed);
        }
    });
    let proxy = Proxy::with(&one_worker(&pool(&[&backend], "protocol = \"h2\"")));
    let mut client = client(&proxy).await;
    let asked: Vec<_> = (0..20).map(|_| super::ask(&mut client, "/")).collect();
    eventually("they are there", async || open.load(Ordering::Relaxed) == 20).await;
    drop(asked);
    eventually("they are gone", async || open.load(Ordering::Relaxed) == 0).await;
    assert_eq!(backend.accepted(), 1, "and the connection goes on");
}
