//! A message on its way out: its head, and its body piece by piece, as HTTP/1.1 has them (RFC 9112).

use std::io::{self, IoSlice, Write as _};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use hyper::body::Body;
use hyper::header::{HeaderMap, HeaderName, TRAILER};
use tokio::io::AsyncWrite;

use super::pieces;
use crate::http::body::BodyError;

/// Bytes that a head usually takes.
pub const HEAD_USUAL: usize = 512;

/// What is left of a message.
#[derive(Debug)]
pub struct Outgoing<B> {
    /// What goes before the piece, and how much of that is written.
    before: Vec<u8>,
    written: usize,
    /// A piece of the body.
    piece: Bytes,
    /// What goes behind it.
    after: &'static [u8],
    /// What is to come.
    body: B,
    framing: Framing,
    is_untaken: bool,
    /// Some of it has been sent since that was last asked.
    has_moved: bool,
}

/// How a body's end is told.
#[derive(Debug)]
pub enum Framing {
    /// By its length, of which so much is left to come.
    Length(u64),
    /// By an empty chunk, with these trailers behind it.
    Chunked(Vec<HeaderName>),
    /// By the connection's.
    UntilClose,
}

/// Why a message is not sent to its end.
#[derive(Debug)]
pub enum Stopped {
    /// Its body broke off.
    Body(BodyError),
    /// The other side takes no more of it.
    Refused,
}

impl<B: Body<Data = Bytes> + Unpin> Outgoing<B>
where
    B::Error: Into<BodyError>,
{
    /// A message with this head, which says how the body ends.
    pub fn new(head: Vec<u8>, body: B, framing: Framing) -> Self {
        Self {
            before: head,
            written: 0,
            piece: Bytes::new(),
            after: b"",
            body,
            framing,
            is_untaken: true,
            has_moved: false,
        }
    }

    /// Whether nothing of it has left this place.
    pub fn is_untaken(&self) -> bool {
        self.is_untaken
    }

    /// Whether some of it has been sent since that was last asked, or waits for the other side to take it.
    pub fn has_moved(&mut self) -> bool {
        mem::take(&mut self.has_moved) || !self.is_written()
    }

    /// Whether only the connection's end tells that of the body.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.framing, Framing::UntilClose)
    }

    /// Its body, if nothing of it has left this place.
    pub fn into_untaken(self) -> Option<B> {
        self.is_untaken.then_some(self.body)
    }

    /// What is to come.
    pub fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// What is to come.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// Sends what there is. Ready when all of it has been sent.
    pub fn poll_send<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>>
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

    /// Sends what has been taken of it, and asks for no more. Ready when that is sent.
    pub fn poll_send_taken<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while !self.is_written() {
            ready!(self.poll_write(stream, cx))?;
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn is_written(&self) -> bool {
        self.written == self.before.len() && self.piece.is_empty() && self.after.is_empty()
    }

    /// Whether the whole body has come.
    fn has_all(&self) -> bool {
        matches!(self.framing, Framing::Length(0))
    }

    /// Gets the next piece of the body, if there is room for it. Pending while that has to come.
    fn poll_pull(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.has_all() || !self.piece.is_empty() || !self.after.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.is_untaken = false;
        match frame.transpose().map_err(Into::into)?.map(hyper::body::Frame::into_data) {
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
            Framing::UntilClose => {}
        }
        self.piece = piece;
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        match &self.framing {
            Framing::Length(_) => return Err(wrong_length()),
            Framing::Chunked(names) => {
                self.before.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().flatten() {
                    if names.contains(name) {
                        write_field(&mut self.before, name, value.as_bytes());
                    }
                }
                self.before.extend_from_slice(b"\r\n");
            }
            Framing::UntilClose => {}
        }
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
        (self.is_untaken, self.has_moved) = (false, true);
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

/// The trailers that a message announces.
pub fn trailers_of(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    names.collect()
}

/// Writes how long the body is.
pub fn write_length(out: &mut Vec<u8>, length: u64) {
    _ = write!(out, "content-length: {length}\r\n");
}

/// Writes a header.
pub fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// There is more of a body than was said, or less.
fn wrong_length() -> BodyError {
    io::Error::from(io::ErrorKind::InvalidData).into()
}
