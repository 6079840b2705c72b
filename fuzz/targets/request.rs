//! Requests from strangers: what they come to does not depend on the pieces that they come in.

#![no_main]

use hyper::HeaderMap;
use hyper::body::Bytes;
use libfuzzer_sys::fuzz_target;
use portti::http::server::head::{Head, Heads, Refused, Terms};
use portti::http::websocket::Frames;
use portti::http::wire::decoder::Part;

/// What a request comes to.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    line: String,
    headers: HeaderMap,
    terms: Terms,
    content: Vec<u8>,
    trailers: HeaderMap,
}

/// Reads the requests of a stream that comes in pieces of this size: what they come to, why that was all, and how much is left.
fn read(bytes: &[u8], size: usize) -> (Vec<Seen>, Option<Refused>, usize) {
    let (mut input, mut pieces, mut heads, mut seen) = (Bytes::new(), bytes.chunks(size), Heads::default(), Vec::new());
    let mut more = |input: &mut Bytes| {
        let piece = pieces.next();
        *input = [&input[..], piece.unwrap_or_default()].concat().into();
        piece.is_some()
    };
    loop {
        let Head { request, mut body, terms, .. } = match heads.take(&mut input) {
            Ok(Some(head)) => head,
            Ok(None) if more(&mut input) => continue,
            Ok(None) => return (seen, None, input.len()),
            Err(why) => return (seen, Some(why), 0),
        };
        let (line, headers) = (format!("{} {}", request.method(), request.uri()), request.headers().clone());
        let mut this = Seen { line, headers, terms, content: Vec::new(), trailers: HeaderMap::new() };
        loop {
            match body.next(&mut input) {
                Ok(Part::Content(bytes)) => this.content.extend_from_slice(&bytes),
                Ok(Part::Trailers(trailers)) => this.trailers = trailers,
                Ok(Part::End) => break,
                Ok(Part::Missing) if more(&mut input) => {}
                Ok(Part::Missing) => return (seen, None, input.len()),
                Err(_malformed) => return (seen, Some(Refused::Malformed), 0),
            }
        }
        seen.push(this);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, bytes.len().max(1));
    // Each piece is looked at together with what came before it: of many bytes there are few pieces.
    for size in if bytes.len() < 1000 { [1, 2, 7] } else { [97, 500, 1009] } {
        assert_eq!(read(bytes, size), whole, "in pieces of {size}");
    }
    for Seen { line, headers, .. } in &whole.0 {
        let says = |name: &str| headers.get_all(name).iter().count();
        assert!(says("transfer-encoding") + says("content-length") <= 1, "two ways to tell its end");
        assert!(!line.contains(['\r', '\n', '\0']) && line.split(' ').count() == 2, "{line:?}");
    }
    // The same bytes as frames of a WebSocket.
    let (mut frames, mut pieces) = (Frames::default(), Frames::default());
    frames.pass(bytes);
    bytes.chunks(3).for_each(|piece| pieces.pass(piece));
    assert_eq!((frames.is_between(), frames.may_insert()), (pieces.is_between(), pieces.may_insert()));
    let rest = frames.rest_in(&[0; 100]);
    let mut ended = frames;
    ended.pass(&[0; 100][..rest]);
    assert!(ended.is_between() || rest == 100, "the rest of a frame ends it");
});
