//! Backends known by a host name.

use std::net::SocketAddr;

use crate::support::proxy::pool_of;
use crate::support::{Backend, Proxy};

#[tokio::test]
async fn a_host_name_is_looked_up() {
    // `localhost` may be an address of either family first, so a server waits on both.
    let one = Backend::at("127.0.0.1:0".parse().unwrap(), serve);
    let other = Backend::at(SocketAddr::new("::1".parse().unwrap(), one.address.port()), serve);
    let port = one.address.port();
    let proxy = Proxy::with(&format!("[pools.game]\nbackends = [\"localhost:{port}\"]"));
    proxy.connect().await.expect(b"hello").await;
    assert_eq!(one.accepted() + other.accepted(), 1);
    // It is known by its name, not by what the name leads to today.
    let backend = ("backend", &*format!("localhost:{port}"));
    assert_eq!(proxy.metric("portti_backend_sessions_total", &[backend]).await, 1.0);
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
async fn a_name_that_leads_nowhere_is_a_backend_that_fails() {
    let alive = Backend::serving(serve);
    // Of `.invalid` it is agreed that no name in it is ever given to anybody.
    let proxy = Proxy::with(&format!(
        "[pools.game]\nbackends = [\"nobody.invalid:1\", \"{}\"]\nbalance = \"round_robin\"",
        alive.address
    ));
    for _ in 0..4 {
        proxy.connect().await.expect(b"hello").await;
    }
    let labels = [("backend", "nobody.invalid:1"), ("reason", "connect_failed")];
    assert!(proxy.metric("portti_backend_failures_total", &labels).await >= 1.0);
}

async fn serve(mut stream: tokio::net::TcpStream) {
    let _gone = tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello").await;
}
