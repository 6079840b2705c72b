//! The line at a listener's door, seen from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, assert_took, eventually};

const LATE: Duration = Duration::from_millis(700);

/// Listener `game` with these keys, on one worker, so that who is let in first also comes first to the backend.
fn config(backend: &Backend, listener: &str) -> String {
    let server = "[server]\nworkers = 1\n[server.reconnect]\nmin_session = \"0s\"\n";
    format!("[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{listener}\n{server}{}", pool(&[backend], ""))
}

/// A backend that tells each client how many came before it.
fn numbering() -> Backend {
    let next = Arc::new(AtomicU8::new(0));
    Backend::serving(move |mut stream: TcpStream| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        async move {
            let _gone = stream.write_all(&[number]).await;
            let _end = stream.read(&mut [0]).await;
        }
    })
}

async fn number_of(peer: &mut Peer) -> u8 {
    peer.0.read_u8().await.unwrap()
}

async fn waiting(proxy: &Proxy, clients: u32) {
    let what = format!("{clients} clients in line");
    eventually(&what, async || proxy.metric("portti_arrivals_waiting", &[]).await == f64::from(clients)).await;
}

#[tokio::test]
async fn a_stampede_becomes_a_line_that_moves_at_the_rate() {
    const CLIENTS: u32 = 420;
    let backend = Backend::greeting(b"!");
    let proxy = Proxy::with(&config(&backend, "accept_rate = \"200/s\"\naccept_burst = 20"));
    let mut clients = Vec::new();
    let mut served = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..CLIENTS {
        clients.push(proxy.connect().await);
    }
    for mut client in clients {
        served.spawn(async move {
            client.expect(b"!").await;
            (begun.elapsed(), client)
        });
    }
    let mut served: Vec<_> = served.join_all().await;
    served.sort_unstable_by_key(|(at, _)| *at);
    for (index, (at, _)) in served.iter().enumerate() {
        let index = u32::try_from(index).unwrap();
        let soonest = Duration::from_millis(5) * index.saturating_sub(20);
        assert!(*at >= soonest.mul_f64(0.95), "number {index} came in after {at:?}");
    }
    let (last, _) = served.last().unwrap();
    assert_took(*last, Duration::from_millis(1900), LATE);
    let metrics = proxy.metrics().await;
    let waited = metrics.sum("portti_arrival_wait_seconds_count", &[("listener", "game")]);
    assert!((350.0..=400.0).contains(&waited), "{waited}");
}

#[tokio::test]
async fn players_come_in_first_one_turn_in_four_is_a_newcomers_and_leavers_are_forgotten() {
    let backend = numbering();
    let proxy = Proxy::with(&config(&backend, "accept_rate = \"10/s\"\naccept_burst = 2"));
    for last in [8, 9] {
        number_of(&mut proxy.connect_from([127, 0, 0, last]).await).await;
    }
    proxy.expect_empty().await;

    let mut line = Vec::new();
    // The first newcomer may find a turn that has come meanwhile, or two.
    for last in [50, 51, 52, 53, 54, 8, 55, 9] {
        line.push(proxy.connect_from([127, 0, 0, last]).await);
    }
    drop(line.remove(6));
    drop(line.remove(4));
    let mut order = Vec::new();
    for (client, name) in line.iter_mut().zip(["N0", "N1", "N2", "N3", "R8", "R9"]) {
        order.push((number_of(client).await, name));
    }
    order.sort_unstable();
    let order: Vec<_> = order.into_iter().map(|(_, name)| name).collect();
    let place = |name: &str| order.iter().position(|other| *other == name).unwrap();
    assert!(place("R8") < place("R9") && place("R9") < place("N3"), "{order:?}");
    assert!(["N0", "N1", "N2", "N3"].is_sorted_by_key(|name| place(name)), "{order:?}");
    proxy.expect_ended("client_closed", 4).await;
    assert_eq!(proxy.metric("portti_backend_sessions_total", &[]).await, 8.0, "leavers never got that far");
}

#[tokio::test]
async fn who_finds_the_line_full_or_too_slow_is_told_so() {
    let backend = Backend::echo();
    let keys = "accept_rate = \"1/m\"\naccept_burst = 1\nmax_waiting = 2\nwait_timeout = \"1s\"";
    let proxy = Proxy::with(&config(&backend, keys));
    let mut inside = proxy.connect().await;
    inside.echo(b"hello").await;
    let mut line = [proxy.connect().await, proxy.connect().await];
    waiting(&proxy, 2).await;
    let begun = Instant::now();
    proxy.connect().await.expect_end().await;
    proxy.expect_ended("queue_full", 1).await;
    assert_eq!(proxy.status().await["listeners"][0]["waiting"], 2);
    for waiter in &mut line {
        waiter.expect_end().await;
    }
    assert_took(begun.elapsed(), Duration::from_millis(600), LATE);
    proxy.expect_ended("queue_timeout", 2).await;
    waiting(&proxy, 0).await;
    inside.echo(b"still here").await;
}

#[tokio::test]
async fn who_leaves_the_line_is_out_within_a_second() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&config(&backend, "accept_rate = \"1/m\"\naccept_burst = 1\nwait_timeout = \"1m\""));
    proxy.connect().await.echo(b"hello").await;
    let line = [proxy.connect().await, proxy.connect().await, proxy.connect().await];
    waiting(&proxy, 3).await;
    let left = Instant::now();
    let [first, second, _third] = line;
    first.reset();
    drop(second);
    waiting(&proxy, 1).await;
    assert_took(left.elapsed(), Duration::ZERO, Duration::from_secs(1));
    proxy.expect_ended("client_reset", 1).await;
}

#[tokio::test]
async fn a_reload_that_lifts_the_rate_lets_everybody_in() {
    let backend = Backend::echo();
    let slow = "accept_rate = \"1/m\"\naccept_burst = 1\nwait_timeout = \"1m\"";
    for after in [String::new(), "accept_rate = \"1000/s\"".to_owned()] {
        let proxy = Proxy::with(&config(&backend, slow));
        proxy.connect().await.echo(b"hello").await;
        let mut line = [proxy.connect().await, proxy.connect().await];
        waiting(&proxy, 2).await;
        proxy.reload_with(&config(&backend, &after)).await;
        for waiter in &mut line {
            waiter.echo(b"in at last").await;
        }
    }
}

#[tokio::test]
async fn a_listener_that_is_removed_lets_those_in_who_wait() {
    let backend = Backend::echo();
    let other = "[listeners.other]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n";
    let slow = "accept_rate = \"1/m\"\naccept_burst = 1\nwait_timeout = \"1m\"\n";
    let proxy = Proxy::with(&(config(&backend, slow) + other));
    proxy.connect().await.echo(b"hello").await;
    let mut waiter = proxy.connect().await;
    waiting(&proxy, 1).await;
    proxy.reload_with(&(other.to_owned() + &pool(&[&backend], ""))).await;
    waiter.echo(b"in at last").await;
}

#[tokio::test]
async fn those_who_wait_when_a_drain_begins_are_let_in() {
    let backend = Backend::echo();
    let mut proxy = Proxy::with(&config(&backend, "accept_rate = \"1/s\"\naccept_burst = 1"));
    let mut clients = [proxy.connect().await, proxy.connect().await, proxy.connect().await];
    waiting(&proxy, 2).await;
    proxy.shut_down();
    for client in &mut clients {
        client.echo(b"hello").await;
    }
    drop(clients);
    proxy.ended().await;
}

#[tokio::test]
async fn who_only_waited_did_not_play() {
    let backend = Backend::echo();
    let listener = |keys: &str| {
        format!("[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{keys}\n{}", pool(&[&backend], ""))
    };
    let reconnect = "[server]\n[server.reconnect]\nmin_session = \"500ms\"\n";
    let keys = "accept_rate = \"1/h\"\naccept_burst = 1\nwait_timeout = \"600ms\"";
    let proxy = Proxy::with(&(listener(keys) + reconnect));
    let mut inside = proxy.connect_from([127, 0, 0, 9]).await;
    inside.echo(b"in").await;
    proxy.connect_from([127, 0, 0, 50]).await.expect_end().await;
    proxy.expect_ended("queue_timeout", 1).await;
    let sheds = format!("{reconnect}[server.levels]\ndegraded = \"0%\"\ncritical = \"100%\"\noverloaded = \"100%\"\n");
    proxy.reload_with(&(listener("shed_at = \"degraded\"") + &sheds)).await;
    for newcomer in [51, 50] {
        proxy.connect_from([127, 0, 0, newcomer]).await.expect_end().await;
    }
    proxy.expect_ended("shed", 2).await;
}
