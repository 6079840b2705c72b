//! A body on its way out, on a stream: that of an answer to a client, or of a request to a backend.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Reason, SendStream};
use hyper::body::{Body, Bytes, Frame};
use tokio::time::Instant;

use super::buffered::{Buffered, Piece};
use crate::http::body::BodyError;
use crate::http::timer::Timer;

/// A body on its way. A piece of it is asked for when the other side has room for some of it.
#[derive(Debug)]
pub struct Sending<B> {
    stream: SendStream<Bytes>,
    body: B,
    piece: Piece,
    buffered: Rc<Buffered>,
    /// How long the other side may take nothing of it.
    limit: Option<Duration>,
    /// Until when it must take some; `None` while it does not have to.
    deadline: Option<Instant>,
    timer: Timer,
    is_begun: bool,
    waits: Waits,
}

/// Since when the other side has no room for any of a body; `None` while it has. For whoever else wants to know.
pub type Waits = Rc<Cell<Option<Instant>>>;

/// Why a body is not sent to its end. The other side has been told, if there is somebody to tell.
#[derive(Debug)]
pub enum Stopped {
    /// It broke off.
    Body(BodyError),
    /// The other side wants no more of it.
    Refused,
    /// The other side has taken nothing for too long.
    Late,
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    /// Sends a body on this stream, of which the other side may take nothing for so long.
    pub fn new(stream: SendStream<Bytes>, body: B, buffered: &Rc<Buffered>, limit: Option<Duration>) -> Self {
        let (piece, buffered) = (Piece::empty(buffered), Rc::clone(buffered));
        Self {
            stream,
            body,
            piece,
            buffered,
            limit,
            deadline: None,
            timer: Timer::default(),
            is_begun: false,
            waits: Waits::default(),
        }
    }

    /// What is to come.
    pub fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Since when it waits.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// The body, if nothing was taken of it.
    pub fn into_untaken(self) -> Option<B> {
        (!self.is_begun).then_some(self.body)
    }

    /// Sends what there is, as far as the other side takes it. Ready when all of it is sent.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        let sent = ready!(self.poll_send(cx));
        match &sent {
            Ok(()) | Err(Stopped::Refused) => {}
            Err(Stopped::Body(_)) => self.stream.send_reset(Reason::INTERNAL_ERROR),
            Err(Stopped::Late) => self.stream.send_reset(Reason::CANCEL),
        }
        Poll::Ready(sent)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(Stopped::Refused));
        }
        loop {
            let Poll::Ready(room) = self.poll_room(cx) else {
                self.waits.set(Some(self.waits.get().unwrap_or_else(Instant::now)));
                return self.poll_late(cx).map(|()| Err(Stopped::Late));
            };
            self.deadline = None;
            self.waits.set(None);
            let is_over = if self.piece.is_empty() {
                let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
                self.is_begun = true;
                self.note(frame.transpose().map_err(|why| Stopped::Body(why.into()))?)
            } else {
                let taken = self.piece.take(room.ok_or(Stopped::Refused)?);
                let is_last = self.piece.is_empty() && self.body.is_end_stream();
                self.stream.send_data(taken, is_last).map(|()| is_last)
            };
            if is_over.map_err(|_gone| Stopped::Refused)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// How many bytes the other side takes now; `None` if it takes no more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        if self.piece.is_empty() {
            ready!(self.buffered.poll_room(cx));
        }
        self.stream.reserve_capacity(self.piece.len().max(1));
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(self.stream.capacity()))
    }

    /// What comes next of the body, or its end: whether that was all, and is sent.
    fn note(&mut self, frame: Option<Frame<Bytes>>) -> Result<bool, h2::Error> {
        match frame.map(Frame::into_data) {
            Some(Ok(piece)) if piece.is_empty() && !self.body.is_end_stream() => Ok(false),
            Some(Ok(piece)) if !piece.is_empty() => {
                self.piece.fill(piece);
                Ok(false)
            }
            Some(Err(frame)) => self.stream.send_trailers(frame.into_trailers().unwrap_or_default()).map(|()| true),
            Some(Ok(_)) | None => self.stream.send_data(Bytes::new(), true).map(|()| true),
        }
    }

    /// Ready when the other side has taken nothing for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else { return Poll::Pending };
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limit);
        self.timer.poll_until(cx, deadline)
    }
}
