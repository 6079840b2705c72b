//! Requests from strangers: where they begin and end does not depend on the pieces that they come in, and what is ambiguous stays so.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portti::http::framing::{Ambiguous, Framing};
use portti::http::websocket::Frames;

/// Where the bytes become ambiguous if they come in pieces of this size, and whether a head is under way at the end.
fn verdict(bytes: &[u8], size: usize) -> (Option<usize>, bool) {
    let mut framing = Framing::default();
    for (number, piece) in bytes.chunks(size).enumerate() {
        if let Err(Ambiguous(at)) = framing.pass(piece) {
            return (Some(number * size + at), framing.is_in_head());
        }
    }
    (None, framing.is_in_head())
}

fuzz_target!(|bytes: &[u8]| {
    let whole = verdict(bytes, bytes.len().max(1));
    for size in [1, 2, 7] {
        assert_eq!(verdict(bytes, size), whole, "in pieces of {size}");
    }
    if let (Some(at), _) = whole {
        assert_eq!(verdict(&bytes[..at], 1).0, None, "it was ambiguous before");
        assert_eq!(verdict(&[bytes, b"\r\n\r\n"].concat(), 1).0, Some(at), "more bytes mend it");
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
