//! Backends known by a host name.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::proxy::{pool, pool_of};
use crate::support::{Backend, Proxy, always_for, eventually};

#[tokio::test]
async fn a_host_name_is_looked_up() {
    // `localhost` may be an address of either family first, so a server waits on both.
    let one = Backend::at("127.0.0.1:0".parse().unwrap(), serve);
    let other = Backend::at(SocketAddr::new("::1".parse().unwrap(), one.address.port()), serve);
    let port = one.address.port();
    let proxy = Proxy::with(&format!("[pools.game]\nbackends = [\"localhost:{port}\"]"));
    proxy.connect().await.expect(b"hello").await;
    assert_eq!(one.accepted() + other.accepted(), 1);
    // Each address is a backend of its own; how many there are is for the machine's hosts file to say.
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("portti_backend_sessions_total", &[]), 1.0);
    let backends = metrics.values_of("backend");
    let expected = [format!("localhost=127.0.0.1:{port}"), format!("localhost=[::1]:{port}")];
    assert!(!backends.is_empty() && backends.iter().all(|backend| expected.iter().any(|name| name == backend)));
}

#[tokio::test]
async fn a_name_that_comes_with_a_reload_is_looked_up_at_once() {
    let one = Backend::at("127.0.0.1:0".parse().unwrap(), serve);
    let _other = Backend::at(SocketAddr::new("::1".parse().unwrap(), one.address.port()), serve);
    let proxy = Proxy::with(&pool_of(&[crate::support::free_address()], "retries = 0"));
    proxy.reload_with(&format!("[pools.game]\nbackends = [\"localhost:{}\"]\n", one.address.port())).await;
    proxy.connect().await.expect(b"hello").await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_no_backend_and_is_told() {
    let alive = Backend::serving(serve);
    // Of `.invalid` it is agreed that no name in it is ever given to anybody.
    let proxy = Proxy::with(&format!(
        "[pools.game]\nbackends = [\"nobody.invalid:1\", \"{}\"]\nbalance = \"round_robin\"\n[dns]\ntimeout = \"200ms\"",
        alive.address
    ));
    for _ in 0..4 {
        proxy.connect().await.expect(b"hello").await;
    }
    assert_eq!(alive.accepted(), 4);
    eventually("the deep health tells of it", async || {
        let health = proxy.get("/health/deep").await.json();
        health["checks"]["dns:nobody.invalid:1"].as_str().is_some_and(|check| check.starts_with("degraded: "))
    })
    .await;
}

#[tokio::test]
async fn an_edit_to_a_name_that_does_not_exist_is_refused_where_nothing_would_be_left() {
    let alive = Backend::echo();
    let names = NameServer::start().await;
    let with = |backends: &str| format!("{}[pools.game]\nbackends = [{backends}]\n", names.section());
    let alone = with(&format!("\"{}\"", alive.address));
    let proxy = Proxy::with(&alone);
    proxy.write(&with("\"typo.test:1\""));
    let problem = proxy.reload().await.unwrap_err();
    assert!(problem.contains("pools.game.backends: typo.test:1 does not resolve (NXDOMAIN)"), "{problem}");
    let plays = async || proxy.connect().await.try_echo(b"hello").await.unwrap_or(false);
    always_for(Duration::from_millis(1500), "players are refused", plays).await;
    assert_eq!(proxy.status().await["config"]["last_reload"]["ok"], false);

    // With another backend the edit applies, and says what is missing.
    proxy.write(&with(&format!("\"typo.test:1\", \"{}\"", alive.address)));
    let answer = crate::support::admin::ask_with(proxy.admin(), "POST", "/api/v1/reload", &[], "").await;
    assert_eq!(answer.json()["unresolved"][0], "pools.game.backends: typo.test:1 does not resolve: NXDOMAIN");
    assert!(plays().await);
}

#[tokio::test]
async fn removed_backends_stay_until_a_slow_name_has_an_answer() {
    let old = Backend::echo();
    let new = Backend::at("127.0.0.1:0".parse().unwrap(), serve);
    let names = NameServer::start().await;
    let proxy = Proxy::with(&format!("{}{}", names.section(), pool(&[&old], "")));
    let slow = format!("slow.test:{}", new.address.port());
    proxy.reload_with(&format!("{}[pools.game]\nbackends = [\"{slow}\"]\n", names.section())).await;
    let plays = async || proxy.connect().await.try_echo(b"hello").await.unwrap_or(false);
    always_for(Duration::from_millis(1000), "players are refused", plays).await;
    names.answer_slow_ones();
    eventually("the new backend alone", async || {
        let backends = proxy.status().await["pools"][0]["backends"].clone();
        backends.as_array().unwrap().len() == 1 && backends[0]["address"].as_str().unwrap().starts_with("slow.test=")
    })
    .await;
    proxy.connect().await.expect(b"hello").await;
}

#[tokio::test]
async fn removed_backends_stay_no_longer_than_resolve_grace() {
    let (old, other) = (Backend::echo(), Backend::echo());
    let names = NameServer::start().await;
    let proxy = Proxy::with(&format!("{}{}", names.section(), pool(&[&old, &other], "")));
    let keys = "discovery = { resolve_grace = \"1s\" }";
    let edited =
        format!("{}[pools.game]\nbackends = [\"slow.test:1\", \"{}\"]\n{keys}\n", names.section(), other.address);
    proxy.reload_with(&edited).await;
    let addresses = async || {
        let backends = proxy.status().await["pools"][0]["backends"].clone();
        backends.as_array().unwrap().iter().map(|backend| backend["address"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(addresses().await, [other.address.to_string(), old.address.to_string()]);
    eventually("its end", async || addresses().await == [other.address.to_string()]).await;
}

/// A name server for `slow.test`, which answers when it is told to, and for nothing else. Ends with the test.
struct NameServer {
    address: SocketAddr,
    slow: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (slow, answers) = watch::channel(false);
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut query = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                let answers_slow = *answers.borrow();
                if let Some(reply) = reply(&query[..length], answers_slow) {
                    let _gone = socket.send_to(&reply, from).await;
                }
            }
        });
        Self { address, slow, task }
    }

    fn section(&self) -> String {
        format!("[dns]\nservers = [\"{}\"]\ntimeout = \"300ms\"\n", self.address)
    }

    fn answer_slow_ones(&self) {
        self.slow.send_replace(true);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The reply to a query with one question (RFC 1035); `None` is silence.
fn reply(query: &[u8], answers_slow: bool) -> Option<Vec<u8>> {
    let end = 12 + query[12..].iter().position(|&byte| byte == 0)? + 5;
    let is_slow = query[12..].starts_with(b"\x04slow\x04test\0");
    if is_slow && !answers_slow {
        return None;
    }
    let is_v4 = query[end - 3] == 1;
    let (code, records) = match is_slow {
        true => (0, u8::from(is_v4)),
        false => (3, 0),
    };
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, records, 0, 0, 0, 0]);
    reply.extend(&query[12..end]);
    if records == 1 {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(reply)
}

async fn serve(mut stream: tokio::net::TcpStream) {
    let _gone = tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello").await;
}

#[tokio::test]
async fn a_name_that_stands_for_a_listener_of_this_proxy_is_no_backend_and_is_told() {
    let alive = Backend::serving(serve);
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::with(&format!(
        "[listeners.game]\nbind = \"{own}\"\npool = \"game\"\n[pools.game]\nbackends = [\"localhost:{}\", \"{}\"]\nretries = 3",
        own.port(),
        alive.address
    ));
    for _ in 0..8 {
        proxy.connect().await.expect(b"hello").await;
    }
    assert_eq!(alive.accepted(), 8);
    let (key, why) = (format!("localhost={own}"), "it is the listener game of this proxy");
    let left_out = serde_json::json!([{ "address": key, "why": why }]);
    assert_eq!(proxy.status().await["pools"][0]["left_out"], left_out);
    let health = proxy.get("/health/deep").await.json();
    assert_eq!(health["checks"][format!("backend:game/{key}")], format!("degraded: left out: {why}"));
    // Where the listener goes, it is an address like any other.
    proxy.reload_with(&format!("[pools.game]\nbackends = [\"localhost:{}\"]", own.port())).await;
    assert!(proxy.status().await["pools"][0].get("left_out").is_none());
}
