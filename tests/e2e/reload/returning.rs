//! Backends and pools that leave the file, and return, while somebody plays on them.

use serde_json::{Value, json};

use crate::support::admin::ask_with;
use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, eventually};

/// What the status says of backends that have left.
async fn removed(proxy: &Proxy) -> Vec<Value> {
    proxy.status().await["removed_backends"].as_array().unwrap().clone()
}

async fn set_state(proxy: &Proxy, backend: &Backend, order: Value) -> Value {
    let path = format!("/api/v1/pools/game/backends/{}/state", backend.address);
    let headers = [("Content-Type", "application/json")];
    let answer = ask_with(proxy.admin(), "POST", &path, &headers, &order.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// So many players, half of them on each backend.
async fn players(proxy: &Proxy, number: usize) -> Vec<Peer> {
    let mut players = Vec::new();
    for _ in 0..number {
        let mut player = proxy.connect().await;
        player.echo(b"hello").await;
        players.push(player);
    }
    players
}

#[tokio::test]
async fn a_backend_that_returns_has_the_sessions_that_it_had() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let both = pool(&[&one, &other], "balance = \"round_robin\"");
    let proxy = Proxy::with(&both);
    let mut players = players(&proxy, 6).await;
    proxy.reload_with(&pool(&[&one], "")).await;
    let gone = removed(&proxy).await;
    assert_eq!(gone.len(), 1);
    assert_eq!(
        [&gone[0]["pool"], &gone[0]["address"], &gone[0]["sessions_active"], &gone[0]["eligible"]],
        [&json!("game"), &json!(other.address.to_string()), &json!(3), &json!(false)]
    );
    let labels = [("backend", &*other.address.to_string())];
    assert_eq!(proxy.metric("portti_backend_sessions_active", &labels).await, 3.0);

    proxy.reload_with(&both).await;
    assert_eq!(proxy.backend(other.address).await["sessions_active"], 3);
    assert_eq!(proxy.backend(other.address).await["sessions_total"], 3);
    assert_eq!(removed(&proxy).await, Vec::<Value>::new());
    for player in &mut players {
        player.echo(b"still here").await;
    }
    drop(players);
    proxy.expect_empty().await;
}

#[tokio::test]
async fn a_limit_holds_for_sessions_from_before_it_left() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let limited = |backends: &[&Backend]| {
        let entry = |backend: &&Backend| format!("{{ address = \"{}\", max_connections = 3 }}", backend.address);
        let entries: Vec<_> = backends.iter().map(entry).collect();
        format!("[pools.game]\nbalance = \"round_robin\"\nbackends = [{}]", entries.join(", "))
    };
    let proxy = Proxy::with(&limited(&[&one, &other]));
    let _players = players(&proxy, 6).await;
    proxy.reload_with(&limited(&[&one])).await;
    proxy.reload_with(&limited(&[&one, &other])).await;
    proxy.connect().await.expect_end().await;
    proxy.expect_ended("no_backend", 1).await;
}

#[tokio::test]
async fn a_backend_that_has_left_is_closed_by_hand_and_stays_drained() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let both = pool(&[&one, &other], "balance = \"round_robin\"");
    let proxy = Proxy::with(&both);
    let mut players = players(&proxy, 4).await;
    proxy.reload_with(&pool(&[&one], "")).await;
    let told = set_state(&proxy, &other, json!({"state": "drain"})).await;
    assert_eq!(
        [&told["removed"], &told["admin"], &told["sessions_active"]],
        [&json!(true), &json!("drain"), &json!(2)]
    );
    proxy.reload_with(&both).await;
    assert_eq!(proxy.backend(other.address).await["admin"], "drain", "who drains it for a restart is not done yet");
    proxy.reload_with(&pool(&[&one], "")).await;
    set_state(&proxy, &other, json!({"state": "maintenance", "close": true})).await;
    proxy.expect_ended("killed", 2).await;
    eventually("it is told of no more", async || removed(&proxy).await.is_empty()).await;
    let mut left = 0;
    for player in &mut players {
        left += usize::from(player.try_echo(b"still here").await.unwrap_or(false));
    }
    assert_eq!(left, 2);
}

#[tokio::test]
async fn a_pool_that_returns_has_the_sessions_that_it_had() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let pools = |game: &str| {
        format!(
            "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"{game}\"\n[pools.other]\nbackends = [\"{}\"]\n",
            other.address
        )
    };
    let with = format!("{}{}", pools("game"), pool(&[&one], ""));
    let proxy = Proxy::with(&with);
    let _players = players(&proxy, 2).await;
    proxy.reload_with(&pools("other")).await;
    let gone = removed(&proxy).await;
    assert_eq!((&gone[0]["pool"], &gone[0]["sessions_active"]), (&json!("game"), &json!(2)));
    let labels = [("pool", "game")];
    assert_eq!(proxy.metric("portti_backend_sessions_active", &labels).await, 2.0);
    proxy.reload_with(&with).await;
    assert_eq!(proxy.backend(one.address).await["sessions_active"], 2);
}
