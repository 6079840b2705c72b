use proptest::prelude::*;

use super::*;

/// Whether all of it passes, however it is cut; where it does not, at which byte.
fn pass(text: &[u8]) -> Result<(), usize> {
    let whole = Framing::default().pass(text).map_err(|Ambiguous(at)| at);
    let mut framing = Framing::default();
    let pieces = text.iter().enumerate().try_for_each(|(at, byte)| framing.pass(&[*byte]).map_err(|_here| at));
    assert_eq!(whole, pieces, "{}", text.escape_ascii());
    whole
}

/// Where the request line of a second request is seen as one, after this.
fn ends(text: &str) -> bool {
    let mut framing = Framing::default();
    framing.pass(text.as_bytes()).unwrap();
    matches!(framing.stage, Stage::Head(_)) && framing.pass(b"GET / HTTP/1.1\n").is_err()
}

#[test]
fn requests_end_where_they_say() {
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\ncontent-length:0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding:\tChunked\r\n\r\n000\r\nX-Trailer: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n\n\r\n\0xGET /2 HTTP/1.1\r\n\r\n",
    ] {
        assert!(ends(text), "{text:?}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let cases: [&[u8]; 25] = [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: \x0bchunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding\r\n\r\n",
    ];
    for text in cases {
        assert!(pass(text).is_err(), "{}", text.escape_ascii());
    }
}

#[test]
fn chunks_are_exact() {
    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long_extension = format!("1;{}\r\n", "x".repeat(300));
    let cases: [&[u8]; 11] = [
        b"\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhello\n",
        b" 5\r\n",
        b"5 \r\n",
        b"0x5\r\n",
        b"-5\r\n",
        b"00000000000000005\r\n",
        b"5;\nx\r\n",
        long_extension.as_bytes(),
    ];
    for chunk in cases {
        assert!(pass(&[HEAD, chunk].concat()).is_err(), "{}", chunk.escape_ascii());
    }
    let trailer = b"0\r\nContent-Length: 5\r\n\r\n";
    assert!(pass(&[HEAD, trailer].concat()).is_err(), "a length behind the body");
}

#[test]
fn a_head_begins_with_its_first_byte_and_ends_with_its_last() {
    let mut framing = Framing::default();
    let text = b"\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    let (first, last) = (2, text.len() - 4);
    for (at, byte) in text.iter().enumerate() {
        framing.pass(&[*byte]).unwrap();
        assert_eq!(framing.is_in_head(), (first..last).contains(&at), "byte {at}");
    }
}

#[test]
fn the_place_is_that_of_the_byte() {
    assert_eq!(pass(b"GET / HTTP/1.1\nHost: a"), Err(14));
    // The last byte of the head is the one that tells.
    let text = b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(pass(text), Err(text.len() - 1));
}

proptest! {
    #[test]
    fn whole_requests_pass_in_whatever_pieces(bodies in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 1..6), size in 1..80_usize) {
        let mut text = Vec::new();
        for (is_chunked, body) in &bodies {
            if *is_chunked {
                text.extend(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(size) {
                    text.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    text.extend(chunk);
                    text.extend(b"\r\n");
                }
                text.extend(b"0\r\n\r\n");
            } else {
                text.extend(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).bytes());
                text.extend(body);
            }
        }
        let mut framing = Framing::default();
        for piece in text.chunks(size) {
            prop_assert_eq!(framing.pass(piece), Ok(()));
        }
        prop_assert!(matches!(framing.stage, Stage::Head(_)));
    }

    #[test]
    fn a_verdict_does_not_depend_on_the_pieces(start in 0..4_usize, tail: Vec<u8>) {
        let start: &[u8] = [&b""[..], b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"P / H\r\nContent-Length: 3\r\n\r\n"][start];
        let _verdict = pass(&[start, &tail].concat());
    }
}
