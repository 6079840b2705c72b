//! The admin address: the words of its contract, and clients that do not behave.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::admin::ask;
use crate::support::proxy::pool;
use crate::support::{Backend, Metrics, Peer, Proxy, eventually, free_address};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn probes_answer() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    for path in ["/healthz", "/startupz", "/readyz"] {
        let answer = proxy.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn status_has_every_key_of_the_contract() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&format!("[server]\nmax_connections = 77\n{}", pool(&[&backend], "")));
    proxy.connect().await.echo(b"hello").await;
    proxy.expect_empty().await;
    let status = proxy.status().await;
    let top = ["version", "uptime_seconds", "state", "service_level", "sessions_active", "max_connections", "config"];
    let also = ["log", "listeners", "pools", "refused_total", "descriptors", "removed_backends"];
    assert_eq!(keys(&status), top.into_iter().chain(also).collect());
    assert_eq!((&status["state"], &status["service_level"]), (&"running".into(), &"full".into()));
    assert_eq!((&status["sessions_active"], &status["max_connections"]), (&0.into(), &77.into()));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));

    let config = &status["config"];
    assert!(keys(config).is_superset(&BTreeSet::from(["path", "generation", "last_reload"])), "{config}");
    assert_eq!(config["path"], proxy.folder().join("portti.toml").to_str().unwrap());
    assert_eq!(config["generation"], 1);
    assert_eq!((&config["last_reload"]["ok"], &config["last_reload"]["error"]), (&true.into(), &Value::Null));
    assert!(config["last_reload"]["at"].is_string());

    let listener = &status["listeners"][0];
    let wanted = [
        "name",
        "mode",
        "bind",
        "pool",
        "sessions_active",
        "sessions_total",
        "maintenance",
        "maintenance_by",
        "shed_at",
    ];
    assert_eq!(keys(listener), BTreeSet::from(wanted), "{listener}");
    assert_eq!((&listener["maintenance"], &listener["maintenance_by"]), (&false.into(), &"file".into()));
    assert_eq!(
        (&listener["name"], &listener["mode"], &listener["pool"]),
        (&"game".into(), &"tcp".into(), &"game".into())
    );
    assert_eq!(listener["bind"], proxy.address().to_string());
    assert_eq!(listener["sessions_total"], 1);

    let pool = &status["pools"][0];
    assert_eq!(keys(pool), BTreeSet::from(["name", "balance", "backends"]));
    assert_eq!((&pool["name"], &pool["balance"]), (&"game".into(), &"least_connections".into()));
    let shown = &pool["backends"][0];
    let wanted = ["address", "weight", "weight_by", "backup", "admin", "health", "circuit", "eligible"];
    let counts = ["sessions_active", "sessions_total", "failures_total", "failures"];
    let live = ["connect_ms", "players_rtt_us", "players_retransmits", "last_event"];
    let wanted = wanted.into_iter().chain(counts).chain(live).collect();
    assert!(keys(shown).is_superset(&wanted), "{shown}");
    assert_eq!((&shown["admin"], &shown["circuit"]), (&"ready".into(), &"closed".into()));
    assert_eq!((&shown["eligible"], &shown["sessions_total"]), (&true.into(), &1.into()));
}

#[tokio::test]
async fn deep_health_is_ok_then_degraded_then_down() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let breaker = "breaker = { failures = 1, max_ejected = \"100%\" }";
    let proxy = Proxy::with(&pool(&[&one, &other], breaker));
    let answer = proxy.get("/health/deep").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["status"]), (200, &"ok".into()));
    assert_eq!(keys(&health), BTreeSet::from(["status", "checks", "version", "uptime_seconds"]));
    assert_eq!((&health["checks"]["config"], &health["checks"]["pool:game"]), (&"ok".into(), &"ok".into()));
    let score = async || proxy.metric("portti_health", &[("check", "pool:game")]).await;
    assert_eq!((score().await, proxy.metric("portti_max_connections", &[]).await), (0.0, 10_000.0));

    one.close().await;
    eventually("an open circuit", async || {
        proxy.connect().await.echo(b"hello").await;
        proxy.backend(one.address).await["circuit"] == "open"
    })
    .await;
    let answer = proxy.get("/health/deep").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["status"]), (200, &"degraded".into()));
    assert_eq!(health["checks"]["pool:game"], "degraded: 1 of 2 backends eligible");
    assert_eq!(score().await, 1.0);
    assert_eq!(proxy.get("/readyz").await.status, 200);

    other.close().await;
    proxy.connect().await.expect_end().await;
    let answer = proxy.get("/health/deep").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["status"]), (503, &"down".into()));
    assert_eq!(health["checks"]["pool:game"], "down: 0 of 2 backends eligible");
    assert_eq!(score().await, 2.0);
    assert_eq!(proxy.get("/readyz").await.status, 503);
    assert_eq!(proxy.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn one_pool_that_can_serve_makes_it_ready() {
    let (alive, dead) = (Backend::echo(), free_address());
    let proxy = Proxy::with(&format!(
        "{}[pools.other]\nbackends = [\"{dead}\"]\nretries = 0\nbreaker = {{ failures = 1 }}\n\
         [listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n\
         [listeners.other]\nbind = \"127.0.0.1:0\"\npool = \"other\"\n",
        pool(&[&alive], "")
    ));
    Peer::connect(proxy.address_of("other")).await.expect_end().await;
    assert_eq!(proxy.get("/readyz").await.status, 200);
    let health = proxy.get("/health/deep").await.json();
    assert_eq!((&health["status"], &health["checks"]["pool:game"]), (&"degraded".into(), &"ok".into()));
    assert_eq!(health["checks"]["pool:other"], "down: 0 of 1 backends eligible");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    for path in ["/nothing", "/api/v1/", "/api/v2/status", "/metrics/", "/../etc/passwd"] {
        let answer = proxy.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"].is_string());
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "NONSENSE"] {
        let request =
            format!("{method} /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = ask(proxy.admin(), &request).await;
        assert_eq!((answer.status, &*answer.headers["allow"]), (405, "GET, HEAD"), "{method}");
    }
    let head = ask(proxy.admin(), "HEAD /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[tokio::test]
async fn nonsense_costs_only_the_connection_it_came_on() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: portti\r\n\r\n", "a".repeat(100_000));
    let long_header = format!("GET /healthz HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(100_000));
    let many_headers = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "A: a\r\n".repeat(1_000));
    let nonsense: [&[u8]; 8] = [
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\r\nhello\r\n\r\n",
        long_path.as_bytes(),
        long_header.as_bytes(),
        many_headers.as_bytes(),
    ];
    for bytes in nonsense {
        let mut client = Peer::connect(proxy.admin()).await;
        // It may be closed before all of it is sent.
        let _refused = tokio::io::AsyncWriteExt::write_all(&mut client.0, bytes).await;
        let _end = client.ending().await;
        assert_eq!(proxy.get("/healthz").await.status, 200);
    }
}

#[tokio::test]
async fn slow_clients_keep_nobody_waiting() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut client = Peer::connect(proxy.admin()).await;
        client.send(b"GET /metrics HTTP/1.1\r\nHost: ").await;
        slow.push(client);
    }
    for _ in 0..10 {
        let started = Instant::now();
        assert_eq!(proxy.get("/readyz").await.status, 200);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
    proxy.connect().await.echo(b"hello").await;
}

#[tokio::test]
async fn there_need_be_no_admin_server() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&format!("[admin]\nbind = \"off\"\n{}", pool(&[&backend], "")));
    assert!(!proxy.has_admin());
    proxy.connect().await.echo(b"hello").await;
}

#[tokio::test]
async fn every_metric_of_the_contract_is_there_and_the_text_is_well_formed() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    proxy.connect().await.echo(b"hello").await;
    let answer = proxy.get("/metrics").await;
    assert!(answer.headers["content-type"].starts_with("text/plain; version=0.0.4"));
    let metrics = Metrics::parse(&answer.body);
    let backend = backend.address.to_string();
    let of_backend = [("pool", "game"), ("backend", &*backend)];
    let wanted: &[(&str, &[(&str, &str)])] = &[
        ("sessions_active", &[("listener", "game")]),
        ("sessions_total", &[("listener", "game"), ("reason", "client_closed")]),
        ("session_duration_seconds_count", &[("listener", "game")]),
        ("bytes_total", &[("listener", "game"), ("direction", "up")]),
        ("bytes_total", &[("listener", "game"), ("direction", "down")]),
        ("backend_sessions_active", &of_backend),
        ("backend_sessions_total", &of_backend),
        ("backend_connect_seconds_count", &[("pool", "game")]),
        ("backend_failures_total", &of_backend),
        ("backend_circuit_state", &of_backend),
        ("backend_circuit_transitions_total", &of_backend),
        ("backend_eligible", &of_backend),
        ("connect_retries_total", &[("pool", "game")]),
        ("service_level", &[]),
        ("draining", &[]),
        ("config_reloads_total", &[("result", "ok")]),
        ("config_reloads_total", &[("result", "error")]),
        ("config_last_reload_successful", &[]),
        ("config_last_reload_timestamp_seconds", &[]),
        ("build_info", &[("version", env!("CARGO_PKG_VERSION"))]),
    ];
    for (name, labels) in wanted {
        assert!(metrics.has(&format!("portti_{name}"), labels), "{name} {labels:?}");
    }
    for name in ["process_open_fds", "process_resident_memory_bytes", "process_cpu_seconds_total"] {
        assert!(metrics.has(name, &[]), "{name}");
    }
    let distinct: BTreeSet<_> = metrics.series().map(|(series, _)| series).collect();
    assert_eq!(distinct.len(), metrics.series().count(), "a series stands there twice");
    for line in answer.body.lines().filter(|line| line.starts_with("# TYPE portti_")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(answer.body.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
}

#[tokio::test]
async fn sums_are_what_the_clients_counted() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&one, &other]);
    let (mut sessions, mut bytes) = (0.0, 0);
    for round in 1..=60_usize {
        let mut client = proxy.connect().await;
        let message = vec![7; round * 100];
        for _ in 0..3 {
            client.echo(&message).await;
            bytes += message.len();
        }
        sessions += 1.0;
    }
    proxy.expect_empty().await;
    let metrics = proxy.metrics().await;
    for direction in ["up", "down"] {
        assert_eq!(metrics.sum("portti_bytes_total", &[("direction", direction)]), bytes as f64, "{direction}");
    }
    for name in
        ["sessions_total", "backend_sessions_total", "session_duration_seconds_count", "backend_connect_seconds_count"]
    {
        assert_eq!(metrics.sum(&format!("portti_{name}"), &[]), sessions, "{name}");
    }
    eventually("both backends to have counted", async || one.accepted() + other.accepted() == 60).await;
    for backend in [&one, &other] {
        let address = backend.address.to_string();
        let counted = metrics.sum("portti_backend_sessions_total", &[("backend", &address)]);
        assert_eq!(counted, backend.accepted() as f64);
    }
}
