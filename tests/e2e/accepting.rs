//! Listening sockets that stop listening.

use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use rustix::process::Signal;
use socket2::SockRef;

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Process, admin, always_for, eventually, free_address};

/// What `/health/deep` says of the listener; nothing while all is well.
async fn deep(process: &Process) -> Option<String> {
    let deep = admin::get(process.admin, "/health/deep").await.json();
    deep["checks"]["listener:game"].as_str().map(str::to_owned)
}

async fn accept_errors(process: &Process) -> f64 {
    process.metrics().await.sum("portti_accept_errors_total", &[("listener", "game")])
}

#[tokio::test]
async fn a_socket_that_its_other_owner_shuts_down_is_closed_and_reported_and_a_reload_opens_it_again() {
    let backend = Backend::echo();
    let socket = TcpListener::bind(free_address()).unwrap();
    let mut process = Process::inheriting(&pool(&[&backend], ""), &socket).await;
    let mut player = Peer::connect(process.address).await;
    player.echo(b"hello").await;
    assert_eq!(deep(&process).await, None);

    SockRef::from(&socket).shutdown(Shutdown::Both).unwrap();
    let lost = |line: &serde_json::Value| line["message"].to_string().contains("shut down from outside");
    let line = process.line("that the socket is lost", lost).await;
    assert_eq!((&line["level"], &line["listener"]), (&"ERROR".into(), &"game".into()), "{line}");
    let said = deep(&process).await.expect("something is wrong with it");
    assert!(said.starts_with("degraded: ") && said.contains(&process.address.to_string()), "{said}");
    // It is given up, not tried again and again.
    always_for(Duration::from_millis(500), "one error", async || accept_errors(&process).await == 1.0).await;
    player.echo(b"still here").await;

    process.signal(Signal::HUP);
    eventually("the listener is back", async || deep(&process).await.is_none()).await;
    Peer::connect(process.address).await.echo(b"hello").await;

    // The way down, with a socket that cannot be emptied.
    SockRef::from(&socket).shutdown(Shutdown::Both).unwrap();
    process.signal(Signal::TERM);
    process.line("that it drains", |line| line["message"].to_string().contains("drain")).await;
    for _ in 0..20 {
        player.echo(b"to the end").await;
    }
    drop(player);
    assert!(process.ended().await.success());
}
