//! Active health checks, seen from outside.

use std::time::Duration;

use serde_json::Value;

use crate::support::proxy::pool;
use crate::support::{Backend, Proxy, always_for, eventually};

const QUICK: &str = r#"interval = "100ms"
timeout = "1s""#;

fn checked(backends: &[&Backend], pool_keys: &str, health_keys: &str) -> String {
    pool(backends, &format!("{pool_keys}\n[pools.game.health]\n{QUICK}\n{health_keys}"))
}

async fn expect_health(proxy: &Proxy, backend: &Backend, health: &str) {
    let what = format!("a backend that is {health}");
    eventually(&what, async || proxy.backend(backend.address).await["health"] == health).await;
}

#[tokio::test]
async fn a_backend_that_refuses_goes_down_and_comes_back_and_its_sessions_go_elsewhere() {
    let (good, bad) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::with(&checked(&[&good, &bad], "retries = 0", "type = \"tcp\"\nrise = 2\nfall = 2"));
    expect_health(&proxy, &bad, "up").await;
    bad.close().await;
    expect_health(&proxy, &bad, "down").await;
    let shown = proxy.backend(bad.address).await;
    assert_eq!((&shown["eligible"], &shown["circuit"]), (&Value::from(false), &Value::from("closed")));
    assert_eq!(shown["last_check"]["error"], "connect: refused");
    for _ in 0..6 {
        proxy.connect().await.echo(b"hello").await;
    }
    let label = ("backend", &*bad.address.to_string());
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("portti_backend_up", &[label]), 0.0);
    assert_eq!(metrics.sum("portti_backend_up", &[("backend", &*good.address.to_string())]), 1.0);
    assert!(metrics.sum("portti_health_checks_total", &[label, ("result", "failed")]) >= 2.0);
    assert!(metrics.sum("portti_health_checks_total", &[label, ("result", "ok")]) >= 1.0);
    bad.open_again();
    expect_health(&proxy, &bad, "up").await;
    assert_eq!(proxy.backend(bad.address).await["eligible"], true);
}

#[tokio::test]
async fn checks_are_no_sessions() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&checked(&[&backend], "", "type = \"tcp\""));
    eventually("five checks", async || proxy.metric("portti_health_checks_total", &[("result", "ok")]).await >= 5.0)
        .await;
    let shown = proxy.backend(backend.address).await;
    assert_eq!((&shown["sessions_active"], &shown["sessions_total"]), (&0.into(), &0.into()));
    assert_eq!(proxy.metric("portti_sessions_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_failed_exchange_tells_what_it_got() {
    let (good, bad) = (Backend::greeting(b"READY now"), Backend::greeting(b"xyz"));
    let proxy = Proxy::with(&checked(&[&good, &bad], "", "type = \"exchange\"\nexpect = \"READY\"\nfall = 1"));
    expect_health(&proxy, &bad, "down").await;
    expect_health(&proxy, &good, "up").await;
    assert_eq!(proxy.backend(bad.address).await["last_check"]["error"], "expect: got \"xyz\"");
    let deep = proxy.get("/health/deep").await.json();
    assert_eq!(deep["checks"]["pool:game"], "degraded: 1 of 2 backends eligible");
}

#[tokio::test]
async fn a_passing_check_closes_an_open_circuit() {
    let backend = Backend::echo();
    let slow = "failures = 1\nopen_for = \"1h\"\nmax_open_for = \"1h\"";
    let config = checked(&[&backend], "retries = 0", "type = \"tcp\"\nfall = 1000") + "\n[pools.game.breaker]\n" + slow;
    let proxy = Proxy::with(&config);
    expect_health(&proxy, &backend, "up").await;
    backend.close().await;
    proxy.connect().await.expect_end().await;
    eventually("an open circuit", async || proxy.backend(backend.address).await["circuit"] == "open").await;
    backend.open_again();
    eventually("a closed circuit", async || proxy.backend(backend.address).await["circuit"] == "closed").await;
    proxy.connect().await.echo(b"hello").await;
}

#[tokio::test]
async fn sessions_of_a_backend_that_goes_down_go_on_unless_they_are_to_be_closed() {
    for (on_down, reason) in [("keep", None), ("close", Some("killed"))] {
        let (backend, health) = (Backend::echo(), Backend::echo());
        let keys = format!("type = \"tcp\"\nfall = 1\non_down = \"{on_down}\"\nport = {}", health.address.port());
        // Only the port that is checked dies.
        let health = Backend::at(std::net::SocketAddr::new(backend.address.ip(), health.address.port()), |_| async {});
        let proxy = Proxy::with(&checked(&[&backend], "", &keys));
        expect_health(&proxy, &backend, "up").await;
        let mut client = proxy.connect().await;
        client.echo(b"before").await;
        health.close().await;
        expect_health(&proxy, &backend, "down").await;
        match reason {
            None => client.echo(b"after").await,
            Some(reason) => {
                client.expect_end().await;
                proxy.expect_ended(reason, 1).await;
            }
        }
    }
}

#[tokio::test]
async fn a_verdict_outlives_a_reload_and_ends_with_its_section() {
    let (good, bad) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::with(&checked(&[&good, &bad], "", "type = \"tcp\"\nfall = 1"));
    bad.close().await;
    expect_health(&proxy, &bad, "down").await;
    // So rare that no check comes within this test.
    let rare = "[pools.game.health]\ntype = \"tcp\"\ninterval = \"1h\"\nfall = 1\nrise = 100";
    proxy.reload_with(&pool(&[&good, &bad], rare)).await;
    assert_eq!(proxy.backend(bad.address).await["health"], "down");
    proxy.reload_with(&pool(&[&good, &bad], "")).await;
    let shown = proxy.backend(bad.address).await;
    assert_eq!((&shown["health"], &shown["eligible"]), (&"unknown".into(), &true.into()));
}

#[tokio::test]
async fn no_more_go_down_than_may_and_what_stays_in_is_shown() {
    let (one, two) = (Backend::echo(), Backend::echo());
    let config = checked(&[&one, &two], "", "type = \"tcp\"\nfall = 1");
    let proxy = Proxy::with(&config);
    expect_health(&proxy, &one, "up").await;
    expect_health(&proxy, &two, "up").await;
    one.close().await;
    two.close().await;
    expect_health(&proxy, &one, "down").await;
    expect_health(&proxy, &two, "down").await;
    assert_eq!(proxy.metric("portti_pool_panic", &[("pool", "game")]).await, 1.0);
    let eligible = async || proxy.metric("portti_backend_eligible", &[]).await;
    always_for(Duration::from_millis(500), "one stays in", async || eligible().await == 1.0).await;
    one.open_again();
    two.open_again();
    eventually("both are back", async || {
        eligible().await == 2.0 && proxy.metric("portti_pool_panic", &[("pool", "game")]).await == 0.0
    })
    .await;
}
