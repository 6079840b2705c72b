//! The binary: exit codes, signals, and what it writes.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use crate::support::admin;
use crate::support::process::run;
use crate::support::proxy::{complete, pool, pool_of};
use crate::support::{Backend, Peer, Process, always_for, assert_took, eventually, free_address};

const LATE: Duration = Duration::from_millis(700);

/// Writes a config file, and hands its path to `use_it`.
fn with_file<T>(text: &str, use_it: impl FnOnce(&str) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portti.toml");
    std::fs::write(&path, text).unwrap();
    use_it(path.to_str().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn check_says_that_a_file_is_good() {
    // So few that the limit on open files is enough wherever this runs.
    let listener = "[listeners.game]\nbind = \"127.0.0.1:25565\"\npool = \"game\"\n[admin]\nbind = \"off\"\n\
                    [server]\nmax_connections = 100\n";
    let config = complete(&format!("{}{listener}", pool_of(&[free_address()], "")));
    let output = with_file(&config, |path| run(&["check", path]));
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("ok (listeners: 1, pools: 1, backends: 1)"), "{}", text(&output.stdout));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_bad_file_is_code_2_with_every_problem_and_its_place() {
    let bad = "[listeners.game]\nbind = \"0.0.0.0:25565\"\npool = \"gmae\"\n\n[pools.game]\nbackends = [\"10.0.0.1:1\"]\n\
               blance = \"round_robin\"\nconnect_timeout = \"5 parsecs\"\n";
    for arguments in [["check"].as_slice(), &["run", "--config"]] {
        let output = with_file(bad, |path| run(&[arguments, &[path]].concat()));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let problems = text(&output.stderr);
        for part in ["portti.toml:3:", "portti.toml:7:", "portti.toml:8:", "\"balance\"", "\"game\""] {
            assert!(problems.contains(part), "{part} is not in: {problems}");
        }
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn a_missing_file_and_a_bad_command_line_are_code_2() {
    for arguments in [["check", "/nowhere/portti.toml"].as_slice(), &["run", "-c", "/nowhere/portti.toml"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("/nowhere/portti.toml"), "{}", text(&output.stderr));
    }
    for arguments in [[].as_slice(), &["fly"], &["run", "--fly"]] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_code_0() {
    let version = run(&["--version"]);
    assert_eq!(
        (version.status.code(), text(&version.stdout)),
        (Some(0), format!("portti {}\n", env!("CARGO_PKG_VERSION")))
    );
    for arguments in [["--help"].as_slice(), &["run", "--help"], &["check", "--help"], &["demo", "--help"]] {
        let help = run(arguments);
        assert_eq!(help.status.code(), Some(0), "{arguments:?}");
        assert!(text(&help.stdout).contains("Usage: portti"), "{arguments:?}");
    }
}

#[test]
fn an_address_in_use_is_code_1() {
    let holder = std::net::TcpListener::bind(free_address()).unwrap();
    let taken = holder.local_addr().unwrap();
    let good = pool_of(&[free_address()], "");
    let listener = format!("[listeners.game]\nbind = \"{taken}\"\npool = \"game\"\n");
    for config in [format!("{good}{listener}"), format!("{good}[admin]\nbind = \"{taken}\"\n")] {
        let output = with_file(&complete(&config), |path| run(&["run", "--config", path]));
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(&taken.to_string()), "{}", text(&output.stderr));
    }
}

/// Ends by SIGTERM and by SIGINT alike; what lives may finish.
#[tokio::test]
async fn a_signal_drains_and_the_code_is_0() {
    let backend = Backend::echo();
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::with(&pool(&[&backend], "")).await;
        let mut client = Peer::connect(process.address).await;
        client.echo(b"before").await;
        process.signal(signal);
        eventually("a closed listener", async || Peer::is_refused(process.address).await).await;
        assert_eq!(admin::get(process.admin, "/readyz").await.status, 503);
        client.echo(b"after").await;
        assert!(process.is_running());
        client.end().await;
        client.expect_end().await;
        assert_eq!(process.ended().await.code(), Some(0));
        process.line("how the session ended", |line| line["reason"] == "client_closed").await;
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_a_cut_session_is_logged() {
    let backend = Backend::echo();
    let mut process = Process::with(&pool(&[&backend], "")).await;
    let mut client = Peer::connect(process.address).await;
    client.echo(b"hello").await;
    process.signal(Signal::TERM);
    process.line("that it drains", |line| line["message"] == "draining").await;
    let asked = Instant::now();
    process.signal(Signal::TERM);
    client.expect_end().await;
    assert_eq!(process.ended().await.code(), Some(0));
    assert_took(asked.elapsed(), Duration::ZERO, LATE);
    let line = process.line("how the session ended", |line| line["target"] == "access").await;
    assert_eq!(line["reason"], "drained");
    let summary = process.line("how many were cut", |line| line["cut"].is_number()).await;
    assert_eq!(summary["cut"], 1);
}

#[tokio::test]
async fn the_drain_deadline_cuts_and_counts() {
    let backend = Backend::echo();
    let mut process = Process::with(&format!("[server]\ndrain_timeout = \"500ms\"\n{}", pool(&[&backend], ""))).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Peer::connect(process.address).await;
        client.echo(b"hello").await;
        clients.push(client);
    }
    process.signal(Signal::TERM);
    for client in &mut clients {
        client.expect_end().await;
    }
    assert_eq!(process.ended().await.code(), Some(0));
    let summary = process.line("how many were cut", |line| line["cut"].is_number()).await;
    assert_eq!(summary["cut"], 20);
    eventually("their lines", async || process.access_log().len() == 20).await;
    assert!(process.access_log().iter().all(|line| line["reason"] == "drained"));
}

#[tokio::test]
async fn sighup_reloads() {
    let (old, new) = (Backend::echo(), Backend::echo());
    let mut process = Process::with(&pool(&[&old], "")).await;
    let mut lives = Peer::connect(process.address).await;
    lives.echo(b"before").await;
    process.write(&pool(&[&new], ""));
    process.signal(Signal::HUP);
    process.line("that it has reloaded", |line| line["message"] == "config reloaded").await;
    Peer::connect(process.address).await.echo(b"hello").await;
    assert_eq!((old.accepted(), new.accepted()), (1, 1));
    lives.echo(b"after").await;

    process.write("[pools.game]\nbackends = []\n");
    process.signal(Signal::HUP);
    process
        .line("why it has not", |line| line["message"].as_str().is_some_and(|text| text.contains("portti.toml:2:")))
        .await;
    Peer::connect(process.address).await.echo(b"hello").await;
    always_for(Duration::from_millis(200), "ended", async || process.is_running()).await;
    lives.echo(b"still here").await;
}

#[tokio::test]
async fn a_second_process_on_the_address_does_not_start() {
    let backend = Backend::echo();
    let process = Process::with(&pool(&[&backend], "")).await;
    let listener = format!("[listeners.game]\nbind = \"{}\"\npool = \"game\"\n", process.address);
    let config = complete(&format!("{}{listener}", pool(&[&backend], "")));
    let output = with_file(&config, |path| run(&["run", "--config", path]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&process.address.to_string()));
    for _ in 0..20 {
        Peer::connect(process.address).await.echo(b"hello").await;
    }
}

/// The address that a client has here.
fn own_side(client: &Peer) -> SocketAddr {
    client.0.local_addr().unwrap()
}

#[tokio::test]
async fn every_session_leaves_one_line_with_every_field() {
    let (backend, dead) = (Backend::echo(), free_address());
    let keys = "balance = \"round_robin\"\nidle_timeout = \"500ms\"";
    let process = Process::with(&pool_of(&[dead, backend.address], keys)).await;
    let mut client = Peer::connect(process.address).await;
    client.echo(b"12345").await;
    let address = own_side(&client).to_string();
    drop(client);
    let line = process.line("how it ended", |line| line["client"] == *address).await;
    assert_eq!(line["target"], "access");
    let words = [("listener", "game"), ("pool", "game"), ("reason", "client_closed")];
    for (field, word) in words.into_iter().chain([("backend", &*backend.address.to_string())]) {
        assert_eq!(line[field], word, "{line}");
    }
    assert_eq!((&line["attempts"], &line["bytes_up"], &line["bytes_down"]), (&2.into(), &5.into(), &5.into()));
    for field in ["connect_ms", "first_byte_ms", "duration_ms", "rtt_us", "retransmits"] {
        assert!(line[field].is_number(), "{field} in {line}");
    }
    assert!(line["duration_ms"].as_f64() >= line["first_byte_ms"].as_f64());
    assert_eq!(line["session"].as_str().map(str::len), Some(32));

    let mut idle = Peer::connect(process.address).await;
    let address = own_side(&idle).to_string();
    idle.expect_end().await;
    let line = process.line("how it ended", |line| line["client"] == *address).await;
    assert_eq!((&line["reason"], &line["bytes_up"]), (&"idle_timeout".into(), &0.into()));
    assert_eq!(line["first_byte_ms"], Value::Null);
    assert_eq!(process.access_log().len(), 2);
}

#[tokio::test]
async fn the_access_log_can_be_off_and_text_is_for_people() {
    let backend = Backend::echo();
    let mut process = Process::with(&format!("{}[log]\naccess = false\n", pool(&[&backend], ""))).await;
    Peer::connect(process.address).await.echo(b"hello").await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(0));
    assert_eq!(process.access_log().len(), 0);
}

#[test]
fn the_example_is_good() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    assert_eq!(run(&["check", example.to_str().unwrap()]).status.code(), Some(0));
}
