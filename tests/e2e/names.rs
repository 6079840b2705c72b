//! Backends known by a host name.

use std::net::SocketAddr;

use crate::support::proxy::pool_of;
use crate::support::{Backend, Proxy, eventually};

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

async fn serve(mut stream: tokio::net::TcpStream) {
    let _gone = tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello").await;
}
