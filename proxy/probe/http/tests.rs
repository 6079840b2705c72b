use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::join;
use tokio::time::{Instant, sleep};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(2);
const WELL: [u16; 2] = [200, 204];
const HEAD_END: &[u8] = b"\r\n\r\n";

fn address() -> SocketAddr {
    "[2001:db8::1]:8080".parse().unwrap()
}

/// Reads a request's head.
async fn head(server: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(HEAD_END) {
        assert!(server.read_buf(&mut head).await.unwrap() > 0, "the request ended too early");
    }
    String::from_utf8(head).unwrap()
}

/// What a check comes to whose server hears it out and says this in these pieces, and then goes or stays.
async fn against(pieces: &[&[u8]], goes: bool) -> Result<(), String> {
    let (client, mut server) = duplex(64 * 1024);
    let serve = async {
        head(&mut server).await;
        for piece in pieces {
            server.write_all(piece).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        if goes { None } else { Some(server) }
    };
    let deadline = Deadline::after(TIMEOUT);
    let (result, _server) = join!(run(client, &deadline, address(), "/", &WELL), serve);
    result.map(|_finding| ()).map_err(|failure| failure.to_string())
}

async fn failure(pieces: &[&[u8]], goes: bool) -> String {
    against(pieces, goes).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn the_request_names_path_host_and_agent_and_wants_no_more() {
    let (client, mut server) = duplex(1024);
    let deadline = Deadline::after(TIMEOUT);
    let serve = async {
        let head = head(&mut server).await;
        server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        head
    };
    let (result, head) = join!(run(client, &deadline, address(), "/health?deep=1", &WELL), serve);
    assert_eq!(result, Ok(Finding { players: None }));
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /health?deep=1 HTTP/1.1");
    lines.sort_unstable();
    assert_eq!(lines, ["connection: close", "host: [2001:db8::1]:8080", &format!("user-agent: {AGENT}")]);
}

#[tokio::test(start_paused = true)]
async fn statuses_of_the_file_are_well_and_no_others() {
    for status in WELL {
        assert_eq!(against(&[format!("HTTP/1.1 {status} Fine\r\n\r\n").as_bytes()], true).await, Ok(()));
    }
    assert_eq!(failure(&[b"HTTP/1.0 503 Full\r\n\r\n"], true).await, "status: 503");
    assert_eq!(failure(&[b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"], false).await, "status: 302");
}

#[tokio::test(start_paused = true)]
async fn pieces_are_joined_and_provisional_answers_passed_over() {
    let pieces: [&[u8]; 4] = [b"HTTP/1.1 100 Continue\r\n", b"\r\nHTTP/1.", b"1 200 OK\r", b"\n\r\n"];
    assert_eq!(against(&pieces, false).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_body_is_not_waited_for() {
    let began = Instant::now();
    assert_eq!(against(&[b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeg"], false).await, Ok(()));
    assert!(began.elapsed() < TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn odd_fields_of_an_answer_do_not_take_a_server_down() {
    let many = "X: x\r\n".repeat(FIELDS_MAX - 1);
    for fields in ["Server : Old\r\n", "X: one\r\n two\r\n", "X-\u{fc}: \u{fc}\r\n", "no field\r\n", &many] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
        assert_eq!(against(&[head.as_bytes()], false).await, Ok(()), "{}", head.escape_debug());
    }
}

#[tokio::test(start_paused = true)]
async fn another_protocol_is_no_answer() {
    for garbage in [b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(), b"\x00\x01\x02", b"HTTP/1.1 abc\r\n\r\n"] {
        let failure = failure(&[garbage], false).await;
        assert!(failure.starts_with("request: the answer is not HTTP: "), "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_too_early_is_told() {
    let closed = "request: the connection was closed without an answer";
    assert_eq!(failure(&[], true).await, closed);
    assert_eq!(failure(&[b"HTTP/1.1 200 OK\r\nServ"], true).await, closed);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hears_nothing_and_goes_is_told() {
    let (client, server) = duplex(16);
    drop(server);
    let deadline = Deadline::after(TIMEOUT);
    let failure = run(client, &deadline, address(), "/", &WELL).await.unwrap_err();
    assert_eq!(failure.to_string(), "request: the connection was closed without an answer");
}

#[tokio::test(start_paused = true)]
async fn the_head_is_bounded() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(HEAD_MAX));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: x\r\n".repeat(FIELDS_MAX + 1));
    for head in [long, many] {
        let failure = failure(&[head.as_bytes()], false).await;
        assert!(failure.starts_with("request: the answer's head is longer than 16384 bytes"), "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_with_the_time() {
    let began = Instant::now();
    assert_eq!(failure(&[b"HTTP/1.1 2"], false).await, "request: timed out after 2s");
    assert_eq!(began.elapsed(), TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_path_is_told() {
    let (client, _server) = duplex(16);
    let deadline = Deadline::after(TIMEOUT);
    let failure = run(client, &deadline, address(), "/a b", &WELL).await.unwrap_err().to_string();
    assert!(failure.starts_with("request: \"/a b\" is no path to ask for: "), "{failure}");
}
