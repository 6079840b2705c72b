use hyper::header::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::http::wire::decoder::Part;

/// A request with its body.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    line: String,
    content: Vec<u8>,
    trailers: HeaderMap,
    terms: Terms,
}

const USUAL: Terms = Terms { is_1_1: true, is_head: false, takes_trailers: false, stays: true };

/// The requests of a stream that comes in pieces of that size, and what is left of it behind them.
fn read(text: &[u8], size: usize) -> Result<(Vec<Seen>, Bytes), Refused> {
    let (mut pieces, mut heads, mut input, mut seen) = (text.chunks(size), Heads::default(), Bytes::new(), Vec::new());
    let mut more = |input: &mut Bytes| {
        let piece = pieces.next();
        *input = [&input[..], piece.unwrap_or_default()].concat().into();
        piece.is_some()
    };
    loop {
        let Some(Head { request, mut body, terms, .. }) = heads.take(&mut input)? else {
            if more(&mut input) {
                continue;
            }
            return Ok((seen, input));
        };
        let (mut content, mut trailers) = (Vec::new(), HeaderMap::new());
        loop {
            match body.next(&mut input).map_err(|_malformed| Refused::Malformed)? {
                Part::Content(bytes) => content.extend_from_slice(&bytes),
                Part::Trailers(found) => trailers = found,
                Part::End => break,
                Part::Missing if more(&mut input) => {}
                Part::Missing => return Ok((seen, input)),
            }
        }
        seen.push(Seen { line: format!("{} {}", request.method(), request.uri()), content, trailers, terms });
    }
}

/// The same, whatever the pieces are.
fn requests(text: &[u8]) -> Result<Vec<Seen>, Refused> {
    let whole = read(text, text.len().max(1));
    for size in [1, 2, 7] {
        assert_eq!(read(text, size), whole, "in pieces of {size}: {}", text.escape_ascii());
    }
    whole.map(|(seen, _)| seen)
}

/// The body of the one request that this is.
fn body(text: &str) -> Result<String, Refused> {
    let seen = requests([text, "GET /next HTTP/1.1\r\n\r\n"].concat().as_bytes())?;
    assert!(seen.len() == 2 && seen[1].line == "GET /next", "{seen:?}");
    Ok(String::from_utf8_lossy(&seen[0].content).into_owned())
}

#[test]
fn requests_end_where_they_say() {
    for (text, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("POST / HTTP/1.1\r\ncontent-length:0\r\n\r\n", ""),
        ("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", "ab"),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
            "hello0123456789",
        ),
        ("POST / HTTP/1.1\r\nTransfer-Encoding:\tChunked\r\n\r\n000\r\nX-Trailer: 1\r\n\r\n", ""),
        ("POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\n\n\r\n\0xG", "\n\r\n\0xG"),
    ] {
        assert_eq!(body(text).as_deref(), Ok(expected), "{text:?}");
    }
    let seen =
        requests(b"OPTIONS * HTTP/1.1\r\n\r\nGET http://a/b?c HTTP/1.1\r\n\r\nCONNECT a:1 HTTP/1.1\r\n\r\n").unwrap();
    let lines: Vec<&str> = seen.iter().map(|seen| &*seen.line).collect();
    assert_eq!(lines, ["OPTIONS *", "GET http://a/b?c", "CONNECT a:1"]);
}

#[test]
fn trailers_are_read() {
    let seen =
        requests(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n").unwrap();
    assert_eq!(seen[0].trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn what_the_client_understands_is_noted() {
    for (head, expected) in [
        ("GET / HTTP/1.1\r\n", USUAL),
        ("GET / HTTP/1.1\r\nConnection: x, Close\r\n", Terms { stays: false, ..USUAL }),
        ("GET / HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive\r\n", Terms { stays: false, ..USUAL }),
        ("GET / HTTP/1.0\r\n", Terms { is_1_1: false, stays: false, ..USUAL }),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", Terms { is_1_1: false, ..USUAL }),
        ("HEAD / HTTP/1.1\r\n", Terms { is_head: true, ..USUAL }),
        ("GET / HTTP/1.1\r\nTE: gzip, Trailers\r\n", Terms { takes_trailers: true, ..USUAL }),
        ("GET / HTTP/1.0\r\nTE: trailers\r\n", Terms { is_1_1: false, stays: false, ..USUAL }),
    ] {
        assert_eq!(requests(format!("{head}\r\n").as_bytes()).unwrap()[0].terms, expected, "{head:?}");
    }
    for (head, expected) in [
        ("PUT / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n", true),
        ("PUT / HTTP/1.1\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n", false),
        ("PUT / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", false),
        ("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", false),
    ] {
        let head = Heads::default().take(&mut Bytes::from_static(head.as_bytes())).unwrap().unwrap();
        assert_eq!(head.expects, expected, "{head:?}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let cases: [&[u8]; 40] = [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: \x0bchunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX : a\r\n\r\n",
        b"GET / HTTP/1.1\r\n: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"GET / HTTP/1.1\r\nX\x80: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"G(T / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"GET /\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
        b"\0",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    for text in cases {
        assert_eq!(requests(text), Err(Refused::Malformed), "{}", text.escape_ascii());
    }
}

#[test]
fn a_bad_header_is_told_when_the_head_is_whole() {
    for lines in [&b"\x0e"[..], b"Hos\0: a\r\nHost: a", b"X"] {
        let begun = [b"GET / HTTP/1.1\r\n", lines, b"\r\n"].concat();
        assert_eq!(requests(&begun), Ok(Vec::new()));
        assert_eq!(requests(&[&begun[..], b"\r\n"].concat()), Err(Refused::Malformed));
    }
}

#[test]
fn chunks_are_exact() {
    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long_extension = format!("1;{}\r\n", "x".repeat(300));
    let cases: [&[u8]; 14] = [
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
        b"0\r\nX: 1\n\r\n",
        b"0\r\nX: \0\r\n\r\n",
        b"0\r\nX: 1\r\n folded\r\n\r\n",
        long_extension.as_bytes(),
    ];
    for chunk in cases {
        assert_eq!(requests(&[HEAD, chunk].concat()), Err(Refused::Malformed), "{}", chunk.escape_ascii());
    }
}

#[test]
fn a_head_has_bounds() {
    let of =
        |headers: &str| read(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes(), 1000).map(|(seen, _)| seen.len());
    assert_eq!(of(&"x: y\r\n".repeat(HEADERS_MAX)), Ok(1));
    assert_eq!(of(&"x: y\r\n".repeat(HEADERS_MAX + 1)), Err(Refused::TooLarge));
    let long = |length: usize| format!("x: {}\r\n", "y".repeat(length));
    assert_eq!(of(&long(HEAD_MAX - 100)), Ok(1));
    assert_eq!(of(&long(HEAD_MAX)), Err(Refused::TooLarge));
    let endless = [b"GET / HTTP/1.1\r\nx: ", &[b'y'; HEAD_MAX][..]].concat();
    assert_eq!(read(&endless, 1000), Err(Refused::TooLarge), "before its end has come");
}

proptest! {
    #[test]
    fn whole_requests_are_read_from_whatever_pieces(
        bodies in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 1..6),
        size in 1..80_usize,
    ) {
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
        let (seen, rest) = read(&text, size).unwrap();
        let contents: Vec<&[u8]> = seen.iter().map(|seen| &*seen.content).collect();
        let expected: Vec<&[u8]> = bodies.iter().map(|(_, body)| &**body).collect();
        prop_assert_eq!(contents, expected);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_verdict_does_not_depend_on_the_pieces(start in 0..4_usize, tail: Vec<u8>) {
        let start: &[u8] = [
            &b""[..],
            b"GET / HTTP/1.1\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"P / HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
        ][start];
        let _verdict = requests(&[start, &tail].concat());
    }
}

#[test]
fn options_of_a_host_alone_are_about_the_whole_server() {
    for (line, expected) in [
        ("OPTIONS http://a HTTP/1.1", "*"),
        ("OPTIONS http://a:80 HTTP/1.1", "*"),
        ("OPTIONS http://a/ HTTP/1.1", "/"),
        ("OPTIONS http://a?x HTTP/1.1", "/"),
        ("OPTIONS /?u=http://a HTTP/1.1", "/"),
        ("GET http://a HTTP/1.1", "/"),
    ] {
        let mut input = Bytes::from(format!("{line}\r\nHost: a\r\n\r\n"));
        let head = Heads::default().take(&mut input).unwrap().unwrap();
        assert_eq!(head.request.uri().path(), expected, "{line}");
    }
}
