//! Heads of requests, as they are written for a backend.

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, TE, TRANSFER_ENCODING};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};

use crate::http::body::{BodyError, Upload};
use crate::http::wire::fields::number;
use crate::http::wire::outgoing::{Framing, HEAD_USUAL, Outgoing, trailers_of, write_field, write_length};

/// A request. Where its body ends is said in the way that is followed here, whatever its headers say.
pub(super) fn outgoing<T, B>(request: &Request<T>, body: Upload<B>) -> Outgoing<Upload<B>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    let mut head = Vec::with_capacity(HEAD_USUAL);
    write_line(&mut head, request.method(), request.uri());
    let (mut names_te, mut has_options) = (false, false);
    for (name, value) in request.headers() {
        names_te |= name == TE;
        has_options |= name == CONNECTION;
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            write_field(&mut head, name, value.as_bytes());
        }
    }
    if names_te && !has_options {
        // It concerns this connection alone (RFC 9110, 10.1.4).
        write_field(&mut head, &CONNECTION, b"TE");
    }
    let framing = match length_of(request.headers(), &body) {
        Some(length) => {
            write_length(&mut head, length);
            Framing::Length(length)
        }
        None if matches!(body, Upload::Empty) => {
            if usually_has_body(request.method()) {
                write_length(&mut head, 0);
            }
            Framing::Length(0)
        }
        None => {
            write_field(&mut head, &TRANSFER_ENCODING, b"chunked");
            Framing::Chunked(trailers_of(request.headers()))
        }
    };
    head.extend_from_slice(b"\r\n");
    Outgoing::new(head, body, framing)
}

/// The body's length, if it is known: what the client said, else what it turned out to be.
fn length_of<B: Body<Data = Bytes> + Unpin>(headers: &HeaderMap, body: &Upload<B>) -> Option<u64>
where
    B::Error: Into<BodyError>,
{
    let said = headers.get(CONTENT_LENGTH).and_then(|value| number(value.as_bytes()));
    said.or_else(|| body.size_hint().exact().filter(|_| !matches!(body, Upload::Empty)))
}

/// Whether servers want to be told that there is none (RFC 9110, 8.6; 411).
fn usually_has_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn write_line(out: &mut Vec<u8>, method: &Method, target: &Uri) {
    let target = target.path_and_query().map_or("/", PathAndQuery::as_str);
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
