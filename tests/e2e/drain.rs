//! The way down: not ready, then nobody new, then nobody at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, always_for, assert_took, eventually};

const MILLIS: Duration = Duration::from_millis(1);
const LATE: Duration = Duration::from_millis(700);

fn with_server(backend: &Backend, keys: &str) -> Proxy {
    Proxy::with(&format!("[server]\n{keys}\n{}", pool(&[backend], "")))
}

#[tokio::test]
async fn sessions_finish_and_then_it_ends() {
    let backend = Backend::echo();
    let mut proxy = Proxy::before(&[&backend]);
    let address = proxy.address();
    let mut lives = proxy.connect().await;
    lives.echo(b"before").await;
    proxy.shut_down();
    eventually("a closed listener", async || Peer::is_refused(address).await).await;
    assert_eq!(proxy.get("/readyz").await.status, 503);
    assert_eq!(proxy.get("/healthz").await.status, 200);
    assert_eq!(proxy.status().await["state"], "draining");
    assert_eq!(proxy.metric("portti_draining", &[]).await, 1.0);
    always_for(300 * MILLIS, "cut", async || lives.is_quiet()).await;
    lives.echo(b"after").await;
    let left = Instant::now();
    lives.end().await;
    lives.expect_end().await;
    proxy.ended().await;
    // The deadline is half a minute: with nobody left it is not waited for.
    assert_took(left.elapsed(), Duration::ZERO, LATE);
}

#[tokio::test]
async fn without_sessions_it_ends_at_once() {
    let backend = Backend::echo();
    let mut proxy = Proxy::before(&[&backend]);
    proxy.connect().await.echo(b"hello").await;
    proxy.expect_empty().await;
    let asked = Instant::now();
    proxy.shut_down();
    proxy.ended().await;
    assert_took(asked.elapsed(), Duration::ZERO, LATE);
}

#[tokio::test]
async fn for_the_shutdown_delay_it_is_not_ready_and_takes_everybody() {
    let backend = Backend::echo();
    let mut proxy = with_server(&backend, "shutdown_delay = \"1s\"");
    assert_eq!(proxy.get("/readyz").await.status, 200);
    let address = proxy.address();
    proxy.shut_down();
    let asked = Instant::now();
    eventually("not ready", async || proxy.get("/readyz").await.status == 503).await;
    let mut client = Peer::connect(address).await;
    client.echo(b"hello").await;
    while asked.elapsed() < 700 * MILLIS {
        Peer::connect(address).await.echo(b"hello").await;
    }
    eventually("a closed listener", async || Peer::is_refused(address).await).await;
    assert_took(asked.elapsed(), 990 * MILLIS, LATE);
    client.echo(b"still here").await;
    drop(client);
    proxy.ended().await;
}

#[tokio::test]
async fn the_deadline_cuts_who_is_left() {
    let backend = Backend::echo();
    let mut proxy = with_server(&backend, "drain_timeout = \"1s\"");
    let (mut one, mut other) = (proxy.connect().await, proxy.connect().await);
    one.echo(b"hello").await;
    other.echo(b"hello").await;
    proxy.shut_down();
    let asked = Instant::now();
    one.expect_end().await;
    other.expect_end().await;
    assert_took(asked.elapsed(), 990 * MILLIS, LATE);
    proxy.ended().await;
    assert_took(asked.elapsed(), 990 * MILLIS, LATE);
}

#[tokio::test]
async fn asked_a_second_time_it_ends_at_once() {
    let backend = Backend::echo();
    for keys in ["drain_timeout = \"30s\"", "shutdown_delay = \"30s\""] {
        let mut proxy = with_server(&backend, keys);
        let mut client = proxy.connect().await;
        client.echo(b"hello").await;
        proxy.shut_down();
        eventually("the way down", async || proxy.get("/readyz").await.status == 503).await;
        let asked = Instant::now();
        proxy.shut_down();
        client.expect_end().await;
        proxy.ended().await;
        assert_took(asked.elapsed(), Duration::ZERO, LATE);
    }
}

#[tokio::test]
async fn a_client_whose_backend_is_being_dialled_is_not_forgotten() {
    let (hole, backend) = (crate::support::backend::BlackHole::new(), Backend::echo());
    let mut proxy = Proxy::with(&crate::support::proxy::pool_of(
        &[hole.address, backend.address],
        "balance = \"round_robin\"\nconnect_timeout = \"500ms\"",
    ));
    let mut client = proxy.connect().await;
    eventually("a connect under way", async || proxy.backend(hole.address).await["sessions_active"] == 1).await;
    proxy.shut_down();
    client.echo(b"hello").await;
    drop(client);
    proxy.ended().await;
}

/// What the kernel has accepted is a session already, as far as the client can tell: a reset would be a lie. Busy workers
/// are those that have not looked into their queue for a while.
#[tokio::test]
async fn clients_that_came_before_the_end_are_served() {
    for _ in 0..20 {
        let backend = Backend::echo();
        let mut proxy = Proxy::before(&[&backend]);
        let address = proxy.address();
        let go_on = Arc::new(AtomicBool::new(true));
        let mut busy = JoinSet::new();
        for _ in 0..20 {
            let go_on = Arc::clone(&go_on);
            let mut client = Peer::connect(address).await;
            busy.spawn(async move {
                while go_on.load(Ordering::Relaxed) {
                    client.echo(&[1; 1000]).await;
                }
            });
        }
        let mut clients = Vec::new();
        for _ in 0..50 {
            clients.push(Peer::connect(address).await);
        }
        proxy.shut_down();
        for client in &mut clients {
            client.echo(b"hello").await;
        }
        go_on.store(false, Ordering::Relaxed);
        busy.join_all().await;
        drop(clients);
        proxy.ended().await;
    }
}

#[tokio::test]
async fn a_reload_on_the_way_down_is_refused() {
    let backend = Backend::echo();
    let mut proxy = Proxy::before(&[&backend]);
    let mut client = proxy.connect().await;
    client.echo(b"hello").await;
    proxy.shut_down();
    eventually("the way down", async || proxy.get("/readyz").await.status == 503).await;
    proxy.reload().await.unwrap_err();
    client.echo(b"still here").await;
    drop(client);
    proxy.ended().await;
}

/// Ten clients, the eldest first.
async fn ten_players(proxy: &Proxy) -> Vec<Peer> {
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = proxy.connect().await;
        client.echo(b"hello").await;
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn those_who_are_left_go_one_after_the_other_the_youngest_first() {
    let backend = Backend::echo();
    let mut proxy = with_server(&backend, "drain_timeout = \"4s\"\ndrain_pace = \"100/s\"");
    let clients = ten_players(&proxy).await;
    proxy.shut_down();
    let asked = Instant::now();
    eventually("it says how many are left", async || {
        let drain = &proxy.status().await["drain"];
        drain["sessions_left"] == 10 && drain["seconds_left"].as_u64().is_some_and(|left| left <= 4)
    })
    .await;
    let mut ends = JoinSet::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        ends.spawn(async move {
            client.expect_end().await;
            (asked.elapsed(), number)
        });
    }
    let mut ends = ends.join_all().await;
    ends.sort_unstable();
    let order: Vec<_> = ends.iter().map(|(_, number)| *number).collect();
    assert!(order.iter().rev().is_sorted(), "{order:?}");
    let (first, last) = (ends[0].0, ends[9].0);
    // Evenly over the second half: one each 200 ms.
    assert_took(first, 2100 * MILLIS, LATE);
    assert!(last <= 4 * Duration::from_secs(1) + LATE && last - first >= 1400 * MILLIS, "{ends:?}");
    proxy.ended().await;
}

#[tokio::test]
async fn a_pace_that_is_too_slow_leaves_the_rest_to_the_deadline() {
    let backend = Backend::echo();
    let mut proxy = with_server(&backend, "drain_timeout = \"2s\"\ndrain_pace = \"2/s\"");
    let mut clients = ten_players(&proxy).await;
    proxy.shut_down();
    let asked = Instant::now();
    // One of them leaves by itself meanwhile, and is nobody's turn.
    drop(clients.pop());
    let mut eldest = clients.remove(0);
    while asked.elapsed() < 1700 * MILLIS {
        eldest.echo(b"still here").await;
        tokio::time::sleep(50 * MILLIS).await;
    }
    let mut gone = 0;
    for client in &clients {
        gone += usize::from(!client.is_quiet());
    }
    assert!((1..=2).contains(&gone), "{gone} went before the end");
    for client in &mut clients {
        client.expect_end().await;
    }
    eldest.expect_end().await;
    assert_took(asked.elapsed(), 1990 * MILLIS, LATE);
    proxy.ended().await;
}
