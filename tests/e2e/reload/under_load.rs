//! Reloads while players come, play and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::listener;
use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Process, Proxy, eventually, free_address};

/// Clients that come and go for as long as `go_on`, and some that stay all the time.
const COMING: u32 = 40;
const STAYING: u32 = 20;

#[tokio::test]
async fn a_hundred_reloads_refuse_reset_and_corrupt_nothing() {
    const RELOADS: u32 = 100;
    let (one, other) = (Backend::echo(), Backend::echo());
    let (moving, fixed) = (free_address(), free_address());
    // Every kind of change in turn: backends, weights, timeouts, and a listener that comes and goes beside the one in use.
    let config = |round: u32| {
        let backends: &[&Backend] = match round % 3 {
            0 => &[&one, &other],
            1 => &[&one],
            _ => &[&other],
        };
        let beside = if round.is_multiple_of(2) { listener("beside", moving) } else { String::new() };
        let keys = format!("idle_timeout = \"{}m\"", 10 + round);
        format!("{}{}{beside}", pool(backends, &keys), listener("game", fixed))
    };
    let proxy = Proxy::with(&config(0));
    let (go_on, exchanges) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..COMING + STAYING {
        let (go_on, exchanges) = (Arc::clone(&go_on), Arc::clone(&exchanges));
        clients.spawn(async move {
            let mut sessions = 0;
            while go_on.load(Ordering::Relaxed) {
                sessions += 1;
                let mut client = Peer::connect(fixed).await;
                let mut round = 0;
                while round < 5 || (number >= COMING && go_on.load(Ordering::Relaxed)) {
                    let message = [number, sessions, round].map(u32::to_be_bytes).concat().repeat(20);
                    client.echo(&message).await;
                    exchanges.fetch_add(1, Ordering::Relaxed);
                    round += 1;
                    sleep(Duration::from_millis(2)).await;
                }
                client.end().await;
                client.expect_end().await;
            }
            sessions
        });
    }
    for round in 1..=RELOADS {
        proxy.reload_with(&config(round)).await;
        let before = exchanges.load(Ordering::Relaxed);
        eventually("load", async || exchanges.load(Ordering::Relaxed) > before + 20).await;
    }
    go_on.store(false, Ordering::Relaxed);
    let sessions: u32 = clients.join_all().await.into_iter().sum();
    assert!(sessions > RELOADS, "only {sessions} sessions");
    proxy.expect_ended("client_closed", sessions).await;
    proxy.expect_empty().await;
    assert_eq!(proxy.metric("portti_sessions_total", &[]).await, f64::from(sessions));
    // The watch may have been first with some.
    let reloads = async |result| proxy.metric("portti_config_reloads_total", &[("result", result)]).await;
    assert!(reloads("ok").await >= f64::from(RELOADS));
    assert_eq!(reloads("error").await, 0.0);
}

/// In a process of its own, where nothing else moves memory, descriptors and threads.
#[tokio::test]
async fn fifty_reloads_leave_memory_descriptors_and_threads_as_they_were() {
    const RELOADS: u32 = 50;
    let (one, other) = (Backend::echo(), Backend::echo());
    let beside = free_address();
    let config = |round: u32| {
        if round.is_multiple_of(2) {
            pool(&[&one, &other], "")
        } else {
            format!("{}{}", pool(&[&one], "balance = \"round_robin\""), listener("beside", beside))
        }
    };
    let process = Process::with(&config(0)).await;
    let mut lives = Peer::connect(process.address).await;
    let mut applied = 0;
    let mut reload = async |round: u32| {
        process.write(&config(round));
        process.signal(rustix::process::Signal::HUP);
        applied += 1;
        let count = f64::from(applied);
        // The watch may find the edit too, and then sees nothing new; a signal always loads.
        eventually("the reload", async || {
            process.metrics().await.sum("portti_config_reloads_total", &[("result", "ok")]) >= count
        })
        .await;
        lives.echo(b"still here").await;
    };
    // What is set up at first use is there after a few.
    for round in 1..=10 {
        reload(round).await;
    }
    settled(&process).await;
    let (memory, descriptors, threads) = (process.memory(), process.descriptors(), process.threads());
    for round in 11..=10 + RELOADS {
        reload(round).await;
    }
    settled(&process).await;
    assert_eq!(process.threads(), threads);
    assert_eq!(process.descriptors(), descriptors);
    let now = process.memory();
    assert!(now < memory + 2048, "{memory} KiB before, {now} KiB after {RELOADS} reloads");
}

/// Waits until connections of the last scrape are gone: the number of descriptors stands still.
async fn settled(process: &Process) {
    let (mut last, mut same) = (0, 0);
    eventually("descriptors that stand still", async || {
        let now = process.descriptors();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same >= 30
    })
    .await;
}
