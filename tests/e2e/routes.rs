//! Other pools: fallbacks and rollouts.

use std::net::{IpAddr, SocketAddr};

use crate::support::{Backend, Peer, Proxy, eventually, free_address};

fn pool(name: &str, address: SocketAddr, keys: &str) -> String {
    format!("[pools.{name}]\nbackends = [\"{address}\"]\nretries = 0\n{keys}\n")
}

#[tokio::test]
async fn another_pool_stands_in_for_one_that_has_none_left() {
    let spare = Backend::greeting(b"spare");
    let config = pool("game", free_address(), "fallback = \"middle\"\n[pools.game.breaker]\nfailures = 1")
        + &pool("middle", free_address(), "fallback = \"last\"\n[pools.middle.breaker]\nfailures = 1")
        + &pool("last", spare.address, "");
    let proxy = Proxy::with(&config);
    for _ in 0..2 {
        // Each of them finds one that refuses, and opens its circuit.
        proxy.connect().await.expect_end().await;
    }
    proxy.connect().await.expect(b"spare").await;
    let labels = [("pool", "last")];
    assert_eq!(proxy.metric("portti_backend_sessions_total", &labels).await, 1.0);
}

#[tokio::test]
async fn a_session_that_is_refused_goes_on_to_the_pool_that_stands_in() {
    let spare = Backend::greeting(b"spare");
    let config = format!(
        "[pools.game]\nbackends = [\"{}\"]\nfallback = \"spare\"\nretry_backoff = \"1ms\"\n{}",
        free_address(),
        pool("spare", spare.address, "")
    );
    let proxy = Proxy::with(&config);
    proxy.connect().await.expect(b"spare").await;
}

fn rollout(blue: &Backend, green: SocketAddr, keys: &str) -> String {
    format!(
        "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n[listeners.game.rollout]\npool = \"green\"\n{keys}\n{}{}",
        pool("game", blue.address, ""),
        pool("green", green, "[pools.green.breaker]\nfailures = 1")
    )
}

/// What the client at 127.0.0.`last` is greeted with.
async fn greeting(proxy: &Proxy, last: u8) -> String {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from([127, 0, 0, last]), 0)).unwrap();
    let mut stream = socket.connect(proxy.address()).await.unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text).await.unwrap();
    text
}

async fn greens(proxy: &Proxy) -> Vec<u8> {
    let mut greens = Vec::new();
    for last in 1..=100 {
        match &*greeting(proxy, last).await {
            "green" => greens.push(last),
            other => assert_eq!(other, "blue"),
        }
    }
    greens
}

fn saying(text: &'static str) -> Backend {
    Backend::serving(move |mut stream| async move {
        let _gone = tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await;
    })
}

#[tokio::test]
async fn a_share_of_the_clients_goes_to_another_pool_and_always_the_same_ones() {
    let (blue, green) = (saying("blue"), saying("green"));
    let proxy = Proxy::with(&rollout(&blue, green.address, "percent = 30"));
    let some = greens(&proxy).await;
    assert!((15..=45).contains(&some.len()), "{} of 100", some.len());
    assert_eq!(greens(&proxy).await, some, "again");
    let again = Proxy::with(&rollout(&blue, green.address, "percent = 30"));
    assert_eq!(greens(&again).await, some, "another proxy with the same file");

    proxy.reload_with(&rollout(&blue, green.address, "percent = 60.5")).await;
    let more = greens(&proxy).await;
    assert!(more.len() > some.len() && some.iter().all(|last| more.contains(last)), "{some:?} {more:?}");
    proxy.reload_with(&rollout(&blue, green.address, "percent = 100")).await;
    assert_eq!(greens(&proxy).await.len(), 100);
    proxy
        .reload_with(&rollout(&blue, green.address, "percent = 0\nclients = [\"127.0.0.64/27\", \"127.0.0.1\"]"))
        .await;
    assert_eq!(greens(&proxy).await, [1].into_iter().chain(64..=95).collect::<Vec<u8>>());
}

#[tokio::test]
async fn clients_of_a_pool_that_has_nobody_left_go_to_the_main_one() {
    let (blue, green) = (saying("blue"), saying("green"));
    let proxy = Proxy::with(&rollout(&blue, green.address, "percent = 100"));
    assert_eq!(greeting(&proxy, 1).await, "green");
    green.close().await;
    // The first one finds out.
    Peer::connect(proxy.address()).await.expect_end().await;
    eventually("an open circuit", async || proxy.backend(green.address).await["circuit"] == "open").await;
    assert_eq!(greeting(&proxy, 1).await, "blue");
}
