//! What no well-behaved client of HTTP/2 sends, frame by frame.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::http::{config, echo};
use crate::support::proxy::pool;
use crate::support::{Backend, Proxy, soon};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A connection that has begun.
async fn begun(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let begins = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&begins).await.unwrap();
    stream
}

/// The next frame that is of a stream, or the connection's end.
async fn next(stream: &mut TcpStream) -> (u8, u8, u32, Vec<u8>) {
    loop {
        let mut head = [0; 9];
        soon("a frame", stream.read_exact(&mut head)).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        soon("its payload", stream.read_exact(&mut payload)).await.unwrap();
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if id > 0 || head[3] == GOAWAY {
            return (head[3], head[4], id, payload);
        }
    }
}

/// Fields of a request for `/`, and further ones.
fn block(more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = b"\x82\x86\x84\x01\x01a".to_vec();
    for (name, value) in more {
        block.push(0x40);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text);
        }
    }
    block
}

#[tokio::test]
async fn a_malformed_request_ends_its_stream_alone() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&config("pool = \"game\"", &pool(&[&backend.backend], "")));
    let mut client = begun(&proxy).await;
    client.write_all(&frame(HEADERS, 5, 1, &block(&[(b"x-good", b"1")]))).await.unwrap();
    let mut asked = backend.next().await.0;
    super::head(&mut asked).await;
    let malformed: [&[(&[u8], &[u8])]; 5] =
        [&[(b"X-Upper", b"1")], &[(b"x", b"a\x01")], &[(b":path", b"/\xff")], &[(b"x y", b"1")], &[(b":x", b"1")]];
    for (stream, more) in (3..).step_by(2).zip(malformed) {
        client.write_all(&frame(HEADERS, 5, stream, &block(more))).await.unwrap();
        assert_eq!(next(&mut client).await, (RST_STREAM, 0, stream, vec![0, 0, 0, 1]), "{more:?}");
    }
    // What was good of all that is still known, and what was not is not let in by its place in the table.
    client.write_all(&frame(HEADERS, 5, 13, &[&block(&[])[..], &[0x80 | 62]].concat())).await.unwrap();
    assert_eq!(next(&mut client).await, (RST_STREAM, 0, 13, vec![0, 0, 0, 1]));
    client.write_all(&frame(HEADERS, 5, 15, &[&block(&[])[..], &[0x80 | 67]].concat())).await.unwrap();
    let mut second = backend.next().await.0;
    let head = super::head(&mut second).await;
    assert!(head.contains("x-good: 1\r\n"), "{head}");
    asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let (kind, _, stream, _) = next(&mut client).await;
    assert_eq!((kind, stream), (HEADERS, 1), "the other request goes on");
}

#[tokio::test]
async fn half_a_head_does_not_last_longer_than_by_http1() {
    let (backend, _) = echo();
    let keys = "pool = \"game\"\nheader_timeout = \"400ms\"\nkeepalive_timeout = \"1h\"";
    let proxy = Proxy::with(&config(keys, &pool(&[&backend], "")));
    for half in [frame(HEADERS, 1, 1, &block(&[])), frame(HEADERS, 5, 1, &block(&[]))[..12].to_vec()] {
        let mut client = begun(&proxy).await;
        let began = Instant::now();
        client.write_all(&half).await.unwrap();
        let _reset = soon("the end", client.read_to_end(&mut Vec::new())).await;
        assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    }
    proxy.expect_ended("preread_timeout", 2).await;
}
