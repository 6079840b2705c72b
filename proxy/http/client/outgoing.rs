//! A request on its way to a backend: its head, and its body piece by piece.

use std::cell::Cell;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use hyper::body::Body;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, TRAILER, TRANSFER_ENCODING};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};
use tokio::io::AsyncWrite;

use super::answer::number;
use crate::http::body::{Awaited, BodyError, Upload};
use crate::http::pieces;

/// What is left of a request.
#[derive(Debug)]
pub(super) struct Outgoing<B> {
    /// What goes before the piece, and how much of that is written.
    before: Vec<u8>,
    written: usize,
    /// A piece of the body.
    piece: Bytes,
    /// What goes behind it.
    after: &'static [u8],
    /// What is to come.
    body: Upload<B>,
    framing: Framing,
    is_untaken: bool,
}

/// How a body's end is told.
#[derive(Debug)]
enum Framing {
    /// By its length, of which so much is left to come.
    Length(u64),
    /// By an empty chunk, with these trailers behind it.
    Chunked(Vec<HeaderName>),
}

/// Why a request is not sent to its end.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Its body broke off.
    Body(BodyError),
    /// The backend takes no more of it.
    Refused,
}

/// What a head usually takes.
const HEAD_USUAL: usize = 512;

impl<B: Body<Data = Bytes> + Unpin> Outgoing<B>
where
    B::Error: Into<BodyError>,
{
    /// A request. Where its body ends is said in the way that is followed here, whatever its headers say.
    pub(super) fn new<T>(request: &Request<T>, body: Upload<B>) -> Self {
        let mut before = Vec::with_capacity(HEAD_USUAL);
        write_line(&mut before, request.method(), request.uri());
        for (name, value) in request.headers() {
            if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
                write_field(&mut before, name, value.as_bytes());
            }
        }
        let framing = match length_of(request.headers(), &body) {
            Some(length) => {
                write_field(&mut before, &CONTENT_LENGTH, length.to_string().as_bytes());
                Framing::Length(length)
            }
            None if matches!(body, Upload::Empty) => Framing::Length(0),
            None => {
                write_field(&mut before, &TRANSFER_ENCODING, b"chunked");
                Framing::Chunked(trailers_of(request.headers()))
            }
        };
        before.extend_from_slice(b"\r\n");
        Self { before, written: 0, piece: Bytes::new(), after: b"", body, framing, is_untaken: true }
    }

    /// Whether nothing of it has left this place.
    pub(super) fn is_untaken(&self) -> bool {
        self.is_untaken
    }

    /// Its body, if nothing of it has left this place.
    pub(super) fn into_untaken(self) -> Option<Upload<B>> {
        self.is_untaken.then_some(self.body)
    }

    /// How long the backend may take none of it, and whether it is its turn.
    pub(super) fn patience(&self) -> (Option<Duration>, Option<Rc<Cell<Awaited>>>) {
        (self.body.limit(), self.body.awaited())
    }

    /// Sends what there is. Ready when all of it has been sent.
    pub(super) fn poll_send<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>>
    where
        S: AsyncWrite + Unpin,
    {
        loop {
            // What is there of the body at once goes with the head.
            let is_waiting = self.poll_pull(cx).map_err(Stopped::Body)?.is_pending();
            if !self.is_written() {
                ready!(self.poll_write(stream, cx)).map_err(|_broken| Stopped::Refused)?;
            } else if is_waiting || self.has_all() {
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(|_broken| Stopped::Refused)?;
                return if is_waiting { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
        }
    }

    fn is_written(&self) -> bool {
        self.written == self.before.len() && self.piece.is_empty() && self.after.is_empty()
    }

    /// Whether the whole body has come.
    fn has_all(&self) -> bool {
        matches!(self.framing, Framing::Length(0))
    }

    /// Gets the next piece of the body, if there is room for it. Pending while the client has to send it.
    fn poll_pull(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.has_all() || !self.piece.is_empty() || !self.after.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.is_untaken = false;
        match frame.transpose()?.map(hyper::body::Frame::into_data) {
            Some(Ok(piece)) if piece.is_empty() => {}
            Some(Ok(piece)) => self.take(piece)?,
            Some(Err(frame)) => self.end(frame.into_trailers().ok())?,
            None => self.end(None)?,
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, piece: Bytes) -> Result<(), BodyError> {
        match &mut self.framing {
            Framing::Length(left) => *left = left.checked_sub(piece.len() as u64).ok_or_else(wrong_length)?,
            Framing::Chunked(_) => {
                write!(self.before, "{:X}\r\n", piece.len())?;
                self.after = b"\r\n";
            }
        }
        self.piece = piece;
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        let Framing::Chunked(names) = &self.framing else { return Err(wrong_length()) };
        self.before.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.iter().flatten() {
            if names.contains(name) {
                write_field(&mut self.before, name, value.as_bytes());
            }
        }
        self.before.extend_from_slice(b"\r\n");
        self.framing = Framing::Length(0);
        Ok(())
    }

    /// Writes as much as it can at once.
    fn poll_write<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = &self.before[self.written..];
        let stream = Pin::new(stream);
        let mut taken = ready!(if self.piece.is_empty() && self.after.is_empty() {
            stream.poll_write(cx, before)
        } else {
            let slices = [before, &self.piece, self.after].map(IoSlice::new);
            pieces::poll_write(stream, cx, &slices)
        })?;
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.is_untaken = false;
        let of_before = taken.min(before.len());
        self.written += of_before;
        taken -= of_before;
        if self.written == self.before.len() {
            self.before.clear();
            self.written = 0;
        }
        let of_piece = taken.min(self.piece.len());
        self.piece.advance(of_piece);
        self.after = &self.after[taken - of_piece..];
        Poll::Ready(Ok(()))
    }
}

/// The body's length, if it is known: what the client said, else what it turned out to be.
fn length_of<B: Body<Data = Bytes> + Unpin>(headers: &HeaderMap, body: &Upload<B>) -> Option<u64>
where
    B::Error: Into<BodyError>,
{
    let said = headers.get(CONTENT_LENGTH).and_then(|value| number(value.as_bytes()));
    said.or_else(|| body.size_hint().exact().filter(|_| !matches!(body, Upload::Empty)))
}

/// The trailers that a request announces.
fn trailers_of(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    names.collect()
}

fn write_line(out: &mut Vec<u8>, method: &Method, target: &Uri) {
    let target = target.path_and_query().map_or("/", PathAndQuery::as_str);
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// There is more of a body than was said, or less.
fn wrong_length() -> BodyError {
    io::Error::from(io::ErrorKind::InvalidData).into()
}
