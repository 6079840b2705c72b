use hyper::header::{HeaderMap, HeaderName};
use proptest::prelude::*;

use super::*;
use crate::http::wire::decoder::Part;

/// What an answer comes to, with what stands behind it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    content: String,
    trailers: HeaderMap,
    stays: bool,
    rest: String,
}

/// Reads an answer that comes in these pieces, and then the connection's end.
fn read(asked: &Method, pieces: &[&[u8]]) -> Result<Seen, Malformed> {
    let (mut input, mut pieces) = (Bytes::new(), pieces.iter());
    let mut more = |input: &mut Bytes| {
        let piece = pieces.next();
        *input = [&input[..], piece.copied().unwrap_or_default()].concat().into();
        piece.is_some()
    };
    let Answer { head, mut body, stays } = loop {
        if let Some(answer) = take(&mut input, asked)? {
            break answer;
        }
        if !more(&mut input) {
            return Err(Malformed);
        }
    };
    let (mut content, mut trailers) = (Vec::new(), HeaderMap::new());
    loop {
        match body.next(&mut input)? {
            Part::Content(bytes) => content.extend_from_slice(&bytes),
            Part::Trailers(found) => trailers = found,
            Part::End => break,
            Part::Missing if more(&mut input) => {}
            Part::Missing => body.close()?,
        }
    }
    while more(&mut input) {}
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Seen { status: head.status().as_u16(), content: text(&content), trailers, stays, rest: text(&input) })
}

fn seen(status: u16, content: &str, stays: bool) -> Seen {
    Seen { status, content: content.into(), trailers: HeaderMap::new(), stays, rest: String::new() }
}

/// Answers to a GET, and what they come to.
fn sound() -> Vec<(&'static str, Seen)> {
    let mut sum = HeaderMap::new();
    sum.insert(HeaderName::from_static("x-sum"), HeaderValue::from_static("1"));
    vec![
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", seen(200, "hello", true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", seen(200, "", true)),
        ("HTTP/1.1 200\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab", seen(200, "ab", true)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nab", seen(200, "ab", true)),
        ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nab", seen(200, "ab", false)),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
            seen(200, "", false),
        ),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", seen(200, "until the end", false)),
        ("HTTP/1.0 200 OK\r\n\r\nold", seen(200, "old", false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", seen(200, "old", false)),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nold", seen(200, "old", true)),
        ("HTTP/1.1 204 No Content\r\n\r\n", seen(204, "", true)),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", seen(304, "", true)),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n", seen(101, "", false)),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            seen(204, "", true),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n00a\r\n, my world\r\n0\r\n\r\n",
            seen(200, "hello, my world", true),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n",
            Seen { trailers: sum, ..seen(200, "a", true) },
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\n",
            Seen { rest: "HTTP/1.1 200 OK\r\n".into(), ..seen(200, "ab", true) },
        ),
    ]
}

#[test]
fn answers_are_read_whatever_pieces_they_come_in() {
    for (text, expected) in sound() {
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(read(&Method::GET, &[one, two]).as_ref(), Ok(&expected), "{text:?} cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&Method::GET, &single), Ok(expected), "{text:?} byte by byte");
    }
}

#[test]
fn the_answer_to_head_has_no_body() {
    for framing in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n", ""] {
        let text = format!("HTTP/1.1 200 OK\r\n{framing}\r\n");
        assert_eq!(read(&Method::HEAD, &[text.as_bytes()]), Ok(seen(200, "", true)), "{text:?}");
    }
}

#[test]
fn lengths_are_said_once_and_reasons_as_they_came() {
    let mut input = Bytes::from_static(b"HTTP/1.1 200 Fine\r\nContent-Length: 7, 7\r\nContent-Length: 7\r\n\r\n");
    let answer = take(&mut input, &Method::GET).unwrap().unwrap();
    let lengths: Vec<_> = answer.head.headers().get_all(CONTENT_LENGTH).iter().collect();
    assert_eq!(lengths, ["7"]);
    assert_eq!(answer.head.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine");
}

#[test]
fn what_concerns_one_connection_ends_here_unless_that_changes_its_protocol() {
    let fields = "Link: </a>\r\nX-Secret: 1\r\nConnection: keep-alive, Upgrade, x-secret\r\nConnection: x-other, link\r\n\
        Keep-Alive: timeout=5\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\nX-Other: 2\r\nTrailer: x-sum\r\n";
    let names = |status: &str| {
        let mut input = Bytes::from(format!("HTTP/1.1 {status}\r\n{fields}\r\n"));
        let head = take(&mut input, &Method::GET).unwrap().unwrap().head;
        head.headers().keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("200 OK"), ["trailer"]);
    assert!(names("101 Switching Protocols").contains(&"upgrade".to_owned()));
}

#[test]
fn what_could_be_read_in_two_ways_is_no_answer() {
    let many: String = (0..=HEADERS_MAX).map(|number| format!("X-{number}: 1\r\n")).collect();
    let long = format!("X: {}\r\n", "a".repeat(HEAD_MAX));
    let heads = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "X-Folded: a\r\n b\r\n",
        "X-Space : a\r\n",
        ": a\r\n",
        "X-Null: a\0b\r\n",
        &many,
        &long,
    ];
    for head in heads {
        let text = format!("HTTP/1.1 200 OK\r\n{head}\r\n5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(read(&Method::GET, &[text.as_bytes()]), Err(Malformed), "{head:?}");
    }
    for start in
        ["HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "hello\r\n\r\n", ""]
    {
        assert_eq!(read(&Method::GET, &[start.as_bytes()]), Err(Malformed), "{start:?}");
    }
}

#[test]
fn a_body_that_is_not_as_was_said_is_none() {
    let trailers = format!("0\r\nX: {}\r\n\r\n", "a".repeat(16 * 1024));
    let extension = format!("1;{}\r\na\r\n0\r\n\r\n", "a".repeat(1000));
    let bodies = [
        ("Content-Length: 6", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhello0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "5\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "5 \r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "-5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", ";a\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "10000000000000000\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0\r\nX-Folded: a\r\n b\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0\r\nno trailer\r\n\r\n"),
        ("Transfer-Encoding: chunked", &trailers),
        ("Transfer-Encoding: chunked", &extension),
    ];
    for (head, body) in bodies {
        let text = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
        let bytes = text.as_bytes();
        let half = bytes.len() / 2;
        assert_eq!(read(&Method::GET, &[bytes]), Err(Malformed), "{body:?}");
        assert_eq!(read(&Method::GET, &[&bytes[..half], &bytes[half..]]), Err(Malformed), "{body:?}");
    }
}

proptest! {
    #[test]
    fn any_pieces_of_anything_come_to_the_same(
        which in 0..17_usize,
        mut cuts in prop::collection::vec(0..200_usize, 0..6),
        changed in prop::option::of((0..200_usize, any::<u8>())),
    ) {
        let mut bytes = sound()[which].0.as_bytes().to_vec();
        if let Some((at, byte)) = changed {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        prop_assert_eq!(read(&Method::GET, &pieces), read(&Method::GET, &[&bytes]));
    }
}
