use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::join;
use tokio::time::{Instant, sleep};

use super::*;
use crate::probe::line::Deadline;

const TIMEOUT: Duration = Duration::from_secs(2);

/// The check's end of a connection, and the server's.
fn pair() -> (Line<DuplexStream>, DuplexStream) {
    let (client, server) = duplex(64 * 1024);
    (Line::new(client, Deadline::after(TIMEOUT)), server)
}

/// What a check comes to whose server says this in these pieces, and then goes or stays.
async fn against(expect: &str, pieces: &[&[u8]], goes: bool) -> Result<(), String> {
    let (line, mut server) = pair();
    let expect = Expect::parse(expect).unwrap();
    let serve = async {
        for piece in pieces {
            if server.write_all(piece).await.is_err() {
                return None; // the check knows already
            }
            // The clock of the test moves on only when the check has read the piece.
            sleep(Duration::from_millis(1)).await;
        }
        if goes { None } else { Some(server) }
    };
    let (result, _server) = join!(run(line, b"", &expect), serve);
    result.map(|_finding| ()).map_err(|failure| failure.to_string())
}

async fn failure(expect: &str, pieces: &[&[u8]], goes: bool) -> String {
    against(expect, pieces, goes).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn it_says_its_bytes_and_hears_the_answer() {
    let (line, mut server) = pair();
    let expect = Expect::parse("pong").unwrap();
    let serve = async {
        let mut question = [0; 6];
        server.read_exact(&mut question).await.unwrap();
        assert_eq!(&question, b"ping\0\n");
        server.write_all(b"pong\n").await.unwrap();
    };
    let (result, ()) = join!(run(line, b"ping\0\n", &expect), serve);
    assert_eq!(result, Ok(Finding { players: None }));
}

#[tokio::test(start_paused = true)]
async fn pieces_are_joined() {
    assert_eq!(against("READY", &[b"RE", b"A", b"DY\n"], false).await, Ok(()));
    assert_eq!(against(r"regex:\d+ players", &[b"now 1", b"2 pl", b"ayers"], false).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_answer_fails_at_once_and_is_shown() {
    let began = Instant::now();
    assert_eq!(failure("OK", &[b"NO \xff\"\r\n"], false).await, r#"expect: got "NO \xff\"\r\n""#);
    assert!(began.elapsed() < TIMEOUT);
    assert_eq!(failure("OK", &[b"O", b"H no"], false).await, r#"expect: got "OH no""#);
}

#[tokio::test(start_paused = true)]
async fn an_end_too_early_shows_what_came() {
    assert_eq!(failure("OK", &[], true).await, "expect: the connection was closed without an answer");
    assert_eq!(failure("OK", &[b"O"], true).await, r#"expect: the connection was closed after 1 byte, got "O""#);
    let shown = r#"expect: the connection was closed after 5 bytes, got "BUSY\n""#;
    assert_eq!(failure("regex:^READY", &[b"BU", b"SY\n"], true).await, shown);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_with_the_time() {
    let began = Instant::now();
    assert_eq!(failure("OK", &[], false).await, "expect: timed out after 2s");
    assert_eq!(began.elapsed(), TIMEOUT);
    assert_eq!(failure("regex:OK", &[b"wait"], false).await, r#"expect: timed out after 2s, got "wait""#);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_comes_to_the_point_gains_no_time() {
    let (line, mut server) = pair();
    let expect = Expect::parse("regex:OK").unwrap();
    let began = Instant::now();
    let trickle = async {
        while server.write_all(b".").await.is_ok() {
            sleep(TIMEOUT / 10).await;
        }
    };
    let (result, ()) = join!(run(line, b"", &expect), trickle);
    let failure = result.unwrap_err().to_string();
    assert_eq!(failure, r#"expect: timed out after 2s, got "..........""#);
    assert!(began.elapsed() <= TIMEOUT + TIMEOUT / 10);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_listen_is_given_up() {
    let (client, _server) = duplex(4);
    let line = Line::new(client, Deadline::after(TIMEOUT));
    let result = run(line, b"more than four bytes", &Expect::parse("OK").unwrap()).await;
    assert_eq!(result.unwrap_err().to_string(), "send: timed out after 2s");
}

#[tokio::test(start_paused = true)]
async fn only_the_first_16_kib_count() {
    let mut answer = vec![b'.'; ANSWER_MAX - 2];
    answer.extend(b"OK");
    assert_eq!(against("regex:OK", &[&answer], false).await, Ok(()));
    answer.insert(0, b'.');
    let shown = format!("expect: not within the first 16384 bytes, got \"{}\"...", ".".repeat(SHOWN_MAX));
    assert_eq!(failure("regex:OK", &[&answer], false).await, shown);
}

#[test]
fn what_is_shown_is_short_and_harmless() {
    assert_eq!(shown(b"\x1b[2J"), r#""\x1b[2J""#);
    assert_eq!(shown(&[b'a'; SHOWN_MAX]), format!("\"{}\"", "a".repeat(SHOWN_MAX)));
    assert_eq!(shown(&[b'a'; SHOWN_MAX + 1]), format!("\"{}\"...", "a".repeat(SHOWN_MAX)));
}

proptest! {
    #[test]
    fn how_an_answer_is_cut_makes_no_difference(answer in "[OKN]{0,8}", cuts in prop::collection::vec(1usize..4, 0..8)) {
        let mut pieces = Vec::new();
        let mut rest = answer.as_bytes();
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        for (expect, is_good) in [("OKO", answer.starts_with("OKO")), ("regex:KK", answer.contains("KK"))] {
            let result = runtime.block_on(against(expect, &pieces, true));
            prop_assert_eq!(result.is_ok(), is_good);
        }
    }
}
