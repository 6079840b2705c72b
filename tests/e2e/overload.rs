//! A house that fills, empties, is stormed and flooded.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, eventually, soon};

/// Client number `number` of a crowd.
fn address(crowd: u8, number: u32) -> Ipv4Addr {
    let [_, _, high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, crowd, high, low)
}

const RETURNING: u8 = 200;
const NEWCOMERS: u8 = 201;
const OTHERS: u8 = 202;

/// Whether a client is let in: the backend greets, or the connection is closed.
async fn is_let_in(client: &mut Peer) -> bool {
    matches!(soon("a verdict", client.0.read(&mut [0])).await, Ok(1))
}

/// Opens a session, which must be let in.
async fn enters(proxy: &Proxy, address: Ipv4Addr) -> Peer {
    let mut client = proxy.connect_from(address).await;
    assert!(is_let_in(&mut client).await, "{address}");
    client
}

async fn level(proxy: &Proxy) -> String {
    proxy.status().await["service_level"].as_str().unwrap().to_owned()
}

/// The lobby sheds first, then joins, then all but those who were playing, then everyone; and back.
#[tokio::test]
async fn a_walk_from_empty_to_full_and_back() {
    let backend = Backend::greeting(b"!");
    let listener = |name: &str, shed_at: &str| {
        format!("[listeners.{name}]\nbind = \"127.0.0.1:0\"\npool = \"game\"\nshed_at = \"{shed_at}\"\n")
    };
    let listeners = [("lobby", "degraded"), ("join", "critical"), ("game", "overloaded")];
    let config = listeners.map(|(name, shed_at)| listener(name, shed_at)).concat()
        + "[server]\nmax_connections = 100\n[server.reconnect]\nmin_session = \"0s\"\n"
        + &pool(&[&backend], "");
    let proxy = Proxy::with(&config);
    for (name, _) in listeners {
        let mut player = Peer::connect(proxy.address_of(name)).await;
        assert!(is_let_in(&mut player).await);
    }
    proxy.expect_empty().await;

    // For each listener: whether a newcomer is let in, and whether who was just playing is (they come from 127.0.0.1).
    let mut strangers = 0..;
    let mut verdicts = async || {
        let mut verdicts = Vec::new();
        for (name, _) in listeners {
            let mut newcomer = proxy.connect_from_to(name, address(OTHERS, strangers.next().unwrap())).await;
            let mut player = Peer::connect(proxy.address_of(name)).await;
            verdicts.push((is_let_in(&mut newcomer).await, is_let_in(&mut player).await));
        }
        verdicts
    };
    let settled = async |count: usize| {
        eventually("the others are gone", async || proxy.status().await["sessions_active"] == count).await;
    };
    let (all, played, none) = ((true, true), (false, true), (false, false));
    let up = [
        (67, "full", [all, all, all]),
        (72, "degraded", [played, all, all]),
        (86, "critical", [played, played, all]),
        (95, "overloaded", [none, none, none]),
    ];
    let down = [
        (91, "overloaded", [none, none, none]),
        (82, "critical", [played, played, all]),
        (67, "degraded", [played, all, all]),
        (60, "full", [all, all, all]),
        (0, "full", [all, all, all]),
    ];
    let mut inside = Vec::new();
    for (count, expected, doors) in up.into_iter().chain(down) {
        inside.truncate(count);
        while inside.len() < count {
            inside.push(enters(&proxy, address(NEWCOMERS, u32::try_from(inside.len()).unwrap())).await);
        }
        settled(count).await;
        assert_eq!(level(&proxy).await, expected, "{count}");
        assert_eq!(proxy.get("/readyz").await.status, if expected == "overloaded" { 503 } else { 200 });
        assert_eq!(verdicts().await, doors, "{expected} at {count}");
        settled(count).await;
    }
}

#[tokio::test]
async fn of_a_house_that_comes_back_together_with_a_crowd_the_players_come_in() {
    const PLAYERS: u32 = 900;
    const CROWD: u32 = 3000;
    let backend = Backend::greeting(b"!");
    // Critical once 100 are in; room for all players above that.
    let server = "[server]\nmax_connections = 1000\n[server.levels]\ndegraded = \"10%\"\ncritical = \"10%\"\n\
                  overloaded = \"100%\"\n[server.reconnect]\nmin_session = \"0s\"\n";
    let listener = |levels: &str| {
        format!(
            "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\nshed_at = \"critical\"\n{levels}{}",
            pool(&[&backend], "")
        )
    };
    let proxy = Proxy::with(&listener(
        "[server]\nmax_connections = 1000\nlevels = { critical = \"100%\", overloaded = \"100%\" }\n",
    ));
    let mut house = Vec::new();
    for number in 0..PLAYERS {
        house.push(enters(&proxy, address(RETURNING, number)).await);
    }
    proxy.reload_with(&listener(server)).await;
    // The network goes, for all of them at once.
    drop(house);
    proxy.expect_empty().await;
    let mut others = Vec::new();
    for number in 0..100 {
        others.push(enters(&proxy, address(OTHERS, number)).await);
    }
    assert_eq!(level(&proxy).await, "critical");

    let mut comers = JoinSet::new();
    let (mut players, mut crowd) = (0..PLAYERS, 0..CROWD);
    // Mixed, so that newcomers come at every moment: three or four of them for each player.
    while comers.len() < (PLAYERS + CROWD) as usize {
        let newcomers = crowd.by_ref().take(4).map(|number| (NEWCOMERS, number));
        let batch: Vec<_> = newcomers.chain(players.by_ref().take(1).map(|number| (RETURNING, number))).collect();
        for (who, number) in batch {
            let mut client = proxy.connect_from(address(who, number)).await;
            comers.spawn(async move { (who, is_let_in(&mut client).await, client) });
        }
    }
    let came = comers.join_all().await;
    let let_in = |crowd| came.iter().filter(|(who, is_in, _)| *who == crowd && *is_in).count();
    assert_eq!(
        (let_in(RETURNING), let_in(NEWCOMERS)),
        (PLAYERS as usize, 0),
        "all who were let in were playing before"
    );
    proxy.expect_ended("shed", CROWD).await;
}

/// What this costs players in latency is measured by `scripts/bench --flood`.
#[tokio::test]
async fn five_thousand_connections_from_one_address_cost_two_hundred_players_nothing() {
    const FLOOD: u32 = 5000;
    let backend = Backend::echo();
    let keys = "rate_per_ip = \"10/s\"\nmax_connections_per_ip = 10\nban = { after = 1000 }";
    let listener = format!("[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{keys}\n");
    let proxy = Arc::new(Proxy::with(&(listener + &pool(&[&backend], ""))));
    let over = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU32::new(0));
    let mut players = JoinSet::new();
    for number in 0..200 {
        let mut player = proxy.connect_from(address(OTHERS, number)).await;
        let (over, rounds) = (Arc::clone(&over), Arc::clone(&rounds));
        players.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                player.echo(b"a move").await;
                rounds.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            player.echo(b"and the last one").await;
        });
    }
    let begun = Instant::now();
    let mut flood = Vec::new();
    for number in 0..FLOOD {
        let client = proxy.connect_from([127, 0, 0, 250]).await;
        // Some hold their connections, some talk into them.
        if number % 4 == 0 {
            let mut client = client;
            let _closed = client.0.write_all(b"let me in").await;
            flood.push(client);
        }
    }
    eventually("all of the flood is counted", async || {
        let metrics = proxy.metrics().await;
        let (ended, live) = (metrics.sum("portti_sessions_total", &[]), metrics.sum("portti_sessions_active", &[]));
        ended + live >= f64::from(FLOOD + 200)
    })
    .await;
    let newcomer = enters_and_echoes(&proxy).await;
    over.store(true, Ordering::Relaxed);
    players.join_all().await;
    assert!(newcomer && rounds.load(Ordering::Relaxed) >= 400, "players played on");
    let metrics = proxy.metrics().await;
    let ended = |reason| metrics.sum("portti_sessions_total", &[("reason", reason)]);
    let most = 10.0 * (begun.elapsed() + Duration::from_millis(500)).as_secs_f64() + 11.0;
    let through = f64::from(FLOOD) - ended("rate_limited") - ended("per_ip_limit") - ended("denied");
    assert!(through <= most, "{through} of the flood came in");
    assert!(ended("denied") >= 1.0 && ended("client_reset") <= through, "it was banned, and nobody else was hurt");
}

async fn enters_and_echoes(proxy: &Proxy) -> bool {
    proxy.connect_from(address(OTHERS, 999)).await.try_echo(b"hello").await.unwrap_or(false)
}
