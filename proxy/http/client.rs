//! HTTP/1.1 toward a backend: one connection, on which one request goes out after the other.
//!
//! Whoever sends a request does it all himself, in his own task: he writes it, and reads its answer when somebody wants more of it.
//! Nothing stands behind a connection, so that there is nothing to be woken, and one that is dropped is closed. Only where an answer
//! comes before its request has been sent to the end does the rest of that go on in a task of its own: it is not to wait for who
//! reads the answer.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf, split};
use tokio::task::{AbortHandle, spawn_local, unconstrained};
use tokio::time::Instant;

pub mod answer;
mod request;

use self::answer::Answer;
use super::body::{BodyError, Upload, within};
use super::timer::Timer;
use super::wire::decoder::{Decoder, Part};
use super::wire::fields::{HEAD_MAX, Malformed};
use super::wire::input::{self, Input};
use super::wire::outgoing::{Outgoing, Stopped};

/// A connection to a backend.
#[derive(Debug)]
pub struct Connection<S, B> {
    side: Side<S>,
    input: Input,
    /// What is left of the request.
    outgoing: Option<Outgoing<Upload<B>>>,
    /// What is left of the answer.
    decoder: Decoder,
    /// Another request may be sent behind this one.
    stays: bool,
    /// A request was sent whose answer has not begun.
    is_unanswered: bool,
    /// What resets the stream when it is given up in the midst of an exchange.
    reset: Option<fn(&S)>,
    /// For whoever bounds the time of an answer, one after the other.
    pub timer: Timer,
}

#[derive(Debug)]
enum Side<S> {
    Whole(S),
    /// The other half is where the rest of a request is sent.
    Reading(ReadHalf<S>, Rest),
    Gone,
}

/// The rest of a request, which goes on after its answer has begun: as long as somebody reads that, and from then on only if the
/// backend has not said that it closes the connection.
#[derive(Debug)]
struct Rest {
    task: AbortHandle,
    outlives_answer: bool,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if !self.outlives_answer {
            self.task.abort();
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Broken {
    /// The backend closed the connection, or said what is no answer.
    Reset,
    /// The request's body broke off.
    Body(BodyError),
}

/// Bytes that are read before the head of an answer is there: as much as that may have, and as much of what only says that one will
/// come (1xx). With a read's worth beyond, which may be of its body.
const UNANSWERED_MAX: usize = 2 * HEAD_MAX + input::MANY;

impl<S, B> Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// On a stream that has just been opened.
    pub fn new(stream: S) -> Self {
        Self {
            side: Side::Whole(stream),
            input: Input::default(),
            outgoing: None,
            decoder: Decoder::length(0),
            stays: true,
            is_unanswered: false,
            reset: None,
            timer: Timer::default(),
        }
    }

    /// The same, which is reset in this way when it is given up in the midst of an exchange. Closed in order it would keep its
    /// port for a minute (TIME_WAIT), and clients that cancel what they ask for could use up all ports.
    pub fn reset_by(mut self, reset: fn(&S)) -> Self {
        self.reset = Some(reset);
        self
    }

    /// Whether the backend has closed it, or said something unasked, while it had nothing to do: as far as is known without asking
    /// the kernel.
    pub fn is_closed(&mut self) -> bool {
        let side = &mut self.side;
        let asked = poll_fn(|cx| Pin::new(&mut *side).poll_read(cx, &mut ReadBuf::new(&mut [0])));
        // Also of a task that has had its turn: it would hear of none any more that it is closed.
        pin!(unconstrained(asked)).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Whether another request may be sent on it: the last one has been, and its answer has been read, both to the end.
    pub fn is_free(&self) -> bool {
        let is_sent = self.outgoing.is_none() && matches!(self.side, Side::Whole(_));
        self.stays && is_sent && self.decoder.is_over() && self.input.is_empty()
    }

    /// Sends a request, and waits for the head of its answer.
    ///
    /// # Errors
    /// There is none. If nothing of the request has left this place, its body is there again.
    pub async fn send(&mut self, request: &mut Request<Option<Upload<B>>>) -> Result<Response<()>, Broken> {
        let Some(body) = request.body_mut().take() else { return Err(Broken::Reset) };
        self.outgoing = Some(request::outgoing(request, body));
        (self.stays, self.is_unanswered) = (true, true);
        self.input.begin_anew();
        let mut left = UNANSWERED_MAX;
        let answered = poll_fn(|cx| self.poll_answer(cx, request.method(), &mut left)).await;
        if answered.is_err() {
            self.stays = false;
            *request.body_mut() = self.outgoing.take().and_then(Outgoing::into_untaken);
        }
        answered
    }

    /// The stream, and what was read of what comes behind the answer; `None` if the request has not been sent to its end.
    pub fn into_parts(mut self) -> Option<(S, Bytes)> {
        match mem::replace(&mut self.side, Side::Gone) {
            Side::Whole(stream) => Some((stream, mem::take(&mut self.input).into_bytes())),
            Side::Reading(..) | Side::Gone => None,
        }
    }

    /// The head of the answer, within so many bytes.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        asked: &Method,
        left: &mut usize,
    ) -> Poll<Result<Response<()>, Broken>> {
        self.poll_send(cx)?;
        loop {
            let answer = answer::take(self.input.bytes(), asked).map_err(|Malformed| Broken::Reset)?;
            if let Some(Answer { head, body, stays }) = answer {
                // Nothing of it has been passed on yet: it is told as one that is none.
                body.check(self.input.bytes()).map_err(|Malformed| Broken::Reset)?;
                (self.decoder, self.is_unanswered) = (body, false);
                self.stays &= stays;
                self.send_rest_apart();
                self.note_end();
                return Poll::Ready(Ok(head));
            }
            let read = ready!(self.input.poll_more(&mut self.side, cx)).map_err(|_broken| Broken::Reset)?;
            if read == 0 || read > *left {
                return Poll::Ready(Err(Broken::Reset));
            }
            *left -= read;
        }
    }

    /// Sends what there is of the request.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let (Side::Whole(stream), Some(outgoing)) = (&mut self.side, &mut self.outgoing) else { return Ok(()) };
        match outgoing.poll_send(stream, cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Stopped::Body(why))) => return Err(Broken::Body(why)),
            Poll::Ready(Err(Stopped::Refused)) if outgoing.is_untaken() => return Err(Broken::Reset),
            // It may have answered all the same.
            Poll::Ready(Err(Stopped::Refused)) => self.stays = false,
        }
        self.outgoing = None;
        Ok(())
    }

    /// Leaves what has not been sent of the request to a task of its own.
    fn send_rest_apart(&mut self) {
        let Some(mut outgoing) = self.outgoing.take() else { return };
        let Side::Whole(stream) = mem::replace(&mut self.side, Side::Gone) else { return };
        let (reading, mut writing) = split(stream);
        let task = spawn_local(async move {
            outgoing.body_mut().note_answer();
            let (limit, awaited) = (outgoing.body().limit(), outgoing.body().awaited());
            let rest = poll_fn(|cx| outgoing.poll_send(&mut writing, cx));
            let limit = (Instant::now(), limit);
            if !matches!(within(&mut Timer::default(), limit, awaited.as_deref(), rest).await, Some(Ok(()))) {
                // The backend is to see that this is not all.
                _ = writing.shutdown().await;
            }
        });
        self.side = Side::Reading(reading, Rest { task: task.abort_handle(), outlives_answer: false });
    }

    /// The answer may be over now.
    fn note_end(&mut self) {
        if let Side::Reading(_, rest) = &mut self.side {
            rest.outlives_answer = self.stays && self.decoder.is_over();
        }
    }
}

impl<S, B> Drop for Connection<S, B> {
    fn drop(&mut self) {
        if let (Some(reset), Side::Whole(stream)) = (self.reset, &self.side)
            && (self.is_unanswered || !self.decoder.is_over())
        {
            reset(stream);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Side<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Whole(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Reading(half, _) => Pin::new(half).poll_read(cx, buffer),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// The body of the answer.
impl<S, B> Body for Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let malformed = |Malformed| io::Error::from(io::ErrorKind::InvalidData);
        loop {
            let this = &mut *self;
            let part = this.decoder.next(this.input.bytes()).map_err(malformed)?;
            this.note_end();
            match part {
                Part::Content(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Part::Trailers(trailers) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Part::End => return Poll::Ready(None),
                Part::Missing => {}
            }
            if ready!(this.input.poll_more(&mut this.side, cx))? == 0 {
                this.decoder.close().map_err(malformed)?;
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }
}

#[cfg(test)]
mod tests;
