//! One side of a tunnel: a connection that was HTTP's, or a stream of one.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::websocket::Frames;
use crate::relay::{Liveness, Quality, Socket, Stop};

/// A byte stream of which some may have been read before its time.
#[derive(Debug)]
pub struct Line<S> {
    stream: S,
    early: Bytes,
    /// Toward the client of a WebSocket: how it is left.
    parting: Option<Rc<Parting>>,
}

/// Leaves the client of a WebSocket where a last word may be said: between two frames.
#[derive(Debug, Default)]
pub struct Parting {
    frames: RefCell<Frames>,
    is_leaving: Cell<bool>,
    /// Asked when it is time for the last word.
    stop: Stop,
}

impl<S> Line<S> {
    /// A stream from which these bytes have been read already.
    pub fn new(stream: S, early: Bytes) -> Self {
        Self { stream, early, parting: None }
    }

    /// The same, with frames that are watched on their way out.
    pub fn watched_by(self, parting: &Rc<Parting>) -> Self {
        Self { parting: Some(Rc::clone(parting)), ..self }
    }

    /// The stream itself, past what watches it.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl Parting {
    /// Lets nothing more out than the frame that is under way, and then asks to stop.
    pub fn leave(&self) {
        self.is_leaving.set(true);
        self.look();
    }

    /// Asks when the frame that was under way is out.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Whether a last word may be said here.
    pub fn may_speak(&self) -> bool {
        self.frames.borrow().may_insert()
    }

    /// How much of this may go out.
    fn share(&self, bytes: &[u8]) -> usize {
        if self.is_leaving.get() { self.frames.borrow().rest_in(bytes) } else { bytes.len() }
    }

    fn passed(&self, bytes: &[u8]) {
        self.frames.borrow_mut().pass(bytes);
        self.look();
    }

    fn look(&self) {
        if self.is_leaving.get() && self.frames.borrow().is_between() {
            self.stop.ask();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let taken = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early[..taken]);
        self.early.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(parting) = self.parting.as_ref().map(Rc::clone) else {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        };
        let share = parting.share(bytes);
        if share == 0 {
            // The stop has been asked for: that wakes the task.
            return Poll::Pending;
        }
        let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..share]))?;
        parting.passed(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Socket> Socket for Line<S> {
    const ENDS_WHEN_DROPPED: bool = S::ENDS_WHEN_DROPPED;
    const MARKS_END: bool = S::MARKS_END;

    fn is_broken(&self) -> bool {
        self.stream.is_broken()
    }

    fn poll_cut(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_cut(cx)
    }

    fn is_delivered(&self) -> bool {
        self.stream.is_delivered()
    }

    fn has_ended(&self) -> bool {
        self.stream.has_ended()
    }

    fn unacknowledged(&self) -> Option<Duration> {
        self.stream.unacknowledged()
    }

    fn settle(&self, liveness: Liveness) {
        self.stream.settle(liveness);
    }

    fn break_off(&self) {
        self.stream.break_off();
    }

    fn quality(&self) -> Option<Quality> {
        self.stream.quality()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::relay::Asked;

    fn has_asked(parting: &Parting) -> bool {
        parting.stop().poll(&Context::from_waker(std::task::Waker::noop())) == Asked::End
    }

    #[tokio::test]
    async fn what_was_read_early_comes_first() {
        let (mut far, near) = duplex(100);
        let mut line = Line::new(near, Bytes::from_static(b"early "));
        far.write_all(b"late").await.unwrap();
        drop(far);
        let mut small = [0; 2];
        line.read_exact(&mut small).await.unwrap();
        let mut rest = String::new();
        line.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&small, rest.as_str()), (b"ea", "rly late"));
    }

    #[tokio::test]
    async fn it_is_left_at_the_end_of_a_frame() {
        let (mut far, near) = duplex(100);
        let parting = Rc::new(Parting::default());
        let mut line = Line::new(near, Bytes::new()).watched_by(&parting);
        line.write_all(&[0x82, 3, 1]).await.unwrap();
        parting.leave();
        assert!(!parting.may_speak() && !has_asked(&parting));
        // The rest of the frame goes out, and nothing of the next.
        assert_eq!(line.write(&[2, 3, 0x82, 1, 9]).await.unwrap(), 2);
        assert!(parting.may_speak() && has_asked(&parting));
        let next = poll_once(Pin::new(&mut line), &[0x82, 1, 9]);
        assert!(next.is_pending());
        drop(line);
        let mut seen = Vec::new();
        far.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, [0x82, 3, 1, 2, 3]);
    }

    fn poll_once(line: Pin<&mut impl AsyncWrite>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        line.poll_write(&mut Context::from_waker(std::task::Waker::noop()), bytes)
    }

    #[test]
    fn between_frames_it_is_left_at_once() {
        let parting = Parting::default();
        assert!(!has_asked(&parting));
        parting.leave();
        assert!(parting.may_speak() && has_asked(&parting));
    }
}
