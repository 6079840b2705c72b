//! Listeners that come, go and move, and addresses that cannot be had.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt as _;

use super::listener;
use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, eventually, free_address, soon};

/// Waits until nobody listens there. What the kernel had accepted before it was closed is served.
async fn expect_closed(address: SocketAddr) {
    eventually("a closed listener", async || Peer::is_refused(address).await).await;
}

#[tokio::test]
async fn a_listener_moves_to_another_port_and_its_sessions_go_on() {
    let backend = Backend::echo();
    let (old, new) = (free_address(), free_address());
    let config = |address| format!("{}{}", pool(&[&backend], ""), listener("game", address));
    let proxy = Proxy::with(&config(old));
    let mut lives = Peer::connect(old).await;
    lives.echo(b"before").await;
    proxy.reload_with(&config(new)).await;
    Peer::connect(new).await.echo(b"here").await;
    expect_closed(old).await;
    lives.echo(b"after").await;
    eventually("the old session alone", async || proxy.status().await["sessions_active"] == 1).await;
    assert_eq!(proxy.status().await["listeners"][0]["bind"], new.to_string());
    drop(lives);
    proxy.expect_empty().await;
}

/// What the kernel has accepted is a session already, as far as the client can tell.
#[tokio::test]
async fn clients_that_came_before_their_listener_moved_are_served() {
    let backend = Backend::echo();
    let config = |address| format!("{}{}", pool(&[&backend], ""), listener("game", address));
    let mut address = free_address();
    let proxy = Proxy::with(&config(address));
    for _ in 0..20 {
        let mut clients = Vec::new();
        for _ in 0..30 {
            clients.push(Peer::connect(address).await);
        }
        address = free_address();
        proxy.reload_with(&config(address)).await;
        for client in &mut clients {
            client.echo(b"hello").await;
        }
    }
}

#[tokio::test]
async fn two_listeners_swap_their_ports() {
    let (one, other) = (Backend::greeting(b"one"), Backend::greeting(b"two"));
    let (first, second) = (free_address(), free_address());
    let config = |game: SocketAddr, lobby: SocketAddr| {
        format!(
            "{}[pools.lobby]\nbackends = [\"{}\"]\n{}[listeners.lobby]\nbind = \"{lobby}\"\npool = \"lobby\"\n",
            pool(&[&one], ""),
            other.address,
            listener("game", game)
        )
    };
    let proxy = Proxy::with(&config(first, second));
    let (mut in_game, mut in_lobby) = (Peer::connect(first).await, Peer::connect(second).await);
    in_game.expect(b"one").await;
    in_lobby.expect(b"two").await;
    proxy.reload_with(&config(second, first)).await;
    // The old sockets close a moment later, each on its worker; a client in that moment may come too late.
    let leads = async |address: SocketAddr, greeting: &[u8]| {
        let mut got = [0; 3];
        let Ok(mut client) = Peer::try_connect(address).await else { return false };
        soon("a greeting", client.read_exact(&mut got)).await.is_ok() && got == *greeting
    };
    eventually("swapped ports", async || {
        // One worker may still have the old ones: the kernel spreads clients over both.
        for _ in 0..30 {
            if !(leads(first, b"two").await && leads(second, b"one").await) {
                return false;
            }
        }
        true
    })
    .await;
    in_game.echo(b"still here").await;
    in_lobby.echo(b"me too").await;
}

#[tokio::test]
async fn a_removed_listener_closes_its_socket_and_its_sessions_go_on() {
    let backend = Backend::echo();
    let (game, lobby) = (free_address(), free_address());
    let both = format!("{}{}{}", pool(&[&backend], ""), listener("game", game), listener("lobby", lobby));
    let proxy = Proxy::with(&both);
    let mut lives = Peer::connect(lobby).await;
    lives.echo(b"before").await;
    proxy.reload_with(&format!("{}{}", pool(&[&backend], ""), listener("game", game))).await;
    expect_closed(lobby).await;
    lives.echo(b"after").await;
    Peer::connect(game).await.echo(b"hello").await;
    eventually("one session left", async || proxy.status().await["sessions_active"] == 1).await;
    assert!(!proxy.metrics().await.values_of("listener").contains(&"lobby"), "its series are still there");

    proxy.reload_with(&both).await;
    Peer::connect(lobby).await.echo(b"back").await;
    lives.echo(b"still here").await;
}

/// The old sockets are closed by their workers, in their own time; whoever adds the listener again need not know that.
#[tokio::test]
async fn a_listener_that_was_removed_can_be_had_again_at_once() {
    let backend = Backend::echo();
    let (game, lobby) = (free_address(), free_address());
    let without = format!("{}{}", pool(&[&backend], ""), listener("game", game));
    let with = format!("{without}{}", listener("lobby", lobby));
    let proxy = Proxy::with(&with);
    for _ in 0..6 {
        // Clients keep the workers busy, until the test ends; those who come too late are none of its business.
        tokio::spawn(async move {
            loop {
                if let Ok(stream) = Peer::try_connect(lobby).await {
                    let _cut = Peer(stream).try_echo(b"hello").await;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for _ in 0..150 {
        proxy.reload_with(&without).await;
        proxy.reload_with(&with).await;
    }
    Peer::connect(lobby).await.echo(b"hello").await;
}

#[tokio::test]
async fn a_new_listener_accepts_and_the_others_are_not_touched() {
    let backend = Backend::echo();
    let (game, lobby) = (free_address(), free_address());
    let config = format!("{}{}", pool(&[&backend], ""), listener("game", game));
    let proxy = Proxy::with(&config);
    let mut lives = Peer::connect(game).await;
    lives.echo(b"before").await;
    proxy.reload_with(&format!("{config}{}", listener("lobby", lobby))).await;
    Peer::connect(lobby).await.echo(b"hello").await;
    Peer::connect(game).await.echo(b"hello").await;
    lives.echo(b"after").await;
}

#[tokio::test]
async fn an_address_in_use_keeps_everything_as_it_was() {
    let (backend, other) = (Backend::echo(), Backend::echo());
    let (game, lobby) = (free_address(), free_address());
    let holder = std::net::TcpListener::bind(free_address()).unwrap();
    let taken = holder.local_addr().unwrap();
    let proxy = Proxy::with(&format!("{}{}", pool(&[&backend], ""), listener("game", game)));
    // One listener that could be had, one that cannot, and another backend: all or nothing.
    let wanted = format!(
        "{}{}{}{}",
        pool(&[&other], ""),
        listener("game", game),
        listener("another", lobby),
        listener("blocked", taken)
    );
    proxy.write(&wanted);
    let problem = proxy.reload().await.unwrap_err();
    for part in ["blocked", &taken.to_string()] {
        assert!(problem.contains(part), "{part} is not in: {problem}");
    }
    Peer::connect(game).await.echo(b"hello").await;
    assert_eq!((backend.accepted(), other.accepted()), (1, 0));
    expect_closed(lobby).await;
    let status = proxy.status().await;
    assert_eq!(status["listeners"].as_array().unwrap().len(), 1);
    assert_eq!(status["config"]["last_reload"]["error"].as_str(), Some(&*problem));

    drop(holder);
    proxy.reload().await.unwrap();
    for address in [game, lobby, taken] {
        Peer::connect(address).await.echo(b"hello").await;
    }
    assert_eq!((backend.accepted(), other.accepted()), (1, 3));
}

#[tokio::test]
async fn a_second_proxy_on_the_address_is_an_error_unless_both_allow_it() {
    let backend = Backend::echo();
    let address = free_address();
    let alone = format!("{}{}", pool(&[&backend], ""), listener("game", address));
    let shared = format!("{alone}reuse_port = true\n");
    let first = Proxy::with(&alone);
    let Err(error) = Proxy::try_with(&alone) else { panic!("a second one started") };
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    // The first was there alone from the start: the second must not take a share of its players.
    first.connect().await.echo(b"hello").await;
    drop(first);

    let first = Proxy::with(&shared);
    let second = Proxy::with(&shared);
    for _ in 0..40 {
        Peer::connect(address).await.echo(b"hello").await;
    }
    eventually("a share for both", async || {
        let (one, other) = (
            first.status().await["listeners"][0]["sessions_total"].as_u64(),
            second.status().await["listeners"][0]["sessions_total"].as_u64(),
        );
        one > Some(0) && other > Some(0) && one.unwrap() + other.unwrap() == 40
    })
    .await;
}
