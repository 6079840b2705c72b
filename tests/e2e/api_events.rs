//! The API: the stream of events.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

use crate::support::proxy::{complete, pool_of};
use crate::support::{Backend, Proxy, always_for, eventually, own_address, soon};

/// Reads events as a browser does.
struct Stream {
    head: String,
    lines: Lines<BufReader<TcpStream>>,
}

impl Stream {
    async fn open(admin: SocketAddr) -> Self {
        Self::open_with(admin, "").await
    }

    /// With these headers.
    async fn open_with(admin: SocketAddr, headers: &str) -> Self {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self { head: String::new(), lines: BufReader::new(stream).lines() };
        loop {
            let line = stream.line().await;
            if line.is_empty() {
                return stream;
            }
            stream.head += &format!("{line}\n");
        }
    }

    async fn line(&mut self) -> String {
        soon("a line", self.lines.next_line()).await.unwrap().expect("the stream goes on")
    }

    /// The next event, and its data. What stands between is the lengths of chunks.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(name) = self.line().await.strip_prefix("event: ") {
                let data = self.line().await;
                let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("{data}"));
                return (name.to_owned(), serde_json::from_str(data).unwrap());
            }
        }
    }

    /// The data of the next event of this name.
    async fn next_of(&mut self, name: &str) -> Value {
        loop {
            let (its, data) = self.next().await;
            if its == name {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn the_curve_comes_first_and_then_the_status_each_second() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut player = proxy.connect().await;
    player.echo(b"hello").await;
    let mut stream = Stream::open(proxy.admin()).await;
    assert!(stream.head.starts_with("HTTP/1.1 200 OK\n"), "{}", stream.head);
    assert!(stream.head.contains("content-type: text/event-stream\n"), "{}", stream.head);
    let (name, history) = stream.next().await;
    assert_eq!((&*name, &history["every_seconds"]), ("history", &1.into()));
    assert!(history["points"].as_array().is_some_and(|points| points.iter().all(|point| point["at"].is_u64())));
    let first = stream.next_of("status").await;
    assert_eq!((&first["sessions_active"], &first["state"]), (&1.into(), &"running".into()));
    assert_eq!(first["pools"][0]["backends"][0]["address"], backend.address.to_string());

    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(proxy.connect().await);
    }
    let (mut new, mut last) = (0, first["point"]["at"].as_u64().unwrap());
    while new < 3 {
        let point = stream.next_of("status").await["point"].clone();
        let at = point["at"].as_u64().unwrap();
        assert!(at >= last, "{point}");
        (new, last) = (new + point["new"].as_u64().unwrap(), at);
        assert_eq!(point["refused"], 0);
    }
    let mut again = Stream::open(proxy.admin()).await;
    let points = again.next_of("history").await["points"].as_array().unwrap().clone();
    let sum: u64 = points.iter().map(|point| point["new"].as_u64().unwrap()).sum();
    assert_eq!((sum, points.last().unwrap()["sessions"].as_u64()), (4, Some(4)));
}

/// All proxies of this process speak to one feed, so what is looked for has a name of its own.
#[tokio::test]
async fn lines_of_the_log_are_told_and_a_reader_that_comes_again_goes_on() {
    let (name, backend) = ("events-of-circuits", Backend::resetting());
    let breaker = format!("[pools.{name}.breaker]\nfailures = 1\nopen_for = \"5m\"");
    let pool = format!("[pools.{name}]\nretries = 0\nbackends = [\"{}\"]\n{breaker}", backend.address);
    let proxy = Proxy::with(&format!("[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"{name}\"\n{pool}"));
    let mut stream = Stream::open(proxy.admin()).await;
    stream.next_of("status").await;
    let mut player = proxy.connect().await;
    let _reset = player.try_echo(b"hello").await;
    let is_it = |line: &Value| line["pool"] == name && line["text"].as_str().unwrap().starts_with("circuit opened");
    let mut opened = stream.next_of("log").await;
    while !is_it(&opened) {
        opened = stream.next_of("log").await;
    }
    assert_eq!((&opened["backend"], &opened["level"]), (&backend.address.to_string().into(), &"warn".into()));
    assert!(opened["at"].as_str().is_some_and(|at| at.ends_with('Z')) && opened["fields"].is_object(), "{opened}");
    let last = &proxy.backend(backend.address).await["last_event"];
    assert_eq!((&last["at"], &last["text"]), (&opened["at"], &opened["text"]));

    let id = opened["id"].as_u64().unwrap();
    let first_after = async |said: u64| {
        let mut stream = Stream::open_with(proxy.admin(), &format!("Last-Event-ID: {said}\r\n")).await;
        assert_eq!(stream.next().await.0, "history");
        stream.next_of("log").await["id"].as_u64().unwrap()
    };
    assert_eq!(first_after(id - 1).await, id, "what it has not heard");
    assert!(first_after(u64::MAX).await <= id, "of a process before this: it begins anew");
}

#[tokio::test]
async fn there_are_no_more_than_sixteen_streams() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Stream::open(proxy.admin()).await);
    }
    let refused = proxy.get("/api/v1/events").await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"too_many_streams".into()));
    for stream in &mut streams {
        stream.next_of("status").await;
    }
    streams.pop();
    eventually("a place is free", async || Stream::open(proxy.admin()).await.head.starts_with("HTTP/1.1 200")).await;
}

/// Each status is so large that what the kernel holds for a reader is full after a few.
#[tokio::test]
async fn readers_that_take_nothing_are_given_up() {
    let addresses: Vec<_> = (0..1000).map(|_| SocketAddr::new(own_address().ip(), 1)).collect();
    let proxy = Proxy::with(&complete(&pool_of(&addresses, "")));
    let mut sleepers = Vec::new();
    for _ in 0..16 {
        sleepers.push(Stream::open(proxy.admin()).await);
    }
    let is_full = async || proxy.get("/api/v1/events").await.status == 503;
    always_for(Duration::from_secs(4), "they are given time", is_full).await;
    eventually("their places are free", async || Stream::open(proxy.admin()).await.head.starts_with("HTTP/1.1 200"))
        .await;
    let sleeper = &mut sleepers[0];
    let what_was_sent = async { while let Ok(Some(_line)) = sleeper.lines.next_line().await {} };
    soon("the end of a stream that was given up", what_was_sent).await;
}

#[tokio::test]
async fn streams_do_not_keep_the_process() {
    let backend = Backend::echo();
    let mut proxy = Proxy::before(&[&backend]);
    let mut stream = Stream::open(proxy.admin()).await;
    stream.next_of("status").await;
    proxy.shut_down();
    proxy.ended().await;
    let rest = async { while let Ok(Some(_line)) = stream.lines.next_line().await {} };
    soon("the end of the stream", rest).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let write = |folder: &Path, token: &str| std::fs::write(folder.join("admin.token"), token).unwrap();
    write(folder.path(), "the-token-that-has-leaked");
    let admin = "[admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"admin.token\"\n";
    let backend = Backend::echo();
    let config = format!("{admin}{}", pool_of(&[backend.address], ""));
    let proxy = Proxy::in_folder(folder, &config).unwrap();
    let mut stream = Stream::open_with(proxy.admin(), "Authorization: Bearer the-token-that-has-leaked\r\n").await;
    stream.next_of("status").await;
    proxy.reload().await.unwrap();
    stream.next_of("status").await;
    stream.next_of("status").await;
    write(proxy.folder(), "another-one-in-its-place");
    proxy.reload().await.unwrap();
    soon("the end", async { while stream.lines.next_line().await.is_ok_and(|line| line.is_some()) {} }).await;
}
