//! Answers, as they are written for a client.

use std::io::Write as _;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::body::Body;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};

use super::head::Terms;
use crate::http::body::BodyError;
use crate::http::wire::fields::number;
use crate::http::wire::outgoing::{Framing, HEAD_USUAL, Outgoing, trailers_of, write_field, write_length};

/// An answer, behind what has been begun before it, and whether the connection stays. Where its body ends is said in the way that is
/// followed here, whatever its headers say.
pub(super) fn outgoing<B>(before: Vec<u8>, response: Response<B>, terms: Terms) -> (Outgoing<B>, bool)
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    let (parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    let framing = framing_of(&parts, length, terms);
    let stays = terms.stays && !matches!(framing, Framing::UntilClose);
    let mut head = before;
    head.reserve(HEAD_USUAL);
    write_status(&mut head, &parts);
    write_headers(&mut head, &parts, said_length(&parts, length, terms));
    if matches!(framing, Framing::Chunked(_)) {
        write_field(&mut head, &TRANSFER_ENCODING, b"chunked");
    }
    match (stays, terms.is_1_1) {
        _ if parts.status == StatusCode::SWITCHING_PROTOCOLS => {}
        (true, true) => {}
        (true, false) => write_field(&mut head, &CONNECTION, b"keep-alive"),
        (false, _) => write_field(&mut head, &CONNECTION, b"close"),
    }
    head.extend_from_slice(b"\r\n");
    (Outgoing::new(head, body, framing), stays)
}

/// How the body's end is told (RFC 9112, 6.3).
fn framing_of(parts: &Parts, length: Option<u64>, terms: Terms) -> Framing {
    match length {
        _ if terms.is_head || has_no_body(parts.status) => Framing::Length(0),
        Some(length) => Framing::Length(length),
        None if !terms.is_1_1 => Framing::UntilClose,
        None if terms.takes_trailers => Framing::Chunked(trailers_of(&parts.headers)),
        None => Framing::Chunked(Vec::new()),
    }
}

fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// What `Content-Length` says.
enum Length {
    /// What the headers say: it is not that of what follows.
    AsItIs,
    /// That of what follows.
    Known(u64),
    /// Nothing.
    Unsaid,
}

fn said_length(parts: &Parts, length: Option<u64>, terms: Terms) -> Length {
    match (parts.status, length) {
        (StatusCode::NOT_MODIFIED, _) => Length::AsItIs,
        (status, _) if has_no_body(status) => Length::Unsaid,
        // Of what a backend has not sent, only it knows the length; what this proxy says itself is there.
        (_, None | Some(0)) if terms.is_head => Length::AsItIs,
        (_, Some(_)) if terms.is_head && parts.headers.contains_key(CONTENT_LENGTH) => Length::AsItIs,
        (_, Some(length)) => Length::Known(length),
        (_, None) => Length::Unsaid,
    }
}

fn write_status(head: &mut Vec<u8>, parts: &Parts) {
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(parts.status.as_str().as_bytes());
    head.push(b' ');
    let usual = || parts.status.canonical_reason().unwrap_or_default().as_bytes();
    head.extend_from_slice(parts.extensions.get().map_or_else(usual, ReasonPhrase::as_bytes));
    head.extend_from_slice(b"\r\n");
}

/// The headers, with a date in any case (RFC 9110, 6.6.1).
fn write_headers(head: &mut Vec<u8>, parts: &Parts, length: Length) {
    let (mut has_date, mut has_length) = (false, false);
    for (name, value) in &parts.headers {
        if name == CONTENT_LENGTH {
            let is_right = match length {
                Length::AsItIs => true,
                Length::Known(length) => number(value.as_bytes()) == Some(length),
                Length::Unsaid => false,
            };
            if !is_right || has_length {
                continue;
            }
            has_length = true;
        } else if name == TRANSFER_ENCODING {
            continue;
        }
        has_date |= name == DATE;
        write_field(head, name, value.as_bytes());
    }
    if let Length::Known(length) = length
        && !has_length
    {
        write_length(head, length);
    }
    if !has_date {
        _ = write!(head, "date: {}\r\n", httpdate::HttpDate::from(SystemTime::now()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use hyper::body::{Frame, SizeHint};
    use hyper::header::HeaderMap;

    use super::*;

    const USUAL: Terms = Terms { is_1_1: true, is_head: false, takes_trailers: false, stays: true };
    const HEAD: Terms = Terms { is_head: true, ..USUAL };
    const OLD: Terms = Terms { is_1_1: false, stays: false, ..USUAL };

    /// A body of these frames, of a length that is known or not.
    struct Frames(VecDeque<Frame<Bytes>>, Option<u64>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }

        fn size_hint(&self) -> SizeHint {
            self.1.map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    fn known(text: &'static str) -> Frames {
        Frames(VecDeque::from([Frame::data(Bytes::from_static(text.as_bytes()))]), Some(text.len() as u64))
    }

    /// `ab`, of a length that is not known, and trailers.
    fn unknown() -> Frames {
        let trailers = HeaderMap::from_iter([("x-sum", "1"), ("x-other", "2")].map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), hyper::header::HeaderValue::from_static(value))
        }));
        Frames(VecDeque::from([Frame::data(Bytes::from_static(b"ab")), Frame::trailers(trailers)]), None)
    }

    /// What is written behind the status, and whether the connection stays.
    fn written(status: u16, headers: &[(&str, &str)], body: Frames, terms: Terms) -> (String, bool) {
        let dated = Response::builder().status(status).header(DATE, "now");
        let response = headers.iter().fold(dated, |builder, (name, value)| builder.header(*name, *value));
        let (mut outgoing, stays) = outgoing(Vec::new(), response.body(body).unwrap(), terms);
        let mut seen = Vec::new();
        assert!(outgoing.poll_send(&mut seen, &mut Context::from_waker(Waker::noop())).is_ready());
        let seen = String::from_utf8(seen).unwrap();
        (seen.split_once("\r\ndate: now\r\n").unwrap().1.to_owned(), stays)
    }

    #[test]
    fn the_end_is_told_in_the_way_that_the_client_understands() {
        let said = [("content-length", "2")];
        let announced = [("trailer", "x-sum")];
        let trailing = Terms { takes_trailers: true, ..USUAL };
        let old_that_stays = Terms { stays: true, ..OLD };
        for ((status, headers, body, terms), expected) in [
            ((200, &[][..], known("ab"), USUAL), ("content-length: 2\r\n\r\nab", true)),
            ((200, &said[..], known("ab"), USUAL), ("content-length: 2\r\n\r\nab", true)),
            ((200, &[("content-length", "3")], known("ab"), USUAL), ("content-length: 2\r\n\r\nab", true)),
            ((200, &[("transfer-encoding", "chunked")], known(""), USUAL), ("content-length: 0\r\n\r\n", true)),
            (
                (200, &[], known(""), Terms { stays: false, ..USUAL }),
                ("content-length: 0\r\nconnection: close\r\n\r\n", false),
            ),
            ((200, &[], unknown(), USUAL), ("transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", true)),
            (
                (200, &announced, unknown(), trailing),
                ("trailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n", true),
            ),
            ((200, &[], unknown(), OLD), ("connection: close\r\n\r\nab", false)),
            ((200, &[], unknown(), old_that_stays), ("connection: close\r\n\r\nab", false)),
            ((200, &[], known("ab"), old_that_stays), ("content-length: 2\r\nconnection: keep-alive\r\n\r\nab", true)),
            // None is sent, and its length is told as far as it is known.
            ((200, &[], known("ab"), HEAD), ("content-length: 2\r\n\r\n", true)),
            ((200, &[("content-length", "9")], known(""), HEAD), ("content-length: 9\r\n\r\n", true)),
            ((200, &[], known(""), HEAD), ("\r\n", true)),
            ((200, &[], unknown(), HEAD), ("\r\n", true)),
            ((304, &[("content-length", "9")], known(""), USUAL), ("content-length: 9\r\n\r\n", true)),
            ((204, &[("content-length", "0")], known(""), USUAL), ("\r\n", true)),
            ((101, &[("connection", "upgrade")], known(""), USUAL), ("connection: upgrade\r\n\r\n", true)),
        ] {
            let (seen, stays) = written(status, headers, body, terms);
            assert_eq!((&*seen, stays), expected, "{status} {headers:?} {terms:?}");
        }
    }

    #[test]
    fn a_date_is_in_every_answer_and_the_reason_as_it_came() {
        let mut response = Response::new(known(""));
        *response.status_mut() = StatusCode::NOT_FOUND;
        let head = |response| {
            let (mut outgoing, _) = outgoing(b"before ".to_vec(), response, USUAL);
            let mut seen = Vec::new();
            assert!(outgoing.poll_send(&mut seen, &mut Context::from_waker(Waker::noop())).is_ready());
            String::from_utf8(seen).unwrap()
        };
        let seen = head(response);
        assert!(seen.starts_with("before HTTP/1.1 404 Not Found\r\n") && seen.contains(" GMT\r\n"), "{seen}");
        let mut response = Response::new(known(""));
        response.extensions_mut().insert(ReasonPhrase::from_static(b"Fine"));
        assert!(head(response).starts_with("before HTTP/1.1 200 Fine\r\n"));
        let mut odd = Response::new(known(""));
        *odd.status_mut() = StatusCode::from_u16(299).unwrap();
        assert!(head(odd).starts_with("before HTTP/1.1 299 \r\n"));
    }
}
