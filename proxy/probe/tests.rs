use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::join;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::scalar::{Expect, bytes};
use crate::relay::Socket as _;

/// Nothing comes before the dialogue.
const PLAIN: Approach = Approach { introduced: None, encrypted: None };

/// For what is expected to come to an end by itself.
const AMPLE: Duration = Duration::from_secs(10);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn exchange(send: &str, expect: &str) -> Check {
    Check::Exchange { send: bytes(send).unwrap(), expect: Expect::parse(expect).unwrap() }
}

fn failure(result: Result<Finding, Failure>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn a_tcp_check_connects_and_is_gone() {
    let (listener, address) = listener().await;
    assert_eq!(run(&Check::Tcp, address, &PLAIN, AMPLE).await, Ok(Finding { players: None }));
    let (mut accepted, _) = listener.accept().await.unwrap();
    assert_eq!(accepted.read(&mut [0; 8]).await.unwrap(), 0, "the connection is closed, without a word");
}

#[tokio::test]
async fn where_nobody_listens_every_check_is_refused() {
    let (listener, address) = listener().await;
    drop(listener);
    let http = Check::Http { path: "/".into(), status: vec![200] };
    for check in [Check::Tcp, exchange("", "OK"), http, Check::Minecraft] {
        let failure = run(&check, address, &PLAIN, AMPLE).await.unwrap_err();
        assert_eq!(failure.to_string(), "connect: refused");
        assert!(!failure.is_own_fault());
    }
}

#[tokio::test]
async fn a_server_that_takes_no_connection_is_given_up() {
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    // A queue of length 0 has room for one that nobody accepts.
    let _first = TcpStream::connect(address).await.unwrap();
    let result = run(&Check::Tcp, address, &PLAIN, Duration::from_millis(50)).await;
    assert_eq!(failure(result), "connect: timed out after 50ms");
}

#[tokio::test]
async fn a_dialogue_over_a_real_connection() {
    let (listener, address) = listener().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = [0; 5];
        stream.read_exact(&mut question).await.unwrap();
        assert_eq!(&question, b"ping\n");
        stream.write_all(b"pong 7\n").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "the check goes as soon as it knows");
    };
    let check = exchange("ping\n", "pong");
    let (result, ()) = join!(run(&check, address, &PLAIN, AMPLE), server);
    assert_eq!(result, Ok(Finding { players: None }));
}

#[tokio::test]
async fn a_page_over_a_real_connection() {
    let (listener, address) = listener().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"GET ");
        // A body that never ends must not keep the check.
        stream.write_all(b"HTTP/1.1 503 Full\r\nContent-Length: 1000000\r\n\r\nso").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await
    };
    let check = Check::Http { path: "/health".into(), status: vec![200, 204] };
    let (result, _ended) = join!(run(&check, address, &PLAIN, AMPLE), server);
    assert_eq!(failure(result), "status: 503");
}

#[tokio::test]
async fn a_reset_is_told_with_its_step() {
    let http = Check::Http { path: "/".into(), status: vec![200] };
    for (check, step) in [(exchange("ping\n", "OK"), "expect"), (http, "request"), (Check::Minecraft, "reply")] {
        let (listener, address) = listener().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 4]).await.unwrap();
            stream.break_off();
        };
        let (result, ()) = join!(run(&check, address, &PLAIN, AMPLE), server);
        assert_eq!(failure(result), format!("{step}: reset"));
    }
}

#[test]
fn what_this_machine_lacks_is_its_own_fault() {
    let failure = |code| Failure::from_io(Step::Connect, &io::Error::from_raw_os_error(code));
    assert!(failure(libc::EMFILE).is_own_fault());
    assert!(failure(libc::EADDRNOTAVAIL).is_own_fault());
    assert_eq!(failure(libc::EADDRNOTAVAIL).to_string(), "connect: no local port left");
    assert!(!failure(libc::EHOSTUNREACH).is_own_fault());
}

#[test]
fn errors_are_words() {
    let cases = [
        (libc::ECONNREFUSED, "refused"),
        (libc::ECONNRESET, "reset"),
        (libc::EPIPE, "the connection was closed"),
        (libc::ETIMEDOUT, "timed out"),
        (libc::EHOSTUNREACH, "host unreachable"),
        (libc::ENETUNREACH, "network unreachable"),
    ];
    for (code, expected) in cases {
        assert_eq!(words(&io::Error::from_raw_os_error(code)), expected);
    }
}
