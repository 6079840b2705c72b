//! A stream that reads and writes in pieces, and now and then not at all.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::relay::{Liveness, Socket};

/// Passes at most a few bytes at a time. A piece of 0 is "not now, ask again".
#[derive(Debug)]
pub(super) struct Fragmented {
    inner: DuplexStream,
    pieces: Vec<usize>,
    next: usize,
}

impl Fragmented {
    pub(super) fn new(inner: DuplexStream, pieces: Vec<usize>) -> Self {
        Self { inner, pieces, next: 0 }
    }

    fn piece(&mut self, cx: &Context<'_>) -> Poll<usize> {
        let piece = self.pieces[self.next % self.pieces.len()];
        self.next += 1;
        if piece == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(piece)
    }
}

impl AsyncRead for Fragmented {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let piece = ready!(self.piece(cx));
        let mut part = buffer.take(piece);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        let filled = part.filled().len();
        buffer.advance(filled);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Fragmented {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let piece = ready!(self.piece(cx)).min(bytes.len());
        Pin::new(&mut self.inner).poll_write(cx, &bytes[..piece])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.piece(cx));
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.piece(cx));
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Socket for Fragmented {
    const ENDS_WHEN_DROPPED: bool = false;

    fn is_broken(&self) -> bool {
        false
    }

    fn settle(&self, _: Liveness) {}
}
