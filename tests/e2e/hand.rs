//! What is set by hand: states and weights of backends, maintenance, bans.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::interval;

use crate::support::admin::{Answer, ask_with};
use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, always_for, eventually};

async fn post(proxy: &Proxy, path: &str, order: Value) -> Answer {
    let headers = [("Content-Type", "application/json")];
    ask_with(proxy.admin(), "POST", &format!("/api/v1{path}"), &headers, &order.to_string()).await
}

/// An order for a backend of pool `game`, and the backend as it then is.
async fn set(proxy: &Proxy, backend: &Backend, what: &str, order: Value) -> Value {
    let answer = post(proxy, &format!("/pools/game/backends/{}/{what}", backend.address), order).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn unban(proxy: &Proxy, network: &str) -> Answer {
    ask_with(proxy.admin(), "DELETE", &format!("/api/v1/bans?network={network}"), &[], "").await
}

async fn bans(proxy: &Proxy) -> Vec<Value> {
    proxy.get("/api/v1/bans").await.json()["bans"].as_array().unwrap().clone()
}

/// Sessions that so many newcomers leave on a backend.
async fn sessions_of(proxy: &Proxy, backend: &Backend, newcomers: usize) -> u64 {
    let before = proxy.backend(backend.address).await["sessions_total"].as_u64().unwrap();
    for _ in 0..newcomers {
        proxy.connect().await.echo(b"hello").await;
    }
    proxy.backend(backend.address).await["sessions_total"].as_u64().unwrap() - before
}

#[tokio::test]
async fn a_backend_is_drained_and_put_back_by_hand() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let config = pool(&[&one, &other], "balance = \"round_robin\"\nlast_resort = true");
    let proxy = Proxy::with(&config);
    let mut players = [proxy.connect().await, proxy.connect().await];
    for player in &mut players {
        player.echo(b"hello").await;
    }
    let told = set(&proxy, &one, "state", json!({"state": "drain"})).await;
    assert_eq!(
        (&told["admin"], &told["admin_by"], &told["eligible"]),
        (&"drain".into(), &"hand".into(), &false.into())
    );
    assert_eq!(told, proxy.backend(one.address).await);
    assert_eq!(proxy.metric("portti_backend_admin_state", &[("backend", &one.address.to_string())]).await, 1.0);
    assert_eq!(sessions_of(&proxy, &one, 6).await, 0);
    for player in &mut players {
        player.echo(b"still here").await;
    }

    proxy.reload_with(&format!("{config}# edited")).await;
    assert_eq!(proxy.backend(one.address).await["admin"], "drain", "a reload clears nothing");
    set(&proxy, &other, "state", json!({"state": "maintenance"})).await;
    assert_eq!(proxy.get("/readyz").await.status, 503);
    proxy.connect().await.expect_end().await;
    proxy.expect_ended("no_backend", 1).await;

    let told = set(&proxy, &one, "state", json!({"state": "ready"})).await;
    assert_eq!((&told["admin"], told.get("admin_by")), (&"ready".into(), None));
    assert_eq!(sessions_of(&proxy, &one, 3).await, 3);
}

#[tokio::test]
async fn what_is_set_by_hand_is_forgotten_with_the_backend() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&one, &other]);
    set(&proxy, &one, "state", json!({"state": "drain"})).await;
    proxy.reload_with(&pool(&[&other], "")).await;
    proxy.reload_with(&pool(&[&other, &one], "")).await;
    assert_eq!(proxy.backend(one.address).await["admin"], "ready");
}

#[tokio::test]
async fn during_maintenance_checks_rest_and_sessions_end_where_that_was_asked_for() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let health = "[pools.game.health]\ntype = \"tcp\"\ninterval = \"100ms\"\ntimeout = \"100ms\"";
    let proxy = Proxy::with(&pool(&[&one, &other], health));
    let mut player = proxy.connect().await;
    player.echo(b"hello").await;
    let checks = async || {
        let metrics = proxy.metrics().await;
        metrics.sum("portti_health_checks_total", &[("backend", &one.address.to_string())])
    };
    eventually("a check", async || checks().await >= 1.0).await;
    let chosen = if proxy.backend(one.address).await["sessions_active"] == 1 { &one } else { &other };

    set(&proxy, &one, "state", json!({"state": "maintenance"})).await;
    set(&proxy, &other, "state", json!({"state": "maintenance"})).await;
    let before = checks().await;
    always_for(Duration::from_millis(500), "checks rest", async || checks().await == before).await;
    player.echo(b"sessions go on").await;
    set(&proxy, chosen, "state", json!({"state": "drain", "close": true})).await;
    proxy.expect_ended("killed", 1).await;
    set(&proxy, &one, "state", json!({"state": "ready"})).await;
    eventually("checks again", async || checks().await > before).await;
}

#[tokio::test]
async fn weights_by_hand_count_until_they_are_cleared() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::with(&pool(&[&one, &other], "balance = \"round_robin\""));
    let told = set(&proxy, &one, "weight", json!({"weight": 0})).await;
    assert_eq!((&told["weight"], &told["weight_by"], &told["eligible"]), (&0.into(), &"hand".into(), &true.into()));
    assert_eq!(sessions_of(&proxy, &one, 6).await, 0);
    set(&proxy, &other, "state", json!({"state": "drain"})).await;
    assert_eq!(sessions_of(&proxy, &one, 2).await, 2, "rather than nobody");
    set(&proxy, &other, "state", json!({"state": "ready"})).await;

    set(&proxy, &one, "weight", json!({"weight": 3})).await;
    assert_eq!(sessions_of(&proxy, &one, 8).await, 6);
    assert_eq!(proxy.metric("portti_backend_weight", &[("backend", &one.address.to_string())]).await, 3.0);
    let told = set(&proxy, &one, "weight", json!({"weight": null})).await;
    assert_eq!((&told["weight"], &told["weight_by"]), (&1.into(), &"file".into()));
}

#[tokio::test]
async fn a_listener_is_closed_for_maintenance_by_hand() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut player = proxy.connect().await;
    player.echo(b"hello").await;
    let set = async |order: Value| {
        let answer = post(&proxy, "/listeners/game/maintenance", order).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.json()["maintenance"].clone(), answer.json()["maintenance_by"].clone())
    };
    let metric = async || proxy.metric("portti_listener_maintenance", &[("listener", "game")]).await;
    assert_eq!(set(json!({"maintenance": true})).await, (true.into(), "hand".into()));
    assert_eq!(metric().await, 1.0);
    proxy.connect().await.expect_end().await;
    proxy.expect_ended("denied", 1).await;
    player.echo(b"still here").await;
    assert_eq!(set(json!({"maintenance": false})).await, (false.into(), "hand".into()));
    assert_eq!(metric().await, 0.0);
    assert_eq!(set(json!({"maintenance": null})).await, (false.into(), "file".into()));
    proxy.connect().await.echo(b"hello").await;
}

#[tokio::test]
async fn a_banned_network_is_out_on_all_listeners_and_those_who_play_go() {
    let backend = Backend::echo();
    let config = pool(&[&backend], "");
    let proxy = Proxy::with(&format!(
        "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n\
         [listeners.more]\nbind = \"127.0.0.1:0\"\npool = \"game\"\ntrusted = [\"127.0.0.0/8\"]\n{config}"
    ));
    let mut bad: Vec<Peer> = Vec::new();
    for last in [2, 3] {
        for _ in 0..3 {
            bad.push(proxy.connect_from_to("more", [127, 0, 9, last]).await);
        }
    }
    for peer in &mut bad {
        peer.echo(b"hello").await;
    }
    let mut good = proxy.connect_from([127, 0, 8, 1]).await;
    good.echo(b"hello").await;

    let made = post(&proxy, "/bans", json!({"network": "127.0.9.0/24", "why": "cheats"})).await;
    assert_eq!((made.status, &made.json()["sessions_closed"]), (201, &6.into()), "{}", made.body);
    proxy.expect_ended("killed", 6).await;
    for listener in ["game", "more"] {
        proxy.connect_from_to(listener, [127, 0, 9, 4]).await.expect_end().await;
    }
    proxy.expect_ended("denied", 2).await;
    good.echo(b"not meant").await;
    let expected = json!({"network": "127.0.9.0/24", "until": null, "by": "hand", "listener": null, "why": "cheats"});
    assert_eq!(bans(&proxy).await, [expected]);
    assert_eq!(proxy.metric("portti_bans_by_hand", &[]).await, 1.0);

    assert_eq!(unban(&proxy, "127.0.9.1").await.json()["code"], "no_such_ban", "another network");
    assert_eq!(unban(&proxy, "127.0.9.0/24").await.status, 204);
    proxy.connect_from([127, 0, 9, 4]).await.echo(b"hello").await;
}

#[tokio::test]
async fn a_network_with_bits_behind_its_prefix_is_refused_with_both_spellings() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let asked =
        [post(&proxy, "/bans", json!({"network": "203.0.113.7/24"})).await, unban(&proxy, "203.0.113.7/24").await];
    for answer in asked {
        let (code, error) = (&answer.json()["code"], answer.json()["error"].as_str().unwrap_or_default().to_owned());
        assert_eq!(*code, "bad_request");
        assert!(error.contains("\"203.0.113.0/24\"") && error.contains("\"203.0.113.7\""), "{error}");
    }
    assert!(bans(&proxy).await.is_empty());
}

#[tokio::test]
async fn who_lifts_a_ban_hears_of_others_that_hold_for_the_same_addresses() {
    let backend = Backend::echo();
    let config = pool(&[&backend], "");
    let listener = "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\ndeny = [\"127.0.10.0/24\"]\n";
    let proxy = Proxy::with(&format!("{listener}{config}"));
    for network in ["127.0.9.7", "127.0.9.0/24", "127.0.10.7", "127.0.11.7"] {
        assert_eq!(post(&proxy, "/bans", json!({ "network": network })).await.status, 201);
    }
    let answer = unban(&proxy, "127.0.9.7").await;
    let others = answer.json()["still_banned"].clone();
    assert_eq!((answer.status, others.as_array().map(Vec::len)), (200, Some(1)), "{}", answer.body);
    assert_eq!((&others[0]["network"], &others[0]["by"]), (&"127.0.9.0/24".into(), &"hand".into()));
    proxy.connect_from([127, 0, 9, 7]).await.expect_end().await;

    let answer = unban(&proxy, "127.0.9.7").await;
    let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    assert!(answer.status == 404 && error.contains("lift that of 127.0.9.0/24"), "{error}");

    let others = unban(&proxy, "127.0.10.7").await.json()["still_banned"].clone();
    assert_eq!((&others[0]["network"], &others[0]["by"]), (&"127.0.10.0/24".into(), &"file".into()));
    assert_eq!(others[0]["listener"], "game");
    assert_eq!(unban(&proxy, "127.0.11.7").await.status, 204);
    assert_eq!(unban(&proxy, "127.0.9.0/24").await.status, 204);
    proxy.connect_from([127, 0, 9, 7]).await.echo(b"hello").await;
}

#[tokio::test]
async fn a_ban_closes_connections_that_wait_for_their_next_request() {
    let backend = Backend::serving(|mut stream| async move {
        let _head = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let _gone = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        let _end = tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await;
    });
    let listener = "[listeners.game]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\n";
    let proxy = Proxy::with(&format!("{listener}{}", pool(&[&backend], "")));
    let mut client = proxy.connect_from([127, 0, 9, 1]).await;
    client.send(b"GET / HTTP/1.1\r\nHost: game\r\n\r\n").await;
    let answer = client.expect_any(15).await;
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    let made = post(&proxy, "/bans", json!({"network": "127.0.9.1"})).await;
    assert_eq!(made.json()["sessions_closed"], 1);
    client.ending().await;
    proxy.expect_ended("killed", 1).await;
    proxy.connect_from([127, 0, 9, 1]).await.ending().await;
    proxy.expect_ended("denied", 1).await;
}

#[tokio::test]
async fn a_ban_may_spare_those_who_play_and_ends_by_itself() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut player = proxy.connect_from([127, 0, 0, 9]).await;
    player.echo(b"hello").await;
    let made = post(&proxy, "/bans", json!({"network": "127.0.0.9", "for": "1s", "close": false})).await;
    assert_eq!((made.status, &made.json()["sessions_closed"]), (201, &0.into()));
    assert!(made.json()["until"].is_string());
    proxy.connect_from([127, 0, 0, 9]).await.expect_end().await;
    player.echo(b"still here").await;
    eventually("the ban is over", async || bans(&proxy).await.is_empty()).await;
    proxy.connect_from([127, 0, 0, 9]).await.echo(b"hello").await;
}

#[tokio::test]
async fn bans_by_rule_are_listed_and_lifted() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&format!(
        "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\nmax_connections_per_ip = 1\n\
         ban = {{ after = 2, within = \"10s\", for = \"1h\" }}\n{}",
        pool(&[&backend], "")
    ));
    let mut player = proxy.connect_from([127, 0, 0, 9]).await;
    player.echo(b"hello").await;
    for _ in 0..3 {
        proxy.connect_from([127, 0, 0, 9]).await.expect_end().await;
    }
    let told = bans(&proxy).await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["network"], &told[0]["by"]), (&"127.0.0.9/32".into(), &"rule".into()));
    assert_eq!((&told[0]["listener"], told[0]["until"].is_string()), (&"game".into(), true));
    assert_eq!(unban(&proxy, "127.0.0.9").await.status, 204);
    assert!(bans(&proxy).await.is_empty());
    drop(player);
    proxy.expect_ended("client_closed", 1).await;
    proxy.connect_from([127, 0, 0, 9]).await.echo(b"hello").await;
}

#[tokio::test]
async fn wrong_orders_change_nothing_and_hear_why() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let at = format!("/pools/game/backends/{}", backend.address);
    let (state, weight) = (format!("{at}/state"), format!("{at}/weight"));
    let drain = json!({"state": "drain"});
    let cases = [
        ("/pools/other/backends/1.2.3.4:5/state", drain.clone(), "no_such_pool"),
        ("/pools/game/backends/1.2.3.4:5/state", drain, "no_such_backend"),
        (&*state, json!({"state": "sleeping"}), "bad_request"),
        (&*state, json!({"state": "drain", "closed": true}), "bad_request"),
        (&*state, json!({}), "bad_request"),
        (&*weight, json!({"weight": 257}), "bad_request"),
        (&*weight, json!({"weight": -1}), "bad_request"),
        (&*weight, json!({}), "bad_request"),
        ("/listeners/other/maintenance", json!({"maintenance": true}), "no_such_listener"),
        ("/listeners/game/maintenance", json!({"maintenance": "yes"}), "bad_request"),
        ("/listeners/game/maintenance", json!({}), "bad_request"),
        ("/bans", json!({"network": "example.com"}), "bad_request"),
        ("/bans", json!({"network": "1.2.3.4", "for": "1 fortnight"}), "bad_request"),
        ("/bans", json!({"network": "1.2.3.4", "for": "0s"}), "bad_request"),
        ("/bans", json!({"network": "1.2.3.4", "why": "x".repeat(201)}), "bad_request"),
    ];
    let before = proxy.backend(backend.address).await;
    for (path, order, code) in cases {
        let answer = post(&proxy, path, order.clone()).await;
        assert_eq!(answer.json()["code"], code, "{path} {order}: {}", answer.body);
        assert!(answer.status >= 400 && answer.status < 500);
    }
    assert_eq!(unban(&proxy, "here").await.json()["code"], "bad_request");
    assert_eq!(proxy.backend(backend.address).await, before);
    assert!(bans(&proxy).await.is_empty());
}

#[tokio::test]
async fn an_answer_that_is_under_way_ends_with_the_sessions() {
    let endless = Backend::serving(async |mut stream: TcpStream| {
        let _asked = stream.read(&mut [0; 4096]).await;
        let mut ticks = interval(Duration::from_millis(20));
        let _head = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        while stream.write_all(b"2\r\nhi\r\n").await.is_ok() {
            ticks.tick().await;
        }
    });
    let listener = "[listeners.game]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\n";
    let proxy = Proxy::with(&(listener.to_owned() + &pool(&[&endless], "")));
    let mut client = proxy.connect().await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.expect(b"HTTP/1.1 200 OK").await;
    set(&proxy, &endless, "state", json!({"state": "drain"})).await;
    client.expect_any(200).await;
    set(&proxy, &endless, "state", json!({"state": "drain", "close": true})).await;
    eventually("it is empty", async || proxy.backend(endless.address).await["sessions_active"] == 0).await;
    client.ending().await;
}
