//! Where sessions go changes for new ones only.

use std::time::Duration;

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, always_for, eventually};

#[tokio::test]
async fn a_removed_backend_gets_nobody_new_and_its_sessions_go_on() {
    let (leaves, stays) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&leaves, &stays]);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = proxy.connect().await;
        client.echo(b"hello").await;
        clients.push(client);
    }
    assert_eq!((leaves.accepted(), stays.accepted()), (2, 2));
    let address = leaves.address.to_string();
    let labels = [("backend", &*address)];
    assert!(proxy.metrics().await.has("portti_backend_sessions_total", &labels));

    proxy.reload_with(&pool(&[&stays], "")).await;
    assert!(proxy.metrics().await.has("portti_backend_sessions_total", &labels), "it has sessions");
    assert!(!proxy.metrics().await.has("portti_backend_eligible", &labels), "but takes no new ones");
    assert_eq!(proxy.status().await["pools"][0]["backends"].as_array().unwrap().len(), 1);
    for _ in 0..10 {
        proxy.connect().await.echo(b"new").await;
    }
    assert_eq!((leaves.accepted(), stays.accepted()), (2, 12));
    for client in &mut clients {
        client.echo(b"still here").await;
    }
    eventually("the old sessions alone", async || proxy.status().await["sessions_active"] == 4).await;
    drop(clients);
    proxy.expect_ended("client_closed", 14).await;
    proxy.expect_empty().await;
    assert!(!proxy.metrics().await.values_of("backend").contains(&&*address), "its series are still there");

    proxy.reload_with(&pool(&[&leaves, &stays], "")).await;
    assert_eq!(proxy.backend(leaves.address).await["sessions_active"], 0);
    proxy.connect().await.echo(b"hello").await;
    proxy.connect().await.echo(b"hello").await;
}

#[tokio::test]
async fn a_new_backend_is_used_at_once() {
    let (first, second) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&first]);
    let mut old = proxy.connect().await;
    old.echo(b"hello").await;
    proxy.reload_with(&pool(&[&first, &second], "")).await;
    // It has fewer sessions.
    proxy.connect().await.echo(b"hello").await;
    assert_eq!((first.accepted(), second.accepted()), (1, 1));
    old.echo(b"still here").await;
}

#[tokio::test]
async fn a_change_of_one_pool_leaves_the_others_sessions_alone() {
    let (game, lobby, new) = (Backend::echo(), Backend::echo(), Backend::echo());
    let config = |game: &Backend| {
        format!(
            "{}[pools.lobby]\nbackends = [\"{}\"]\n[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n\
             [listeners.lobby]\nbind = \"127.0.0.1:0\"\npool = \"lobby\"\n",
            pool(&[game], ""),
            lobby.address
        )
    };
    let proxy = Proxy::with(&config(&game));
    let mut in_lobby = Peer::connect(proxy.address_of("lobby")).await;
    let mut in_game = proxy.connect().await;
    in_lobby.echo(b"hello").await;
    in_game.echo(b"hello").await;
    proxy.reload_with(&config(&new)).await;
    always_for(Duration::from_millis(300), "touched", async || in_lobby.is_quiet() && in_game.is_quiet()).await;
    in_lobby.echo(b"still here").await;
    in_game.echo(b"me too").await;
    Peer::connect(proxy.address_of("lobby")).await.echo(b"hello").await;
    proxy.connect().await.echo(b"hello").await;
    assert_eq!((game.accepted(), lobby.accepted(), new.accepted()), (1, 2, 1));
}

#[tokio::test]
async fn a_listener_that_leads_elsewhere_leads_new_sessions_there() {
    let (old, new) = (Backend::echo(), Backend::echo());
    let config = |pool: &str| {
        format!(
            "[pools.old]\nbackends = [\"{}\"]\n[pools.new]\nbackends = [\"{}\"]\n\
             [listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"{pool}\"\n",
            old.address, new.address
        )
    };
    let proxy = Proxy::with(&config("old"));
    let mut client = proxy.connect().await;
    client.echo(b"hello").await;
    proxy.reload_with(&config("new")).await;
    for _ in 0..5 {
        proxy.connect().await.echo(b"hello").await;
    }
    client.echo(b"still here").await;
    assert_eq!((old.accepted(), new.accepted()), (1, 5));
    assert_eq!(proxy.status().await["listeners"][0]["pool"], "new");
}

#[tokio::test]
async fn a_session_that_is_being_connected_ends_where_it_began() {
    let hole = crate::support::backend::BlackHole::new();
    let (next, new) = (Backend::echo(), Backend::echo());
    let slow = crate::support::proxy::pool_of(
        &[hole.address, next.address],
        "balance = \"round_robin\"\nconnect_timeout = \"500ms\"",
    );
    let proxy = Proxy::with(&slow);
    let mut client = proxy.connect().await;
    eventually("a connect under way", async || proxy.backend(hole.address).await["sessions_active"] == 1).await;
    proxy.reload_with(&pool(&[&new], "")).await;
    client.echo(b"hello").await;
    assert_eq!((next.accepted(), new.accepted()), (1, 0));
}
