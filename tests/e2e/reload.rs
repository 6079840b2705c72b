//! The config file is edited while players play.

mod files;
mod returning;
mod routes;
mod slow;
mod sockets;
mod under_load;

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::proxy::{complete, pool, pool_of};
use crate::support::{Backend, Peer, Proxy, always_for, eventually, free_address};

/// A listener `game` on this address, for configs in which addresses matter.
fn listener(name: &str, address: SocketAddr) -> String {
    format!("[listeners.{name}]\nbind = \"{address}\"\npool = \"game\"\n")
}

#[tokio::test]
async fn what_was_counted_carries_over() {
    let (alive, dead) = (Backend::echo(), free_address());
    let config = |comment: &str| {
        let keys = format!("balance = \"round_robin\"\nbreaker = {{ failures = 2 }} # {comment}");
        pool_of(&[alive.address, dead], &keys)
    };
    let proxy = Proxy::with(&config("one"));
    let mut lives = proxy.connect().await;
    lives.echo(b"hello").await;
    for _ in 0..9 {
        proxy.connect().await.echo(b"hello").await;
    }
    proxy.expect_ended("client_closed", 9).await;
    assert_eq!(proxy.backend(dead).await["circuit"], "open");

    let before = proxy.metrics().await;
    proxy.reload_with(&config("two")).await;
    let after = proxy.metrics().await;
    let mut compared = 0;
    let after: std::collections::BTreeMap<_, _> = after.series().collect();
    for (series, value) in before.series() {
        let counts_the_question = series.contains("config_") || series.contains("admin_");
        if series.starts_with("portti_") && !counts_the_question {
            assert_eq!(after.get(&series), Some(&value), "{series}");
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} series");
    assert_eq!(proxy.status().await["listeners"][0]["sessions_active"], 1);
    assert_eq!(proxy.backend(dead).await["circuit"], "open");

    lives.echo(b"still here").await;
    drop(lives);
    proxy.expect_ended("client_closed", 10).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn the_generation_counts_loads_and_metrics_tell_of_them() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let generation = async || proxy.status().await["config"]["generation"].clone();
    assert_eq!(generation().await, 1);
    let started = proxy.metric("portti_config_last_reload_timestamp_seconds", &[]).await;
    proxy.reload_with(&format!("# only a comment\n{}", pool(&[&backend], ""))).await;
    // The watch may have been first, and then the same content was loaded twice.
    let loaded = generation().await;
    assert!(loaded == 2 || loaded == 3, "{loaded}");
    proxy.write("[pools.game]\nbackends = 7");
    let problems = proxy.reload().await.unwrap_err();
    assert!(problems.contains("portti.toml:2:"), "{problems}");
    assert_eq!(generation().await, loaded);
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("portti_config_reloads_total", &[("result", "ok")]) + 1.0, loaded.as_f64().unwrap());
    assert!(metrics.sum("portti_config_reloads_total", &[("result", "error")]) >= 1.0);
    assert_eq!(metrics.sum("portti_config_last_reload_successful", &[]), 0.0);
    assert!(metrics.sum("portti_config_last_reload_timestamp_seconds", &[]) > started);
}

#[tokio::test]
async fn a_bad_file_keeps_the_old_and_says_why_until_a_good_one_comes() {
    let backend = Backend::echo();
    let good = pool(&[&backend], "");
    let proxy = Proxy::with(&good);
    let mut lives = proxy.connect().await;
    lives.echo(b"before").await;

    proxy.write(&good.replace("backends", "bakends"));
    let problems = proxy.reload().await.unwrap_err();
    for part in ["portti.toml:2:", "bakends", "backends"] {
        assert!(problems.contains(part), "{part} is not in: {problems}");
    }
    lives.echo(b"after").await;
    proxy.connect().await.echo(b"new").await;
    let last = proxy.status().await["config"]["last_reload"].clone();
    assert_eq!((&last["ok"], last["error"].as_str()), (&false.into(), Some(&*problems)));
    let health = proxy.get("/health/deep").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &"degraded".into()));
    assert!(health.json()["checks"]["config"].as_str().unwrap().starts_with("degraded: "));
    assert_eq!(proxy.get("/readyz").await.status, 200);

    proxy.reload_with(&good).await;
    let last = proxy.status().await["config"]["last_reload"].clone();
    assert_eq!((&last["ok"], &last["error"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(proxy.get("/health/deep").await.json()["status"], "ok");
    assert_eq!(proxy.metric("portti_config_last_reload_successful", &[]).await, 1.0);
}

#[tokio::test]
async fn what_needs_a_restart_keeps_its_value_and_is_named() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let (old, new) = (proxy.admin(), free_address());
    let change = format!("[admin]\nbind = \"{new}\"\n[server]\nmax_connections = 55\n{}", pool(&[&backend], ""));
    let text = complete(&change).replace("workers = 2", "workers = 3");
    std::fs::write(proxy.folder().join("portti.toml"), text).unwrap();
    proxy.reload().await.unwrap();

    let status = proxy.status().await;
    let named = status["config"]["last_reload"]["needs_restart"].as_array().unwrap();
    let mut named: Vec<_> = named.iter().map(|key| key.as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, ["admin.bind", "server.workers"]);
    assert_eq!(proxy.admin(), old);
    assert_eq!(status["max_connections"], 55, "what needs no restart is applied");
    assert!(Peer::is_refused(new).await, "it listens on the new admin address");
}

#[tokio::test]
async fn a_lower_limit_cuts_nobody_and_a_higher_one_holds_at_once() {
    let backend = Backend::echo();
    let with_limit = |limit: u32| format!("[server]\nmax_connections = {limit}\n{}", pool(&[&backend], ""));
    let proxy = Proxy::with(&with_limit(3));
    let mut clients = [proxy.connect().await, proxy.connect().await, proxy.connect().await];
    for client in &mut clients {
        client.echo(b"hello").await;
    }
    proxy.reload_with(&with_limit(1)).await;
    for client in &mut clients {
        client.echo(b"still here").await;
    }
    proxy.connect().await.expect_end().await;
    proxy.reload_with(&with_limit(4)).await;
    proxy.connect().await.echo(b"hello").await;
}

#[tokio::test]
async fn new_timeouts_are_for_new_sessions() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut old = proxy.connect().await;
    old.echo(b"hello").await;
    proxy.reload_with(&pool(&[&backend], "idle_timeout = \"300ms\"")).await;
    let mut new = proxy.connect().await;
    new.echo(b"hello").await;
    new.expect_end().await;
    always_for(Duration::from_millis(500), "the old session was touched", async || old.is_quiet()).await;
    old.echo(b"still here").await;
    proxy.expect_ended("idle_timeout", 1).await;
}

#[tokio::test]
async fn a_breaker_goes_by_its_new_rule_and_keeps_its_state() {
    let backend = Backend::resetting();
    let config = |failures: u32| pool(&[&backend], &format!("breaker = {{ failures = {failures} }}"));
    let proxy = Proxy::with(&config(3));
    let fail = async |number| {
        let mut client = proxy.connect_from([127, 0, 0, number]).await;
        let _reset = client.try_echo(b"hello").await;
        let _end = client.ending().await;
    };
    fail(1).await;
    proxy.expect_ended("backend_reset", 1).await;
    proxy.reload_with(&config(2)).await;
    fail(2).await;
    eventually("an open circuit", async || proxy.backend(backend.address).await["circuit"] == "open").await;
    proxy.reload_with(&config(100)).await;
    assert_eq!(proxy.backend(backend.address).await["circuit"], "open");
    assert_eq!(proxy.metric("portti_backend_failures_total", &[("reason", "backend_reset")]).await, 2.0);
}
