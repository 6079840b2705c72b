use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::join;
use tokio::time::{Instant, sleep};

use super::*;
use crate::probe::line::Deadline;

const TIMEOUT: Duration = Duration::from_secs(2);

fn address() -> SocketAddr {
    "127.0.0.1:25565".parse().unwrap()
}

/// What a check comes to whose server hears it out and says this in these pieces, and then goes or stays.
async fn against(pieces: &[&[u8]], goes: bool) -> Result<Option<u32>, String> {
    let (client, mut server) = duplex(64 * 1024);
    let line = Line::new(client, Deadline::after(TIMEOUT));
    let serve = async {
        let mut question = vec![0; wire::status_request(address()).len()];
        server.read_exact(&mut question).await.unwrap();
        assert_eq!(question, wire::status_request(address()));
        for piece in pieces {
            if server.write_all(piece).await.is_err() {
                return None; // the check knows already
            }
            sleep(Duration::from_millis(1)).await;
        }
        if goes { None } else { Some(server) }
    };
    let (result, _server) = join!(run(line, address()), serve);
    result.map(|finding| finding.players).map_err(|failure| failure.to_string())
}

/// What a check comes to whose server answers with this text.
async fn with_json(json: &str) -> Result<Option<u32>, String> {
    against(&[&wire::tests::reply(json.as_bytes())], false).await
}

const STATUS: &str =
    r#"{"version":{"name":"1.21.4","protocol":769},"players":{"max":20,"online":7},"description":"hi"}"#;

#[tokio::test(start_paused = true)]
async fn the_status_tells_how_many_play() {
    let began = Instant::now();
    assert_eq!(with_json(STATUS).await, Ok(Some(7)));
    assert!(began.elapsed() < TIMEOUT, "a server that stays is not waited for");
}

#[tokio::test(start_paused = true)]
async fn a_server_may_keep_to_itself_how_many_play() {
    let silent = ["{}", r#"{"players":{}}"#, r#"{"players":null}"#, r#"{"players":{"online":-1}}"#];
    for json in silent {
        assert_eq!(with_json(json).await, Ok(None), "{json}");
    }
    assert_eq!(with_json(r#"{"players":{"online":99999999999}}"#).await, Ok(None), "more than there can be");
}

#[tokio::test(start_paused = true)]
async fn letters_that_nobody_needs_do_not_take_a_server_down() {
    for description in [&b"cut \\ud83d"[..], b"\xff\xfe"] {
        let json = [b"{\"description\":\"", description, b"\",\"players\":{\"online\":3}}"].concat();
        assert_eq!(against(&[&wire::tests::reply(&json)], false).await, Ok(Some(3)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_icon_makes_the_reply_long_and_it_comes_in_pieces() {
    let json = format!(r#"{{"favicon":"{}","players":{{"online":3}}}}"#, "A".repeat(200 * 1024));
    let reply = wire::tests::reply(json.as_bytes());
    let pieces: Vec<&[u8]> = reply[..10].chunks(1).chain(reply[10..].chunks(1400)).collect();
    assert_eq!(against(&pieces, false).await, Ok(Some(3)));
}

#[tokio::test(start_paused = true)]
async fn the_longest_reply_that_is_taken_is_taken_whole() {
    let json = r#"{"players":{"online":3}}"#;
    let json = json.to_owned() + &" ".repeat(wire::tests::TEXT_MAX - json.len());
    assert_eq!(with_json(&json).await, Ok(Some(3)));
    assert!(with_json(&format!("{json} ")).await.unwrap_err().contains("a packet of 262145 bytes"));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_no_status_is_told() {
    assert!(with_json("{").await.unwrap_err().starts_with("reply: not JSON: "));
    assert!(with_json("").await.unwrap_err().starts_with("reply: not JSON: "));
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert!(with_json(&deep).await.unwrap_err().starts_with("reply: not JSON: "));
    for json in ["7", "[]", "null"] {
        assert_eq!(with_json(json).await, Err("reply: the JSON is no object".into()), "{json}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_protocol_is_told_without_waiting_for_more() {
    let began = Instant::now();
    let failure = against(&[b"SSH-2.0-OpenSSH_9.2\r\n"], false).await.unwrap_err();
    assert_eq!(failure, "reply: not from a Minecraft server: a packet of kind 83 where a status (0) was asked for");
    assert!(began.elapsed() < TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn an_end_too_early_and_silence_are_told() {
    let reply = wire::tests::reply(STATUS.as_bytes());
    assert_eq!(against(&[], true).await, Err("reply: the connection was closed without an answer".into()));
    assert_eq!(against(&[&reply[..9]], true).await, Err("reply: the connection was closed after 9 bytes".into()));
    let began = Instant::now();
    assert_eq!(against(&[&reply[..9]], false).await, Err("reply: timed out after 2s".into()));
    assert_eq!(began.elapsed(), TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_listen_is_given_up() {
    let (client, _server) = duplex(4);
    let result = run(Line::new(client, Deadline::after(TIMEOUT)), address()).await;
    assert_eq!(result.unwrap_err().to_string(), "handshake: timed out after 2s");
}
