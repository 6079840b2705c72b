//! A body that comes on a stream: that of a request, or of an answer.

use std::cell::Cell;
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use h2::RecvStream;
use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::CONTENT_LENGTH;

use super::fields::is_padded;
use crate::http::body::BodyError;
use crate::http::wire::fields::{HEADERS_MAX, number};

/// A body on its way. Its sender gets credit for a piece when the next one is asked for: when the other side has taken it.
#[derive(Debug)]
pub struct Received {
    stream: RecvStream,
    /// Bytes of the piece that was handed on last.
    owed: usize,
    /// Bytes to come, if that is known.
    left: Option<u64>,
    /// Set when the body is asked for.
    is_wanted: Option<Rc<Cell<bool>>>,
}

/// A piece with fewer bytes than this is joined with those behind it.
const SMALL_MAX: usize = 4 * 1024;

/// Bytes of small pieces that are joined, and one piece more.
const JOINED_MAX: usize = 16 * 1024;

impl Received {
    /// The body of a message with these headers.
    pub fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        let left = headers.get(CONTENT_LENGTH).and_then(|length| number(length.as_bytes()));
        Self { stream, owed: 0, left, is_wanted: None }
    }

    /// The same, which tells there when it is asked for.
    pub fn telling(mut self, is_wanted: &Rc<Cell<bool>>) -> Self {
        self.is_wanted = Some(Rc::clone(is_wanted));
        self
    }

    /// Gives credit for what was handed on.
    fn release(&mut self) {
        let owed = mem::take(&mut self.owed);
        if owed > 0 {
            // It fails only where more is given than was taken.
            _ = self.stream.flow_control().release_capacity(owed);
        }
    }

    /// A piece has come.
    fn note(&mut self, piece: &Bytes) {
        self.owed += piece.len();
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
    }

    /// A piece, with those behind it that have come already if it is small: each that is handed on costs a write.
    fn join(&mut self, first: Bytes, cx: &mut Context<'_>) -> Bytes {
        let mut joined = BytesMut::new();
        // An error is told again to who asks again.
        while first.len() < SMALL_MAX
            && joined.len() < JOINED_MAX
            && let Poll::Ready(Some(Ok(next))) = self.stream.poll_data(cx)
        {
            self.note(&next);
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&next);
        }
        if joined.is_empty() { first } else { joined.freeze() }
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(trailers) = ready!(self.stream.poll_trailers(cx)?) else { return Poll::Ready(None) };
        let is_sound = trailers.len() <= HEADERS_MAX && !trailers.values().any(is_padded);
        Poll::Ready(Some(if is_sound {
            Ok(Frame::trailers(trailers))
        } else {
            Err(io::Error::from(io::ErrorKind::InvalidData).into())
        }))
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.release();
        if let Some(is_wanted) = &self.is_wanted {
            is_wanted.set(true);
        }
        loop {
            // A reset is an error here, whatever its reason: only END_STREAM is an end (RFC 9113, 8.1).
            let Some(piece) = ready!(self.stream.poll_data(cx)?) else { return self.poll_trailers(cx) };
            self.note(&piece);
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(self.join(piece, cx)))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            return SizeHint::with_exact(0);
        }
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.release();
    }
}
