//! Certificates are chosen by host, and follow their files.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::{HOST, deep, folder, identity, listener, proxy, replace, secure, shown, since};
use crate::support::proxy::pool;
use crate::support::tls::{AUTHORITY, client, connect};
use crate::support::{Backend, Proxy, assert_took, eventually};

#[tokio::test]
async fn each_host_has_its_own_and_the_first_is_for_the_others() {
    let backend = Backend::echo();
    let folder = tempfile::tempdir().unwrap();
    let hosts = ["one.example.com", "two.example.com", "*.example.org"];
    for (name, host) in ["game", "two", "org"].into_iter().zip(hosts) {
        AUTHORITY.issue(&[host]).write(folder.path(), name);
    }
    let config = "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n[listeners.game.tls]\ncertificates = [\n\
        { cert = \"game.pem\", key = \"game.key\" }, { cert = \"two.pem\", key = \"two.key\" }, { cert = \"org.pem\", key = \"org.key\" }]\n";
    let proxy = Proxy::in_folder(folder, &(config.to_owned() + &pool(&[&backend], ""))).unwrap();
    for host in ["one.example.com", "two.example.com", "eu.example.org"] {
        connect(proxy.address(), host, &client(&[])).await.unwrap().echo(b"hello").await;
    }
    let error = connect(proxy.address(), "three.example.com", &client(&[])).await.unwrap_err();
    assert!(error.to_string().contains("one.example.com"), "it is shown the first: {error}");
    let ends =
        proxy.metrics().await.sum("portti_certificate_not_after_seconds", &[("listener", "game"), ("cert", "two.pem")]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!(ends > now.as_secs_f64(), "{ends}");
}

#[tokio::test]
async fn new_files_are_taken_and_bad_ones_are_not() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "", "");
    let mut playing = secure(&proxy).await;
    let first = shown(&proxy, HOST).await;
    assert_eq!(shown(&proxy, HOST).await, first);

    let second = identity();
    replace(&proxy, "game.pem", &second.certificate);
    // The key is still the old one's.
    proxy.reload().await.unwrap();
    assert_eq!(shown(&proxy, HOST).await, first);
    let said = deep(&proxy, "certificate:game:game.pem").await;
    assert!(said.contains("degraded: game.key: the key is not that of the first certificate in game.pem"), "{said}");
    replace(&proxy, "game.key", &second.key);
    // Without being told, and sooner than the regular look.
    let asked = Instant::now();
    eventually_shown(&proxy, &second.chain()[0]).await;
    assert_took(since(asked), Duration::ZERO, Duration::from_secs(2));
    assert_eq!(deep(&proxy, "certificate").await, "");

    for rubbish in ["", "-----BEGIN CERTIFICATE-----\n", "\0\0\0"] {
        replace(&proxy, "game.pem", rubbish);
        proxy.reload().await.unwrap();
        assert_eq!(shown(&proxy, HOST).await, second.chain()[0].to_vec());
        assert!(deep(&proxy, "certificate:game:game.pem").await.contains("game.pem: "));
    }
    // Other edits are not held up by that.
    proxy.reload_with(&(listener("dry_run = true", "") + &pool(&[&backend], ""))).await;
    assert_eq!(shown(&proxy, HOST).await, second.chain()[0].to_vec());
    std::fs::remove_file(proxy.folder().join("game.pem")).unwrap();
    proxy.reload().await.unwrap();
    assert!(deep(&proxy, "certificate:game:game.pem").await.contains("cannot be read"));
    // Whoever reads a pipe without a writer waits for ever.
    assert!(Command::new("mkfifo").arg(proxy.folder().join("game.pem")).status().unwrap().success());
    proxy.reload().await.unwrap();
    assert!(deep(&proxy, "certificate:game:game.pem").await.contains("not a regular file"));
    playing.echo(b"still here").await;

    // What is named for the first time must be good.
    let other = listener("", "").replace("game.pem", "other.pem") + &pool(&[&backend], "");
    proxy.write(&other);
    let problem = proxy.reload().await.unwrap_err();
    assert!(problem.contains("error: listeners.game.tls.certificates[0]: other.pem: cannot be read"), "{problem}");
    assert_eq!(shown(&proxy, HOST).await, second.chain()[0].to_vec());
    // It is tried again when the file is there.
    let third = identity();
    replace(&proxy, "game.key", &third.key);
    replace(&proxy, "other.pem", &third.certificate);
    eventually_shown(&proxy, &third.chain()[0]).await;
}

/// Waits until the certificate is shown; fails if a client is refused meanwhile.
async fn eventually_shown(proxy: &Proxy, expected: &[u8]) {
    eventually("the new certificate", async || shown(proxy, HOST).await == expected).await;
}

#[tokio::test]
async fn a_process_does_not_start_with_a_bad_pair() {
    let folder = folder();
    std::fs::write(folder.path().join("game.key"), identity().key).unwrap();
    let path = folder.path().join("portti.toml");
    std::fs::write(&path, listener("", "") + "[pools.game]\nbackends = [\"127.0.0.1:1\"]\n").unwrap();
    let content = portti::config::read(&path).unwrap();
    let problem = portti::config::check(&path, &content).unwrap_err().to_string();
    let expected =
        "error: listeners.game.tls.certificates[0]: game.key: the key is not that of the first certificate in game.pem";
    assert_eq!(problem, expected);
}

#[tokio::test]
async fn one_that_ends_soon_shows_in_the_deep_health() {
    let backend = Backend::echo();
    let folder = tempfile::tempdir().unwrap();
    let ended = AUTHORITY.issue_with(&[HOST], |params| params.not_after = rcgen::date_time_ymd(2021, 2, 3));
    ended.write(folder.path(), "game");
    let proxy = Proxy::in_folder(folder, &(listener("", "") + &pool(&[&backend], ""))).unwrap();
    assert_eq!(deep(&proxy, "certificate:game:game.pem").await, "degraded: ended on 2021-02-03");
    assert!(connect(proxy.address(), HOST, &client(&[])).await.is_err());
}

#[tokio::test]
async fn a_swap_under_load_fails_no_handshake() {
    let backend = Backend::echo();
    let proxy = Arc::new(proxy(&backend, "", ""));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (address, stop, done) = (proxy.address(), Arc::clone(&stop), Arc::clone(&done));
        clients.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let mut client = connect(address, HOST, &client(&[])).await.expect("a handshake");
                client.echo(b"hello").await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in 0..20 {
        let next = identity();
        replace(&proxy, "game.pem", &next.certificate);
        replace(&proxy, "game.key", &next.key);
        proxy.reload().await.unwrap();
        assert_eq!(shown(&proxy, HOST).await, next.chain()[0].to_vec());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    clients.join_all().await;
    assert!(done.load(Ordering::Relaxed) > 50);
    assert_eq!(proxy.metric("portti_sessions_total", &[("reason", "tls_failed")]).await, 0.0);
}
