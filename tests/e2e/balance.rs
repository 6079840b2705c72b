//! Which backend a session gets, when there is a choice.

use std::time::Duration;

use crate::support::{Backend, Peer, Proxy, always_for, eventually};

/// A pool of long-form backends.
fn pool(backends: &[(&Backend, &str)], keys: &str) -> String {
    let entry = |(backend, keys): &(&Backend, &str)| format!("{{ address = \"{}\", {keys} }}", backend.address);
    let list: Vec<_> = backends.iter().map(entry).collect();
    format!("[pools.game]\nbackends = [{}]\n{keys}\n", list.join(", "))
}

/// So many live sessions, each of which has had a byte through its backend.
async fn live_sessions(proxy: &Proxy, count: usize) -> Vec<Peer> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = proxy.connect().await;
        client.echo(b"hello").await;
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn round_robin_gives_each_its_turn_by_weight() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::with(&pool(&[(&one, "weight = 3"), (&other, "weight = 1")], "balance = \"round_robin\""));
    for _ in 0..40 {
        proxy.connect().await.echo(b"hello").await;
    }
    assert_eq!((one.accepted(), other.accepted()), (30, 10));
}

#[tokio::test]
async fn least_connections_levels_live_sessions_by_weight() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::with(&pool(&[(&one, "weight = 2"), (&other, "weight = 1")], ""));
    let _clients = live_sessions(&proxy, 30).await;
    assert_eq!((one.accepted(), other.accepted()), (20, 10));
    assert_eq!(proxy.backend(one.address).await["sessions_active"], 20);
}

#[tokio::test]
async fn least_connections_prefers_who_has_fewer_left() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&one, &other]);
    let mut clients = live_sessions(&proxy, 10).await;
    let (mut of_one, mut of_other) = (Vec::new(), Vec::new());
    // They were levelled one by one, so every second one has the same backend.
    for (place, client) in clients.drain(..).enumerate() {
        if place % 2 == 0 { of_one.push(client) } else { of_other.push(client) }
    }
    let (before_one, before_other) = (one.accepted(), other.accepted());
    assert_eq!((before_one, before_other), (5, 5));
    drop(of_one);
    eventually("five sessions left", async || proxy.status().await["sessions_active"] == 5).await;
    let _more = live_sessions(&proxy, 5).await;
    let (more_one, more_other) = (one.accepted() - before_one, other.accepted() - before_other);
    assert!((more_one, more_other) == (5, 0) || (more_one, more_other) == (0, 5), "{more_one} and {more_other}");
}

#[tokio::test]
async fn a_backend_of_weight_zero_gets_no_session_while_another_can_and_all_of_them_when_none_can() {
    let (one, backup, resting) = (Backend::echo(), Backend::echo(), Backend::echo());
    let listed = [(&one, "weight = 1"), (&resting, "weight = 0"), (&backup, "backup = true")];
    let proxy = Proxy::with(&pool(&listed, "[pools.game.breaker]\nfailures = 1\nmax_ejected = \"100%\""));
    let accepted = || [&one, &backup, &resting].map(Backend::accepted);
    let _clients = live_sessions(&proxy, 20).await;
    assert_eq!(accepted(), [20, 0, 0]);
    one.close().await;
    let _more = live_sessions(&proxy, 5).await;
    assert_eq!(accepted(), [20, 5, 0], "a backup comes first");
    backup.close().await;
    let _rest = live_sessions(&proxy, 5).await;
    assert_eq!(accepted(), [20, 5, 5], "rather than nobody");
    let shown = proxy.backend(resting.address).await;
    assert_eq!((&shown["weight"], &shown["eligible"]), (&0.into(), &true.into()), "as it is shown");
    assert_eq!(proxy.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_backup_serves_only_while_the_others_are_out() {
    let (primary, backup) = (Backend::echo(), Backend::echo());
    let breaker = "[pools.game.breaker]\nfailures = 1\nopen_for = \"300ms\"\nmax_open_for = \"300ms\"";
    let proxy = Proxy::with(&pool(&[(&primary, "weight = 1"), (&backup, "backup = true")], breaker));
    let _clients = live_sessions(&proxy, 10).await;
    assert_eq!((primary.accepted(), backup.accepted()), (10, 0));

    primary.close().await;
    let _more = live_sessions(&proxy, 5).await;
    assert_eq!((primary.accepted(), backup.accepted()), (10, 5));

    primary.open_again();
    eventually("the primary is back", async || {
        proxy.connect().await.echo(b"hello").await;
        proxy.backend(primary.address).await["circuit"] == "closed"
    })
    .await;
    let served = backup.accepted();
    let _rest = live_sessions(&proxy, 10).await;
    assert_eq!(backup.accepted(), served, "the backup serves on");
}

#[tokio::test]
async fn a_full_backend_spills_to_the_other_and_a_full_pool_refuses() {
    let (small, large) = (Backend::echo(), Backend::echo());
    let keys = "balance = \"round_robin\"";
    let proxy = Proxy::with(&pool(&[(&small, "max_connections = 2"), (&large, "max_connections = 5")], keys));
    let mut clients = live_sessions(&proxy, 7).await;
    assert_eq!((small.accepted(), large.accepted()), (2, 5));
    proxy.connect().await.expect_end().await;
    proxy.expect_ended("no_backend", 1).await;

    // Full is not broken: the pool is as ready as before.
    assert_eq!(proxy.metric("portti_backend_failures_total", &[]).await, 0.0);
    drop(clients.pop());
    eventually("a place", async || proxy.status().await["sessions_active"] == 6).await;
    clients.extend(live_sessions(&proxy, 1).await);
    assert_eq!(small.accepted() + large.accepted(), 8);
    let limits = async || {
        let active = async |backend: &Backend| proxy.backend(backend.address).await["sessions_active"].as_u64();
        active(&small).await <= Some(2) && active(&large).await <= Some(5)
    };
    always_for(Duration::from_millis(50), "over a backend's limit", limits).await;
}

#[tokio::test]
async fn many_at_once_never_exceed_a_backends_limit() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&pool(&[(&backend.backend, "max_connections = 10")], ""));
    let address = proxy.address();
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(tokio::spawn(Peer::connect(address)));
    }
    proxy.expect_ended("no_backend", 190).await;
    let mut servers = Vec::new();
    for _ in 0..10 {
        servers.push(backend.next().await);
    }
    assert_eq!(backend.backend.accepted(), 10);
}
