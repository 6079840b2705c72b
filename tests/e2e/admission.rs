//! Who is let in, seen from outside.

use tokio::net::TcpStream;

use crate::support::proxy::pool;
use crate::support::{Backend, Proxy, eventually};

/// Listener `game` with these keys, before one backend; further sections.
fn config(backend: &Backend, listener: &str, sections: &str) -> String {
    format!(
        "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{listener}\n{sections}\n{}",
        pool(&[backend], "")
    )
}

/// A connection from 127.0.0.`last`.
async fn from(proxy: &Proxy, last: u8) -> TcpStream {
    proxy.connect_from([127, 0, 0, last]).await.0
}

/// Whether a session is served: the backend greets.
async fn is_served(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    matches!(tokio::io::AsyncReadExt::read(stream, &mut byte).await, Ok(1))
}

async fn comes_in(proxy: &Proxy, last: u8) -> bool {
    is_served(&mut from(proxy, last).await).await
}

/// A backend that greets and stays.
fn greeting() -> Backend {
    Backend::serving(|mut stream| async move {
        let _gone = tokio::io::AsyncWriteExt::write_all(&mut stream, b"!").await;
        let _end = tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await;
    })
}

#[tokio::test]
async fn lists_and_maintenance_follow_the_file_and_cut_nobody() {
    let backend = greeting();
    let proxy = Proxy::with(&config(&backend, "deny = [\"127.0.0.2\"]", ""));
    let mut lives = from(&proxy, 1).await;
    assert!(is_served(&mut lives).await);
    assert!(!comes_in(&proxy, 2).await && comes_in(&proxy, 3).await);

    proxy.reload_with(&config(&backend, "allow = [\"127.0.0.2\"]", "")).await;
    assert!(comes_in(&proxy, 2).await && !comes_in(&proxy, 3).await);

    proxy.reload_with(&config(&backend, "maintenance = true\nstaff = [\"127.0.0.3\"]", "")).await;
    assert!(comes_in(&proxy, 3).await && !comes_in(&proxy, 1).await);
    proxy.expect_ended("denied", 3).await;
    assert!(matches!(lives.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));

    let dry = "maintenance = true\ndeny = [\"127.0.0.9\"]\ndry_run = true";
    proxy.reload_with(&config(&backend, dry, "")).await;
    assert!(comes_in(&proxy, 9).await);
    assert_eq!(proxy.metric("portti_dry_run_refusals_total", &[("reason", "denied")]).await, 2.0);
    proxy.expect_ended("denied", 3).await;
}

#[tokio::test]
async fn an_address_has_so_many_sessions_and_so_many_at_a_time() {
    let backend = greeting();
    let proxy = Proxy::with(&config(&backend, "max_connections_per_ip = 2\ntrusted = [\"127.0.0.7\"]", ""));
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = from(&proxy, 1).await;
        assert!(is_served(&mut stream).await);
        held.push(stream);
    }
    assert!(!comes_in(&proxy, 1).await && comes_in(&proxy, 2).await);
    proxy.expect_ended("per_ip_limit", 1).await;
    for _ in 0..5 {
        let mut stream = from(&proxy, 7).await;
        assert!(is_served(&mut stream).await, "limits do not concern it");
        held.push(stream);
    }
    drop(held);
    proxy.expect_empty().await;
    assert!(comes_in(&proxy, 1).await);

    proxy.reload_with(&config(&backend, "rate_per_ip = \"1/h\"\nburst_per_ip = 3", "")).await;
    let mut through = 0;
    for _ in 0..10 {
        through += u32::from(comes_in(&proxy, 1).await);
    }
    assert_eq!(through, 3);
    proxy.expect_ended("rate_limited", 7).await;
    assert!(comes_in(&proxy, 2).await);
}

#[tokio::test]
async fn who_is_refused_too_often_is_left_out_for_a_while() {
    let backend = greeting();
    let keys = "rate_per_ip = \"1/h\"\nburst_per_ip = 1\nban = { after = 3, for = \"1s\" }";
    let proxy = Proxy::with(&config(&backend, keys, ""));
    assert!(comes_in(&proxy, 1).await);
    for _ in 0..5 {
        assert!(!comes_in(&proxy, 1).await);
    }
    proxy.expect_ended("rate_limited", 3).await;
    proxy.expect_ended("denied", 2).await;
    assert!(comes_in(&proxy, 2).await);
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("portti_bans_total", &[("listener", "game")]), 1.0);
    assert_eq!(metrics.sum("portti_banned_addresses", &[("listener", "game")]), 1.0);
    eventually("the ban is over", async || proxy.metric("portti_banned_addresses", &[]).await == 0.0).await;
    assert!(!comes_in(&proxy, 1).await, "its rate is not");
    proxy.expect_ended("rate_limited", 4).await;
}

#[tokio::test]
async fn a_list_in_a_file_is_followed_and_a_bad_one_changes_nothing() {
    let backend = greeting();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("deny.txt");
    std::fs::write(&list, "# nobody yet\n").unwrap();
    let keys = format!("deny_file = {:?}", list.to_str().unwrap());
    let proxy = Proxy::with(&config(&backend, &keys, ""));
    assert!(comes_in(&proxy, 2).await);

    std::fs::write(&list, "127.0.0.2\n127.0.0.64/27 # all of them\n").unwrap();
    eventually("the list is followed by itself", async || !comes_in(&proxy, 2).await).await;
    assert!(!comes_in(&proxy, 95).await && comes_in(&proxy, 96).await);

    std::fs::write(&list, "127.0.0.3\nnobody\n").unwrap();
    let problem = proxy.reload().await.unwrap_err();
    assert!(problem.contains("listeners.game.deny_file") && problem.ends_with(": line 2"), "{problem}");
    assert!(!comes_in(&proxy, 2).await && comes_in(&proxy, 3).await, "what ran before goes on");
    std::fs::remove_file(&list).unwrap();
    assert!(proxy.reload().await.unwrap_err().contains("cannot be read"));

    std::fs::write(&list, "127.0.0.3").unwrap();
    proxy.reload().await.unwrap();
    assert!(comes_in(&proxy, 2).await && !comes_in(&proxy, 3).await);
}

#[tokio::test]
async fn a_trusted_client_is_not_left_out_for_what_strangers_of_its_network_did() {
    let backend = greeting();
    let keys = "rate_per_ip = \"1/h\"\nburst_per_ip = 1\nip_prefix_v4 = 24\ntrusted = [\"127.0.0.7\"]\nban = { after = 3, for = \"1h\" }";
    let proxy = Proxy::with(&config(&backend, keys, ""));
    for last in 1..7 {
        comes_in(&proxy, last).await;
    }
    assert_eq!(proxy.metric("portti_banned_addresses", &[("listener", "game")]).await, 1.0);
    assert!(!comes_in(&proxy, 8).await && comes_in(&proxy, 7).await);
}
