//! How many sessions may live, and that every one that ends gives its place back.

use tokio::task::JoinSet;

use crate::support::proxy::{pool, pool_of};
use crate::support::{Backend, Peer, Proxy, eventually, free_address};

#[tokio::test]
async fn one_more_than_may_live_is_closed_at_once_and_the_admin_server_answers() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&format!("[server]\nmax_connections = 2\n{}", pool(&[&backend], "")));
    let (mut one, mut other) = (proxy.connect().await, proxy.connect().await);
    one.echo(b"one").await;
    other.echo(b"other").await;
    // A client that speaks first finds a reset, for its bytes were never read; a silent one just an end.
    proxy.connect().await.expect_end().await;
    proxy.expect_ended("at_capacity", 1).await;
    for path in ["/healthz", "/startupz", "/metrics", "/api/v1/status"] {
        assert_eq!(proxy.get(path).await.status, 200, "{path}");
    }
    assert_eq!(proxy.get("/readyz").await.status, 503);
    assert_eq!(proxy.status().await["sessions_active"], 2);
    one.echo(b"still here").await;
    other.echo(b"me too").await;

    drop(one);
    eventually("a free place", async || proxy.status().await["sessions_active"] == 1).await;
    proxy.connect().await.echo(b"my turn").await;
    assert_eq!(backend.accepted(), 3);
    proxy.expect_ended("at_capacity", 1).await;
}

#[tokio::test]
async fn the_limit_is_over_all_listeners() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&format!(
        "[server]\nmax_connections = 2\n{}[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n\
         [listeners.lobby]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n",
        pool(&[&backend], "")
    ));
    let mut clients = [proxy.connect().await, Peer::connect(proxy.address_of("lobby")).await];
    for client in &mut clients {
        client.echo(b"hello").await;
    }
    proxy.connect().await.expect_end().await;
    Peer::connect(proxy.address_of("lobby")).await.expect_end().await;
    for listener in ["game", "lobby"] {
        let labels = [("listener", listener), ("reason", "at_capacity")];
        assert_eq!(proxy.metric("portti_sessions_total", &labels).await, 1.0);
    }
}

#[tokio::test]
async fn service_levels_follow_how_much_is_in_use() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&format!("[server]\nmax_connections = 20\n{}", pool(&[&backend], "")));
    let mut clients = Vec::new();
    for (sessions, level, number) in
        [(13, "full", 0.0), (14, "degraded", 1.0), (17, "critical", 2.0), (19, "overloaded", 3.0)]
    {
        while clients.len() < sessions {
            let mut client = proxy.connect().await;
            client.echo(b"hello").await;
            clients.push(client);
        }
        assert_eq!(proxy.status().await["service_level"], level);
        assert_eq!(proxy.metric("portti_service_level", &[]).await, number);
        assert_eq!(proxy.get("/readyz").await.status, if level == "overloaded" { 503 } else { 200 });
    }
    clients.clear();
    proxy.expect_empty().await;
    assert_eq!(proxy.status().await["service_level"], "full");
}

#[tokio::test]
async fn a_burst_over_the_limit_is_turned_away_and_leaves_no_trace() {
    const CLIENTS: u32 = 1_000;
    let backend = Backend::echo();
    let proxy = Proxy::with(&format!(
        "[server]\nmax_connections = 100\nlevels = {{ overloaded = \"100%\" }}\n{}",
        pool(&[&backend], "")
    ));
    let address = proxy.address();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            let mut client = Peer::connect(address).await;
            client.try_echo(b"let me in").await.unwrap_or(false)
        });
    }
    let served = clients.join_all().await.into_iter().filter(|&served| served).count();
    proxy.expect_empty().await;
    let metrics = proxy.metrics().await;
    // Once it was full, the level stays overloaded for a session below that: clients that come just then are shed.
    let ended = |reason| metrics.sum("portti_sessions_total", &[("reason", reason)]);
    let turned_away = ended("at_capacity") + ended("shed");
    assert_eq!(metrics.sum("portti_sessions_total", &[]), f64::from(CLIENTS));
    assert_eq!(turned_away + served as f64, f64::from(CLIENTS), "{:?}", metrics.reasons());
    assert!(served >= 100, "{served} served");
    proxy.connect().await.echo(b"now?").await;
}

#[tokio::test]
async fn no_end_of_a_session_leaks_its_place() {
    let (echo, resetting, dead) = (Backend::echo(), Backend::resetting(), free_address());
    let proxy = Proxy::with(&format!(
        "[server]\nmax_connections = 50\nlevels = {{ overloaded = \"100%\" }}\n{}[pools.game.breaker]\nfailures = 10000\n",
        pool_of(&[echo.address, resetting.address, dead], "balance = \"round_robin\"\nretries = 1")
    ));
    for round in 0..300 {
        let mut client = proxy.connect().await;
        match round % 5 {
            0 => drop(client),
            1 => client.reset(),
            2 => {
                let _answer = client.try_echo(b"hello").await;
            }
            3 => {
                let _answer = client.try_echo(b"hello").await;
                client.reset();
            }
            _ => {
                let _sent = client.0.try_write(b"hello");
                let _gone = tokio::io::AsyncWriteExt::shutdown(&mut client.0).await;
                let _end = client.ending().await;
            }
        }
    }
    proxy.expect_empty().await;
    assert_eq!(proxy.metric("portti_sessions_total", &[]).await, 300.0);
    let (mut all, mut proofs) = (Vec::new(), 0);
    while proofs < 50 {
        all.push(proxy.connect().await);
        proofs += 1;
    }
    // All fifty places are there, and not one more.
    eventually("a full house", async || proxy.status().await["sessions_active"] == 50).await;
    proxy.connect().await.expect_end().await;
}

/// Listener `game`, and `lobby` with these keys, before one backend.
fn game_and_lobby(backend: &Backend, (game, lobby): (&str, &str)) -> String {
    format!(
        "[server]\nmax_connections = 20\n[server.levels]\ndegraded = \"100%\"\ncritical = \"100%\"\noverloaded = \"100%\"\n\
         [listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{game}\n\
         [listeners.lobby]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{lobby}\n{}",
        pool(&[backend], "")
    )
}

#[tokio::test]
async fn a_flood_on_one_listener_leaves_the_other_its_slots() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&game_and_lobby(&backend, ("", "max_connections = 5")));
    let mut flood = Vec::new();
    for _ in 0..30 {
        flood.push(proxy.connect_from_to("lobby", [127, 0, 0, 9]).await);
    }
    let labels = [("listener", "lobby"), ("reason", "at_capacity")];
    eventually("the rest is refused", async || proxy.metric("portti_sessions_total", &labels).await == 25.0).await;
    assert_eq!(proxy.metric("portti_listener_max_connections", &[("listener", "lobby")]).await, 5.0);
    let mut players = Vec::new();
    for _ in 0..10 {
        let mut player = proxy.connect().await;
        player.echo(b"hello").await;
        players.push(player);
    }

    // A reload changes the limit, and ends nobody's session.
    proxy.reload_with(&game_and_lobby(&backend, ("", "max_connections = 2"))).await;
    proxy.connect_from_to("lobby", [127, 0, 0, 9]).await.ending().await;
    assert_eq!(proxy.status().await["sessions_active"], 15);
    proxy.reload_with(&game_and_lobby(&backend, ("", "max_connections = 6"))).await;
    proxy.connect_from_to("lobby", [127, 0, 0, 9]).await.echo(b"hello").await;
}

#[tokio::test]
async fn reserved_slots_are_there_for_staff_in_the_middle_of_a_flood() {
    let backend = Backend::echo();
    let reserved = ("reserved = 3\nstaff = [\"127.0.0.7\"]\nmax_connections = 18", "");
    let proxy = Proxy::with(&game_and_lobby(&backend, reserved));
    let mut flood = Vec::new();
    for _ in 0..40 {
        flood.push(proxy.connect_from_to("lobby", [127, 0, 0, 9]).await);
    }
    let refused = async || proxy.metrics().await.sum("portti_sessions_total", &[("reason", "at_capacity")]);
    eventually("17 of 20 slots are everybody's", async || refused().await == 23.0).await;
    let mut staff = Vec::new();
    for _ in 0..3 {
        let mut member = proxy.connect_from([127, 0, 0, 7]).await;
        member.echo(b"what is going on?").await;
        staff.push(member);
    }
    proxy.connect_from([127, 0, 0, 7]).await.ending().await;
    let status = proxy.status().await;
    let game = &status["listeners"][0];
    assert_eq!(
        (&game["max_connections"], &game["reserved"], &game["reserved_in_use"]),
        (&18.into(), &3.into(), &3.into())
    );
    assert_eq!(status["sessions_active"], 20);
    let labels = [("listener", "game")];
    assert_eq!(proxy.metric("portti_listener_reserved_connections", &labels).await, 3.0);
    assert_eq!(proxy.metric("portti_listener_reserved_connections_active", &labels).await, 3.0);
    drop((flood, staff));
    proxy.expect_empty().await;
    assert_eq!(proxy.metric("portti_listener_reserved_connections_active", &labels).await, 0.0);
}

#[tokio::test]
async fn a_listener_that_leaves_and_comes_back_still_counts_the_sessions_it_has() {
    let backend = Backend::echo();
    let (address, elsewhere) = (free_address(), free_address());
    let listener = |name: &str, address: &std::net::SocketAddr| {
        let limits = "max_connections_per_ip = 3\nmax_connections = 4";
        format!("[listeners.{name}]\nbind = \"{address}\"\npool = \"game\"\n{limits}\n")
    };
    let pool = pool(&[&backend], "");
    let other = format!("{}{pool}", listener("other", &elsewhere));
    let both = format!("{}{other}", listener("game", &address));
    let proxy = Proxy::with(&both);
    let connect = async || {
        let mut peer = Peer::connect(address).await;
        peer.echo(b"hello").await;
        peer
    };
    let mut players = vec![connect().await, connect().await, connect().await];
    Peer::connect(address).await.ending().await;

    // Away for a moment; under another name for a moment; and both.
    let renamed = format!("{}{other}", listener("renamed", &address));
    for away in [&other, &renamed] {
        proxy.reload_with(away).await;
        proxy.reload_with(&both).await;
        Peer::connect(address).await.ending().await;
        let active = proxy.metric("portti_sessions_active", &[("listener", "game")]).await;
        assert_eq!(active, 3.0, "its sessions are its own");
    }
    let refused =
        async |reason| proxy.metric("portti_sessions_total", &[("listener", "game"), ("reason", reason)]).await;
    assert_eq!(refused("per_ip_limit").await, 3.0);
    for player in &mut players {
        player.echo(b"still here").await;
    }
    // The fourth of four is another address's, and the fifth finds the listener full.
    let mut stranger = proxy.connect_from_to("game", [127, 0, 0, 9]).await;
    stranger.echo(b"hello").await;
    proxy.connect_from_to("game", [127, 0, 0, 10]).await.ending().await;
    assert_eq!(refused("at_capacity").await, 1.0);

    drop((players, stranger));
    proxy.expect_empty().await;
    let _again = [connect().await, connect().await, connect().await];
}
