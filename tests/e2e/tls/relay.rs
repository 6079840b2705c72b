//! Encrypted sessions are relayed as plain ones are.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{HOST, folder, listener, proxy, secure};
use crate::support::proxy::pool;
use crate::support::tls::{client, connect};
use crate::support::{Backend, Ending, Pattern, Proxy, always_for, eventually, soon};

#[tokio::test]
async fn bytes_pass_and_both_sides_close_in_order() {
    let mut by_hand = Backend::by_hand();
    let proxy = proxy(&by_hand.backend, "", "");
    let mut client = secure(&proxy).await;
    let mut server = by_hand.next().await;
    client.send(b"hello").await;
    server.expect(b"hello").await;
    server.send(b"welcome").await;
    client.expect(b"welcome").await;

    // Half closed: what the other side still has to say arrives.
    client.end().await;
    server.expect_end().await;
    server.send(b"last words").await;
    client.expect(b"last words").await;
    server.end().await;
    client.expect_end().await;
    proxy.expect_ended("client_closed", 1).await;

    let mut client = secure(&proxy).await;
    let mut server = by_hand.next().await;
    server.send(b"bye").await;
    server.end().await;
    client.expect(b"bye").await;
    // Without the alert that says so, this would be an error.
    client.expect_end().await;
    client.send(b"thanks").await;
    server.expect(b"thanks").await;
    client.end().await;
    server.expect_end().await;
    proxy.expect_ended("backend_closed", 1).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn a_client_that_closes_without_a_word_has_closed() {
    let mut by_hand = Backend::by_hand();
    let proxy = proxy(&by_hand.backend, "", "");
    let mut client = secure(&proxy).await;
    let mut server = by_hand.next().await;
    client.send(b"hello").await;
    server.expect(b"hello").await;
    // The end of the connection, without the alert that says that it was meant, as most clients leave.
    client.0.get_mut().0.shutdown().await.unwrap();
    server.expect_end().await;
    server.send(b"bye").await;
    client.expect(b"bye").await;
    drop(server);
    proxy.expect_ended("client_closed", 1).await;

    let mut client = secure(&proxy).await;
    let mut server = by_hand.next().await;
    client.send(b"hello").await;
    server.expect(b"hello").await;
    server.reset();
    assert_eq!(client.ending().await, (Ending::Reset, 0));
    proxy.expect_ended("backend_reset", 1).await;
}

#[tokio::test]
async fn what_came_before_a_client_was_cut_off_arrives_first() {
    const LENGTH: usize = 1_000_000;
    let mut by_hand = Backend::by_hand();
    let proxy = proxy(&by_hand.backend, "", "");
    let mut passed = 0.0;
    for (is_reset, ending) in [(false, Ending::Closed), (true, Ending::Reset)] {
        let mut client = secure(&proxy).await;
        let mut server = by_hand.next().await;
        server.narrow();
        let pattern = Pattern::new(3);
        assert_eq!(soon("room", pattern.send(&mut client.0, LENGTH)).await, LENGTH);
        passed += 1_000_000.0;
        let bytes = async || proxy.metric("portti_bytes_total", &[("direction", "up")]).await;
        eventually("the proxy has them all", async || bytes().await >= passed).await;
        let (mut stream, _) = client.0.into_inner();
        if is_reset {
            stream.set_zero_linger().unwrap();
        } else {
            stream.shutdown().await.unwrap();
        }
        let _half_closed = (!is_reset).then_some(stream);
        let lives = async || proxy.status().await["sessions_active"] == 1;
        always_for(Duration::from_millis(300), "bytes are on their way", lives).await;
        assert_eq!(soon("all of it", pattern.check_some(&mut server.0, 0, LENGTH)).await, LENGTH);
        assert_eq!(server.ending().await, (ending, 0));
        drop(server);
        proxy.expect_ended(if is_reset { "client_reset" } else { "client_closed" }, 1).await;
    }
}

#[tokio::test]
async fn rubbish_after_the_handshake_ends_one_session() {
    let mut by_hand = Backend::by_hand();
    let proxy = proxy(&by_hand.backend, "", "");
    let mut playing = secure(&proxy).await;
    let mut opponent = by_hand.next().await;
    let mut client = secure(&proxy).await;
    let mut server = by_hand.next().await;
    client.send(b"hello").await;
    server.expect(b"hello").await;
    client.0.get_mut().0.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    server.expect_reset().await;
    proxy.expect_ended("client_reset", 1).await;
    playing.send(b"still here").await;
    opponent.expect(b"still here").await;
}

#[tokio::test]
async fn a_side_that_does_not_read_holds_the_other_back_and_nothing_is_lost() {
    const LENGTH: usize = 30_000_000;
    let mut by_hand = Backend::by_hand();
    let proxy = proxy(&by_hand.backend, "", "");
    let client = secure(&proxy).await;
    let server = by_hand.next().await;
    client.0.get_ref().0.set_nodelay(true).unwrap();
    let (up, down) = (Pattern::new(1), Pattern::new(2));
    let (mut client_reads, mut client_writes) = tokio::io::split(client.0);
    let (mut server_reads, mut server_writes) = server.0.into_split();
    let pause = || tokio::time::sleep(Duration::from_millis(300));
    let all = async {
        tokio::join!(
            async {
                assert_eq!(up.send(&mut client_writes, LENGTH).await, LENGTH);
                client_writes.shutdown().await.unwrap();
            },
            async {
                assert_eq!(down.send(&mut server_writes, LENGTH).await, LENGTH);
                server_writes.shutdown().await.unwrap();
            },
            async {
                pause().await;
                assert_eq!(up.check(&mut server_reads).await, LENGTH);
            },
            async {
                pause().await;
                assert_eq!(down.check(&mut client_reads).await, LENGTH);
            },
        )
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("it all passes");
    proxy.expect_empty().await;
    let bytes = proxy.metric("portti_bytes_total", &[("direction", "up")]).await;
    assert_eq!(bytes, 30_000_000.0, "what is counted is what was encrypted");
}

#[tokio::test]
async fn limits_on_silence_and_age_hold() {
    let backend = Backend::mute();
    let keys = "idle_timeout = \"300ms\"\nrequest_timeout = \"off\"";
    let config = listener("", "") + &pool(&[&backend], keys);
    let proxy = Proxy::in_folder(folder(), &config).unwrap();
    let mut client = secure(&proxy).await;
    client.send(b"hello").await;
    let mut rest = Vec::new();
    let _cut = soon("the end", client.0.read_to_end(&mut rest)).await;
    proxy.expect_ended("idle_timeout", 1).await;
    let keys = "max_lifetime = \"300ms\"\nrequest_timeout = \"off\"";
    proxy.reload_with(&(listener("", "") + &pool(&[&backend], keys))).await;
    let mut client = secure(&proxy).await;
    let _cut = soon("the end", client.0.read_to_end(&mut rest)).await;
    proxy.expect_ended("max_lifetime", 1).await;
}

#[tokio::test]
async fn who_may_not_stay_is_told_by_tls() {
    let backend = Backend::echo();
    let words = "[listeners.game.messages]\nprotocol = \"text\"\ndefault = \"Later.\\n\"\ndrain = \"Down.\\n\"\n";
    let config = |keys: &str| listener(keys, "") + words + &pool(&[&backend], "");
    let mut proxy = Proxy::in_folder(folder(), &config("")).unwrap();
    let mut playing = secure(&proxy).await;
    playing.echo(b"hello").await;
    proxy.reload_with(&config("deny = [\"127.0.0.0/8\"]")).await;
    let mut denied = secure(&proxy).await;
    let mut heard = String::new();
    soon("the end", denied.0.read_to_string(&mut heard)).await.expect("closed in order");
    assert_eq!(heard, "Later.\n");
    proxy.expect_ended("denied", 1).await;

    proxy.shut_down();
    playing.expect(b"Down.\n").await;
    playing.echo(b"bye").await;
    drop(playing);
    proxy.ended().await;
}

#[tokio::test]
async fn many_sessions_at_once_echo_what_they_send() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "", "");
    let config = client(&[]);
    let mut players = tokio::task::JoinSet::new();
    for number in 0..100_usize {
        let (address, config) = (proxy.address(), config.clone());
        players.spawn(async move {
            let mut client = connect(address, HOST, &config).await.unwrap();
            let message = vec![u8::try_from(number).unwrap(); 20_000];
            for length in [1, 100, 5_000, 16_384, 20_000] {
                client.echo(&message[..length]).await;
            }
            client.end().await;
            client.expect_end().await;
        });
    }
    assert_eq!(players.join_all().await.len(), 100);
    proxy.expect_ended("client_closed", 100).await;
}
