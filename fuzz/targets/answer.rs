//! Answers from backends: what they come to does not depend on the pieces that they come in.

#![no_main]

use hyper::body::Bytes;
use hyper::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;
use portti::http::client::answer::{self, Answer};
use portti::http::wire::decoder::Part;
use portti::http::wire::fields::Malformed;

/// What an answer comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    status: u16,
    headers: HeaderMap,
    stays: bool,
    content: Vec<u8>,
    trailers: HeaderMap,
    rest: usize,
}

/// Reads an answer that comes in pieces of this size, and then the connection's end.
fn read(bytes: &[u8], size: usize) -> Result<Seen, Malformed> {
    let (mut input, mut pieces) = (Bytes::new(), bytes.chunks(size));
    let mut more = |input: &mut Bytes| {
        let piece = pieces.next();
        *input = [&input[..], piece.unwrap_or_default()].concat().into();
        piece.is_some()
    };
    let Answer { head, mut body, stays } = loop {
        match answer::take(&mut input, &Method::GET)? {
            Some(answer) => break answer,
            None if more(&mut input) => {}
            None => return Err(Malformed),
        }
    };
    let mut seen = Seen { status: head.status().as_u16(), headers: head.headers().clone(), stays, ..Seen::default() };
    loop {
        match body.next(&mut input)? {
            Part::Content(bytes) => seen.content.extend_from_slice(&bytes),
            Part::Trailers(trailers) => seen.trailers = trailers,
            Part::End => break,
            Part::Missing if more(&mut input) => {}
            Part::Missing => body.close()?,
        }
    }
    while more(&mut input) {}
    seen.rest = input.len();
    Ok(seen)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, bytes.len().max(1));
    // Each piece is looked at together with what came before it: of many bytes there are few pieces.
    for size in if bytes.len() < 1000 { [1, 2, 7] } else { [97, 500, 1009] } {
        assert_eq!(read(bytes, size), whole, "in pieces of {size}");
    }
    if let Ok(Seen { status, headers, content, rest, .. }) = whole {
        assert!(content.len() + rest < bytes.len() && status >= 101);
        assert!(
            !(headers.contains_key("transfer-encoding") && headers.contains_key("content-length"))
                || status < 200
                || [204, 304].contains(&status),
            "two ways to tell its end"
        );
    }
});
