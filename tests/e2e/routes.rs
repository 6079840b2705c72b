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

/// Which of these greetings each of 60 clients gets.
async fn homes(proxy: &Proxy) -> Vec<String> {
    let mut homes = Vec::new();
    for last in 1..=60 {
        homes.push(greeting(proxy, last).await);
    }
    homes
}

#[tokio::test]
async fn two_proxies_with_maglev_agree_whatever_the_order_of_their_files() {
    let backends = ["one", "two", "three", "four"].map(saying);
    let listed = |order: &[usize]| {
        let list: Vec<_> = order.iter().map(|&place| format!("\"{}\"", backends[place].address)).collect();
        format!("[pools.game]\nbalance = \"maglev\"\nbackends = [{}]\n", list.join(", "))
    };
    let (first, second) = (Proxy::with(&listed(&[0, 1, 2, 3])), Proxy::with(&listed(&[2, 0, 3, 1])));
    let before = homes(&first).await;
    assert_eq!(before, homes(&second).await);
    for word in ["one", "two", "three", "four"] {
        let clients = before.iter().filter(|home| *home == word).count();
        assert!((5..=25).contains(&clients), "{word} has {clients} of 60");
    }

    first.reload_with(&listed(&[3, 1, 0])).await;
    let after = homes(&first).await;
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    let of_the_third = before.iter().filter(|home| *home == "three").count();
    assert!((of_the_third..=30).contains(&moved), "{moved} moved, {of_the_third} had to");
}

#[tokio::test]
async fn when_all_are_down_each_setting_does_what_it_says() {
    // What the pool says, and what a client gets that comes while both backends refuse: greeted by the spare one (or by a
    // backend that is up again), or ended for a reason.
    let cases: [(&str, Result<&str, &str>); 5] = [
        ("breaker = { max_ejected = \"100%\" }", Err("no_backend")),
        ("last_resort = true\nbreaker = { max_ejected = \"100%\" }", Err("connect_failed")),
        ("fallback = \"spare\"", Ok("spare")),
        ("queue = { timeout = \"300ms\" }\nbreaker = { max_ejected = \"100%\" }", Err("queue_timeout")),
        ("", Err("connect_failed")),
    ];
    let spare = saying("spare");
    for (setting, expected) in cases {
        let (one, two) = (saying("back"), saying("back"));
        let health = "[pools.game.health]\ntype = \"tcp\"\ninterval = \"100ms\"\nfall = 1\nrise = 1";
        let proxy = Proxy::with(&format!(
            "[pools.game]\nbackends = [\"{}\", \"{}\"]\nretries = 1\nretry_backoff = \"1ms\"\n{setting}\n{health}\n{}",
            one.address,
            two.address,
            pool("spare", spare.address, "")
        ));
        let both = async |health: &str| {
            for backend in [&one, &two] {
                let what = format!("{setting}: both {health}");
                eventually(&what, async || proxy.backend(backend.address).await["health"] == health).await;
            }
        };
        both("up").await;
        one.close().await;
        two.close().await;
        both("down").await;
        match expected {
            Ok(text) => assert_eq!(greeting(&proxy, 1).await, text, "{setting}"),
            Err(reason) => {
                assert_eq!(greeting(&proxy, 1).await, "", "{setting}");
                proxy.expect_ended(reason, 1).await;
            }
        }
        one.open_again();
        two.open_again();
        both("up").await;
        eventually("players are served again", async || greeting(&proxy, 1).await == "back").await;
    }
}
