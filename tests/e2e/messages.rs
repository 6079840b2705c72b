//! What those hear who may not stay.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::proxy::{pool, pool_of};
use crate::support::{Backend, Peer, Proxy, assert_took, eventually, free_address, soon};

const LATE: Duration = Duration::from_millis(700);

/// Listener `game` with these keys, which speaks `protocol`, and what is behind it.
fn config(protocol: &str, listener: &str, words: &str, rest: &str) -> String {
    format!(
        "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{listener}\n\
         [listeners.game.messages]\nprotocol = \"{protocol}\"\n{words}\n{rest}"
    )
}

/// All that a client hears until the end, which must be in order.
async fn heard(client: &mut Peer) -> String {
    let mut heard = Vec::new();
    soon("the end", client.0.read_to_end(&mut heard)).await.expect("no reset");
    String::from_utf8(heard).unwrap()
}

/// The same for a new client that sends something at once, which nobody reads.
async fn told(proxy: &Proxy) -> String {
    let mut client = proxy.connect().await;
    let _closed_already = client.0.write_all(b"hello, let me in").await;
    heard(&mut client).await
}

#[tokio::test]
async fn each_reason_has_its_words_or_the_default() {
    let backend = Backend::echo();
    let alive = pool(&[&backend], "");
    let words = "default = \"Again in {retry_after} s.\\n\"\nretry_after = \"90s\"\nmaintenance = \"At work.\\n\"\nshed = \"Full.\\n\"";
    let with = |listener: &str, rest: &str| config("text", listener, words, rest);
    let nobody_new = "[server.levels]\ndegraded = \"0%\"\ncritical = \"0%\"\noverloaded = \"0%\"\n";
    let one_at_a_time = format!("{}\n[server]\nmax_connections = 1\nlevels = {{ overloaded = \"100%\" }}\n", alive);
    let queue = |keys: &str| {
        let address = backend.address;
        format!(
            "[pools.game]\nbackends = [{{ address = \"{address}\", max_connections = 1 }}]\n[pools.game.queue]\n{keys}\n"
        )
    };
    let again = "Again in 90 s.\n";
    let proxy = Proxy::with(&with("deny = [\"127.0.0.0/8\"]", &alive));
    assert_eq!(told(&proxy).await, again);
    proxy.expect_ended("denied", 1).await;

    // Configs under which a client is refused, which first lets another one in or not, and what it is told.
    let cases = [
        (with("maintenance = true", &alive), false, "At work.\n", "denied"),
        (with("rate_per_ip = \"1/h\"\nburst_per_ip = 1", &alive), true, again, "rate_limited"),
        (with("max_connections_per_ip = 1", &alive), true, again, "per_ip_limit"),
        (with("", &(alive.clone() + nobody_new)), true, "Full.\n", "shed"),
        (with("", &one_at_a_time), true, again, "at_capacity"),
        (with("accept_rate = \"1/h\"\naccept_burst = 1\nmax_waiting = 0", &alive), true, again, "queue_full"),
        (
            with("accept_rate = \"1/h\"\naccept_burst = 1\nwait_timeout = \"100ms\"", &alive),
            true,
            again,
            "queue_timeout",
        ),
        (with("", &queue("timeout = \"100ms\"")), true, again, "queue_timeout"),
        (
            with("", &pool_of(&[free_address()], "retries = 0\n[pools.game.breaker]\nfailures = 1")),
            false,
            again,
            "connect_failed",
        ),
    ];
    for (config, one_is_in, expected, reason) in cases {
        let proxy = Proxy::with(&config);
        let mut first = proxy.connect().await;
        if one_is_in {
            first.echo(b"in").await;
        } else {
            assert_eq!(heard(&mut first).await, expected);
        }
        assert_eq!(told(&proxy).await, expected, "{reason}");
        eventually(reason, async || proxy.metric("portti_sessions_total", &[("reason", reason)]).await >= 1.0).await;
        if reason == "connect_failed" {
            proxy.expect_ended("no_backend", 1).await;
        }
    }
}

#[tokio::test]
async fn words_follow_the_file_and_without_any_nothing_is_said() {
    let backend = Backend::echo();
    let closed = |protocol, words| config(protocol, "deny = [\"127.0.0.0/8\"]", words, &pool(&[&backend], ""));
    let proxy = Proxy::with(&closed("text", "denied = \"No.\\n\""));
    assert_eq!(told(&proxy).await, "No.\n");
    proxy.reload_with(&closed("text", "denied = \"Never.\\n\"")).await;
    assert_eq!(told(&proxy).await, "Never.\n");
    proxy.reload_with(&closed("text", "shed = \"Full.\\n\"")).await;
    assert_eq!(heard(&mut proxy.connect().await).await, "");
    proxy.reload_with(&closed("none", "default = \"No.\\n\"")).await;
    assert_eq!(heard(&mut proxy.connect().await).await, "");
    proxy.expect_ended("denied", 4).await;
}

#[tokio::test]
async fn a_flood_of_those_who_do_not_listen_leaves_the_others_alone() {
    const FLOOD: usize = 700;
    let backend = Backend::echo();
    let listener = "deny = [\"127.0.0.200\"]";
    let proxy = Proxy::with(&config("text", listener, "denied = \"No.\\n\"", &pool(&[&backend], "")));
    let mut player = proxy.connect().await;
    let mut deaf = Vec::new();
    let begun = Instant::now();
    for _ in 0..FLOOD {
        deaf.push(proxy.connect_from([127, 0, 0, 200]).await);
    }
    proxy.expect_ended("denied", FLOOD.try_into().unwrap()).await;
    let took = begun.elapsed();
    player.echo(b"still here").await;
    assert_eq!(proxy.status().await["sessions_active"], 1, "they are no sessions");
    // Two workers speak to 256 each, at the most, and to each for a second, at the most.
    let mut told = 0;
    for client in &mut deaf {
        let mut heard = Vec::new();
        let _reset = client.0.read_to_end(&mut heard).await;
        told += usize::from(heard == b"No.\n");
    }
    // On a machine so busy that it took longer, the first have been let go before the last came.
    assert!(told >= 200 && (told <= 512 || took > Duration::from_millis(900)), "{told} were told, in {took:?}");
    drop(deaf);
    eventually("there is room again", async || heard(&mut proxy.connect_from([127, 0, 0, 200]).await).await == "No.\n")
        .await;
}

#[tokio::test]
async fn those_who_play_hear_of_a_shutdown_and_how_long_it_takes() {
    let backend = Backend::echo();
    let config = |protocol, words| {
        config(protocol, "", words, &format!("[server]\ndrain_timeout = \"4s\"\n{}", pool(&[&backend], "")))
    };
    let mut proxy = Proxy::with(&config("text", "drain = \"{seconds_left} s left\\n\""));
    let mut players = [proxy.connect().await, proxy.connect().await];
    for player in &mut players {
        player.echo(b"hello").await;
    }
    let asked = Instant::now();
    proxy.shut_down();
    for player in &mut players {
        player.expect(b"4 s left\n").await;
        player.echo(b"one more round").await;
    }
    for player in &mut players {
        assert_eq!(heard(player).await, "2 s left\n1 s left\n");
        // Its side is open still, and would be waited for.
        let _gone = player.0.shutdown().await;
    }
    assert_took(asked.elapsed(), Duration::from_millis(3990), LATE);
    proxy.ended().await;

    for (protocol, words, expected) in [
        ("text", "default = \"Bye.\\n\"", "Bye.\n"),
        ("minecraft", "default = \"Bye.\"", ""),
        ("text", "shed = \"x\"", ""),
    ] {
        let mut proxy = Proxy::with(&config(protocol, words).replace("4s", "500ms"));
        let mut player = proxy.connect().await;
        player.echo(b"hello").await;
        proxy.shut_down();
        assert_eq!(heard(&mut player).await, expected, "{protocol} {words}");
        drop(player);
        proxy.ended().await;
    }
}

#[tokio::test]
async fn who_still_waits_at_the_end_is_told_too() {
    let backend = Backend::echo();
    let listener = "accept_rate = \"1/h\"\naccept_burst = 1\nwait_timeout = \"1m\"";
    let server = format!("[server]\ndrain_timeout = \"300ms\"\n{}", pool(&[&backend], ""));
    let mut proxy = Proxy::with(&config("text", listener, "drain = \"Closed.\\n\"", &server));
    let mut playing = proxy.connect().await;
    playing.echo(b"hello").await;
    let mut waits = proxy.connect().await;
    eventually("it waits", async || proxy.metric("portti_arrivals_waiting", &[]).await == 1.0).await;
    proxy.shut_down();
    assert_eq!(heard(&mut waits).await, "Closed.\n");
    assert_eq!(heard(&mut playing).await, "Closed.\n");
    drop((playing, waits));
    proxy.ended().await;
}

#[tokio::test]
async fn who_waits_when_the_drain_begins_and_then_plays_is_told() {
    let backend = Backend::echo();
    let server = format!("[server]\nworkers = 1\ndrain_timeout = \"3s\"\n{}", pool(&[&backend], ""));
    let config = config("text", "accept_rate = \"1/s\"\naccept_burst = 1", "drain = \"Bye.\\n\"", &server);
    let mut proxy = Proxy::with(&config);
    let mut playing = proxy.connect().await;
    playing.echo(b"hello").await;
    let mut waits = proxy.connect().await;
    eventually("it waits", async || proxy.metric("portti_arrivals_waiting", &[]).await == 1.0).await;
    proxy.shut_down();
    playing.expect(b"Bye.\n").await;
    waits.expect(b"Bye.\n").await;
    waits.echo(b"in at last").await;
    assert_eq!((heard(&mut playing).await, heard(&mut waits).await), (String::new(), String::new()), "once is enough");
    drop((playing, waits));
    proxy.ended().await;
}

#[tokio::test]
async fn a_shutdown_in_a_hurry_is_told_too() {
    let backend = Backend::echo();
    for (server, twice) in [("drain_timeout = \"0s\"", false), ("shutdown_delay = \"30s\"", true)] {
        let server = format!("[server]\n{server}\n{}", pool(&[&backend], ""));
        let mut proxy = Proxy::with(&config("text", "", "drain = \"Bye.\\n\"", &server));
        let mut playing = proxy.connect().await;
        playing.echo(b"hello").await;
        proxy.shut_down();
        if twice {
            eventually("the way down", async || proxy.get("/readyz").await.status == 503).await;
            proxy.shut_down();
        }
        assert_eq!(heard(&mut playing).await, "Bye.\n", "{server}");
        drop(playing);
        proxy.ended().await;
    }
}

#[tokio::test]
async fn who_is_being_told_is_waited_for() {
    let backend = Backend::echo();
    let mut proxy = Proxy::with(&config("minecraft", "maintenance = true", "default = \"No\"", &pool(&[&backend], "")));
    let mut client = proxy.connect().await;
    proxy.expect_ended("denied", 1).await;
    proxy.shut_down();
    eventually("the way down", async || Peer::is_refused(client.0.peer_addr().unwrap()).await).await;
    client.send(&handshake(2)).await;
    assert_eq!(heard(&mut client).await, "\u{f}\0\u{d}{\"text\":\"No\"}");
    drop(client);
    proxy.ended().await;
}

/// A handshake of version 769 for "localhost", and what the client wants.
fn handshake(wants: u8) -> Vec<u8> {
    [b"\x10\0\x81\x06\x09localhost\x63\xdd".as_slice(), &[wants]].concat()
}

#[tokio::test]
async fn a_minecraft_login_is_turned_away_byte_for_byte() {
    let backend = Backend::echo();
    let words = "maintenance = \"Back in {retry_after} s\"";
    let proxy = Proxy::with(&config("minecraft", "maintenance = true", words, &pool(&[&backend], "")));
    let mut client = proxy.connect().await;
    client.send(&handshake(2)).await;
    client.send(b"\x16\0\x04Alex\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07").await;
    assert_eq!(heard(&mut client).await, "\u{19}\0\u{17}{\"text\":\"Back in 30 s\"}");

    let mut client = proxy.connect().await;
    client.send(&handshake(1)).await;
    client.send(b"\x01\0").await;
    let json = "{\"description\":{\"text\":\"Back in 30 s\"},\"players\":{\"max\":0,\"online\":0},\
                \"version\":{\"name\":\"portti\",\"protocol\":769}}";
    client
        .expect(
            &[&[u8::try_from(json.len()).unwrap() + 2, 0, u8::try_from(json.len()).unwrap()], json.as_bytes()].concat(),
        )
        .await;
    client.send(b"\x09\x01\x01\x02\x03\x04\x05\x06\x07\x08").await;
    client.expect(b"\x09\x01\x01\x02\x03\x04\x05\x06\x07\x08").await;
    client.expect_end().await;
    proxy.expect_ended("denied", 2).await;
}

#[tokio::test]
async fn a_minecraft_player_whose_server_is_down_is_told_after_what_it_said_already() {
    let backends = pool_of(&[free_address()], "retries = 0\nconnect_timeout = \"300ms\"");
    let proxy = Proxy::with(&config("minecraft", "", "default = \"Down\"", &backends));
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let mut client = proxy.connect().await;
        clients.spawn(async move {
            client.send(&handshake(2)).await;
            heard(&mut client).await
        });
    }
    for heard in clients.join_all().await {
        assert_eq!(heard, "\u{11}\0\u{f}{\"text\":\"Down\"}");
    }
}
