//! The check that asks for a page, by HTTP/1.1 in plain text (RFC 9112).

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;

use super::line::Deadline;
use super::{Failure, Finding, Step, words};

/// Bytes of an answer's head, at most. The body is left unread.
const HEAD_MAX: usize = 16 * 1024;

/// Fields of an answer's head, at most: ten times what servers send, and 64 KiB of memory while it is read.
const FIELDS_MAX: usize = 1000;

const AGENT: &str = concat!("portti/", env!("CARGO_PKG_VERSION"));

/// Asks for the page; well is an answer with one of the statuses.
pub(super) async fn run<S>(
    stream: S,
    deadline: &Deadline,
    address: SocketAddr,
    path: &str,
    well: &[u16],
) -> Result<Finding, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let request = request(address, path)?;
    // Boxed: it is far larger than the other dialogues, whose checks would all have to carry it.
    let answer = deadline.watch(Box::pin(ask(stream, request))).await;
    let answer = answer.ok_or_else(|| deadline.missed(Step::Request))?;
    let status = answer.map_err(|error| Failure::new(Step::Request, why(&error)))?.status().as_u16();
    if well.contains(&status) { Ok(Finding::NOTHING) } else { Err(Failure::new(Step::Status, status.to_string())) }
}

fn request(address: SocketAddr, path: &str) -> Result<Request<Empty<Bytes>>, Failure> {
    let no_path = |error: &dyn Error| Failure::new(Step::Request, format!("{path:?} is no path to ask for: {error}"));
    let path: PathAndQuery = path.parse().map_err(|error| no_path(&error))?;
    Request::get(Uri::from(path))
        .header(HOST, address.to_string())
        .header(CONNECTION, "close")
        .header(USER_AGENT, AGENT)
        .body(Empty::new())
        .map_err(|error| no_path(&error))
}

/// Sends the request and waits for the answer's head. The connection ends with it.
async fn ask<S>(stream: S, request: Request<Empty<Bytes>>) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    // Of the answer only the status is wanted: fields that are odd, or a great many, say nothing about the server's health.
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let mut answer = pin!(sender.send_request(request));
    select! {
        answer = &mut answer => answer,
        // An end that comes with the answer, or instead of it, is told by the answer.
        _ended = connection => answer.await,
    }
}

/// What went wrong, as a person would say it.
fn why(error: &hyper::Error) -> String {
    if error.is_parse_too_large() {
        return format!("the answer's head is longer than {HEAD_MAX} bytes, or has more than {FIELDS_MAX} fields");
    }
    if error.is_parse() {
        return format!("the answer is not HTTP: {error}");
    }
    let source = error.source().and_then(|source| source.downcast_ref());
    match source {
        Some(io) => words(io),
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            "the connection was closed without an answer".to_owned()
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
