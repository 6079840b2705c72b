//! What comes while the process starts, and two processes with one file.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::UdpSocket;

use crate::support::process::run;
use crate::support::proxy::{complete, pool};
use crate::support::{Backend, Peer, Process, admin, always_for, eventually, own_address};

#[tokio::test]
async fn signals_during_the_start_do_not_kill_and_a_reload_is_remembered() {
    let backend = Backend::echo();
    let process = Process::with_pipe();
    let mut config = process.reads().await;
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::PIPE] {
        process.signal(signal);
    }
    config.write_all(process.complete(&pool(&[&backend], "")).as_bytes()).unwrap();
    drop(config);
    process.is_up().await;
    // The file is read again, for it may have changed since it was read.
    let mut config = process.reads().await;
    config.write_all(process.complete(&pool(&[&backend], "retries = 7")).as_bytes()).unwrap();
    drop(config);
    process.line("that it has reloaded", |line| line["message"] == "config reloaded").await;
    for name in ["SIGUSR1", "SIGUSR2"] {
        process.line(name, |line| line["message"].as_str().is_some_and(|text| text.starts_with(name))).await;
    }
    Peer::connect(process.address).await.echo(b"hello").await;
}

#[tokio::test]
async fn a_process_that_still_reads_its_file_ends_when_asked_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::with_pipe();
        let _never_written = process.reads().await;
        process.signal(signal);
        assert_eq!(process.ended().await.code(), Some(0), "{signal:?}");
    }
}

#[tokio::test]
async fn a_process_that_still_looks_names_up_ends_when_asked_to() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = format!("[dns]\nservers = [\"{}\"]\n", silent.local_addr().unwrap());
    let mut process = Process::start(&format!("[pools.game]\nbackends = [\"game.example:1\"]\n{servers}"), "");
    // It has asked, and waits for the answer.
    silent.recv_from(&mut [0; 512]).await.unwrap();
    eventually("its admin server", async || {
        tokio::net::TcpStream::connect(process.admin).await.is_ok()
            && admin::get(process.admin, "/startupz").await.body.contains("starting")
    })
    .await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(0));
    assert!(process.access_log().is_empty());
}

#[tokio::test]
async fn a_restart_with_the_same_file_has_no_gap_and_the_new_process_gets_the_admin_address() {
    let backend = Backend::echo();
    let mut old = Process::with_listener(&pool(&[&backend], ""), "reuse_port = true").await;
    let mut player = Peer::connect(old.address).await;
    player.echo(b"hello").await;

    let new = old.beside();
    new.is_up().await;
    new.line("that it has no admin server", |line| line["level"] == "WARN" && line["address"] == old.admin.to_string())
        .await;
    // Both take clients, and the old one answers for the address.
    for _ in 0..20 {
        Peer::connect(old.address).await.echo(b"hello").await;
    }
    assert_eq!(admin::get(old.admin, "/readyz").await.status, 200);
    always_for(Duration::from_millis(300), "the old one has the address", async || {
        old.metrics().await.sum("portti_sessions_active", &[]) >= 1.0
    })
    .await;

    old.signal(Signal::TERM);
    new.line("that it has the address", |line| line["message"] == "admin server listening").await;
    assert_eq!(admin::get(old.admin, "/readyz").await.status, 200);
    let status = admin::get(old.admin, "/api/v1/status").await.json();
    assert_eq!(status["state"], "running");
    eventually("nobody but the new one to listen", async || {
        old.line("that it drains", |line| line["message"] == "draining").await["message"] == "draining"
    })
    .await;
    for _ in 0..20 {
        Peer::connect(old.address).await.echo(b"hello").await;
    }
    player.echo(b"still here").await;
    assert!(old.is_running());
    player.end().await;
    player.expect_end().await;
    assert_eq!(old.ended().await.code(), Some(0));
    Peer::connect(old.address).await.echo(b"hello").await;

    // Which half of an id is whose, nobody else has to know.
    eventually("lines of both", async || [&old, &new].iter().all(|process| !process.access_log().is_empty())).await;
    let process = |process: &Process| {
        let ids: BTreeSet<_> =
            process.access_log().iter().map(|line| line["session"].as_str().unwrap()[..16].to_owned()).collect();
        assert_eq!(ids.len(), 1);
        ids
    };
    assert_ne!(process(&old), process(&new));
}

#[tokio::test]
async fn the_admin_address_of_a_process_that_was_killed_is_taken_over() {
    let backend = Backend::echo();
    let mut old = Process::with_listener(&pool(&[&backend], ""), "reuse_port = true").await;
    let new = old.beside();
    new.is_up().await;
    old.signal(Signal::KILL);
    old.ended().await;
    new.line("that it has the address", |line| line["message"] == "admin server listening").await;
    assert_eq!(admin::get(new.admin, "/startupz").await.status, 200);
}

#[tokio::test]
async fn an_admin_address_in_use_is_an_error_where_listeners_are_not_shared() {
    let backend = Backend::echo();
    let process = Process::with(&pool(&[&backend], "")).await;
    let listener = format!("[listeners.game]\nbind = \"{}\"\npool = \"game\"\n", own_address());
    let admin = format!("[admin]\nbind = \"{}\"\n", process.admin);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portti.toml");
    std::fs::write(&path, complete(&format!("{}{listener}{admin}", pool(&[&backend], "")))).unwrap();
    let output = run(&["run", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&process.admin.to_string()));
}
