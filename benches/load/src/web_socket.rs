//! As much of WebSocket (RFC 6455) as the two ends need: its handshake with one key, and short binary messages.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};

use crate::http;

/// The key of RFC 6455's own example, and what a server makes of it: so nobody here needs SHA-1, and a proxy is still seen to pass
/// both on.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The first byte of a message that is whole, and binary.
const BINARY: u8 = 0x82;
/// In the second byte, before the length: the sender is a client.
const MASKED: u8 = 0x80;
/// Longer messages have their length elsewhere.
const LONGEST: usize = 125;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Asks for a WebSocket on a connection that blocks.
pub(crate) fn open(stream: &mut TcpStream, target: SocketAddrV4) -> io::Result<()> {
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {target}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n"
    )?;
    let mut head = Vec::new();
    // Byte by byte, so that nothing is read of what follows.
    while http::head_length(&head).is_none() {
        let mut next = [0];
        stream.read_exact(&mut next)?;
        head.push(next[0]);
    }
    if head.starts_with(b"HTTP/1.1 101 ") && contains(&head, ACCEPT) {
        return Ok(());
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    Err(io::Error::other(format!("no WebSocket: {line}")))
}

/// What a server says to a request for a WebSocket.
///
/// # Errors
/// It is another kind of request, or its key was lost on the way.
pub(crate) fn welcome(head: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
    if !contains(head, KEY) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    write!(
        output,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
}

/// A message as clients send it.
pub(crate) fn from_client(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![BINARY, MASKED | short(payload.len())];
    frame.extend(MASK);
    frame.extend(masked(payload, MASK));
    frame
}

/// A message as servers send it.
pub(crate) fn from_server(payload: &[u8]) -> Vec<u8> {
    [&[BINARY, short(payload.len())], payload].concat()
}

/// Sends the client's message back that `input` begins with. Returns how long it was; `None` if it is not whole.
///
/// # Errors
/// It is none that the other end of the benchmark would send.
pub(crate) fn echo(input: &[u8], output: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let Some((&[kind, length, m0, m1, m2, m3], rest)) = input.split_first_chunk() else { return Ok(None) };
    let size = length & !MASKED;
    if kind != BINARY || length & MASKED == 0 || usize::from(size) > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let Some(payload) = rest.get(..usize::from(size)) else { return Ok(None) };
    output.extend([kind, size]);
    output.extend(masked(payload, [m0, m1, m2, m3]));
    Ok(Some(6 + payload.len()))
}

fn masked(payload: &[u8], mask: [u8; 4]) -> impl Iterator<Item = u8> {
    payload.iter().enumerate().map(move |(index, byte)| byte ^ mask[index % 4])
}

fn short(length: usize) -> u8 {
    assert!(length <= LONGEST, "messages have at most {LONGEST} bytes");
    u8::try_from(length).unwrap_or_default()
}

fn contains(head: &[u8], word: &str) -> bool {
    head.windows(word.len()).any(|window| window == word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_unmasked_and_whole() {
        let message = from_client(b"Hello, ten");
        let mut output = Vec::new();
        for end in 0..message.len() {
            assert_eq!(echo(&message[..end], &mut output).unwrap(), None);
        }
        assert_eq!(echo(&[message.clone(), vec![BINARY]].concat(), &mut output).unwrap(), Some(message.len()));
        assert_eq!(output, from_server(b"Hello, ten"));
    }

    #[test]
    fn a_masked_message_is_that_of_the_standard() {
        // RFC 6455, 5.7, with the kind of a text instead.
        assert_eq!(from_client(b"Hello")[1..], [0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn what_no_client_of_ours_sends_is_an_error() {
        let mut output = Vec::new();
        assert!(echo(&[0x88, MASKED, 0, 0, 0, 0], &mut output).is_err());
        assert!(echo(&[BINARY, 0, 0, 0, 0, 0], &mut output).is_err());
        assert!(welcome(b"GET / HTTP/1.1\r\n\r\n", &mut output).is_err());
    }
}
