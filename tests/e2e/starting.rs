//! What comes while the process starts.

use std::io::Write as _;

use rustix::process::Signal;
use tokio::net::UdpSocket;

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Process, admin, eventually};

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
