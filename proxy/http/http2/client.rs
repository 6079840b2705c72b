//! Requests to a backend on a connection of HTTP/2 that many share.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{HOST, TRANSFER_ENCODING};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::Instant;

use super::links::{STREAMS_MAX, Slot};
use super::received::Received;
use super::sending::{Sending, Stopped};
use crate::http::body::{Awaited, BodyError, Upload, within};
use crate::http::headers;
use crate::http::sender::Broken;
use crate::http::timer::Timer;
use crate::http::wire::fields::{HEAD_MAX, HEADERS_MAX};

/// The window of a stream for the body of an answer: so much of it may wait here for a client that takes nothing.
pub const DOWNLOAD_WINDOW: u32 = 128 * 1024;

/// The window of a backend's connection: more than all its streams together, so that none waits for another's client.
const CONNECTION_WINDOW: u32 = 128 * DOWNLOAD_WINDOW;

const _: () = assert!(STREAMS_MAX < 128, "all streams together have less");

/// Requests at once as long as the backend has not said how many it takes, which is the first thing it says: what it does not take
/// it would refuse.
const UNTOLD_MAX: usize = 1;

/// Bytes of a request that the backend has credit for, and which wait to be written.
const STREAM_BUFFER_MAX: usize = 64 * 1024;

/// Begins to speak on a connection to a backend. `None` if it broke.
pub async fn begin<S>(stream: S) -> Option<(SendRequest<Bytes>, Connection<S, Bytes>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(DOWNLOAD_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(UNTOLD_MAX)
        .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
        .max_send_buffer_size(STREAM_BUFFER_MAX);
    builder.handshake(stream).await.ok()
}

/// Lives a connection, in a task of its own: until it breaks, or nobody has a request on it or keeps it for the next one. It tells
/// when it takes more requests at once, or fewer, or none.
pub fn live<S>(mut connection: Connection<S, Bytes>, changed: impl Fn() + 'static)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    spawn_local(async move {
        let mut streams_max = connection.max_concurrent_send_streams();
        let _ended = poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            let now = connection.max_concurrent_send_streams();
            if mem::replace(&mut streams_max, now) != now {
                changed();
            }
            ended
        })
        .await;
        drop(connection);
        changed();
    });
}

/// Sends a request, and waits for the head of the answer, within the limit that the backend has from now on. What concerns the
/// connection alone is not in it any more.
///
/// # Errors
/// There is none. If nothing of the request's body was taken, that is there again.
pub async fn send<B>(
    slot: Slot,
    request: &mut Request<Option<Upload<B>>>,
    limit: (Instant, Option<Duration>),
) -> Result<Response<Answer>, Broken>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let Some(body) = request.body_mut().take() else { return Err(Broken::Reset) };
    let awaited = body.awaited();
    let head = with_whole_target(request, slot.scheme());
    let (answer, stream) = match slot.sender().send_request(head, body.is_end_stream()) {
        Ok(sent) => sent,
        Err(_gone) => {
            // Nothing of it was sent.
            slot.retire();
            *request.body_mut() = Some(body);
            return Err(Broken::Unsent);
        }
    };
    let upload = (!body.is_end_stream()).then(|| Sending::new(stream, body, &Rc::default(), None));
    if let Some(upload) = &upload {
        slot.note_upload(upload.waits());
    }
    let mut exchange = Exchange { answer, upload, is_sent: false };
    let answered = {
        let answered = poll_fn(|cx| exchange.poll(cx));
        within(&mut Timer::default(), limit, awaited.as_deref(), answered).await
    };
    match answered.unwrap_or(Err(Broken::Timeout)) {
        Ok(response) => {
            slot.note_answer();
            let rest = exchange.upload.filter(|_| !exchange.is_sent).map(|upload| send_rest(upload, &awaited));
            let (mut parts, stream) = response.into_parts();
            let body = Received::new(stream, &parts.headers);
            headers::strip(&mut parts.headers);
            Ok(Response::from_parts(parts, Answer { body, rest, slot: Some(slot) }))
        }
        Err(why) => {
            if why == Broken::Timeout && !slot.was_answered_since(limit.0) {
                // It may be dead: whoever comes next is not to share its lot.
                slot.retire();
            }
            *request.body_mut() = exchange.upload.and_then(Sending::into_untaken);
            Err(why)
        }
    }
}

/// A request that has no answer yet.
struct Exchange<B> {
    answer: ResponseFuture,
    /// What is sent of its body.
    upload: Option<Sending<Upload<B>>>,
    /// That is over, or the backend wants no more of it.
    is_sent: bool,
}

impl<B> Exchange<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<RecvStream>, Broken>> {
        if let Some(upload) = self.upload.as_mut().filter(|_| !self.is_sent) {
            match upload.poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(Stopped::Body(why))) => return Poll::Ready(Err(Broken::of_body(&*why))),
                // It may have answered all the same.
                Poll::Ready(Ok(()) | Err(Stopped::Refused | Stopped::Late)) => self.is_sent = true,
            }
        }
        let response = ready!(Pin::new(&mut self.answer).poll(cx)).map_err(|why| broken(&why))?;
        let is_sound = response.headers().len() <= HEADERS_MAX;
        Poll::Ready(if is_sound { Ok(response) } else { Err(Broken::Reset) })
    }
}

/// Sends what is left of a request in a task of its own: it is not to wait for who reads the answer.
fn send_rest<B>(mut upload: Sending<Upload<B>>, awaited: &Option<Rc<Cell<Awaited>>>) -> Rest
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    upload.body_mut().note_answer();
    let (limit, awaited) = (upload.body_mut().limit(), awaited.clone());
    let task = spawn_local(async move {
        let rest = pin!(poll_fn(|cx| upload.poll(cx)));
        // Dropped before its end, the stream is reset.
        _ = within(&mut Timer::default(), (Instant::now(), limit), awaited.as_deref(), rest).await;
    });
    Rest { task: task.abort_handle(), outlives_answer: false }
}

/// The body of an answer, and the place on the connection that it comes on.
#[derive(Debug)]
pub struct Answer {
    body: Received,
    rest: Option<Rest>,
    slot: Option<Slot>,
}

/// The rest of a request, which goes on as long as somebody reads the answer, or has read all of it.
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

impl Answer {
    /// Gives the place back, when the answer is over.
    pub fn release(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.outlives_answer = true;
        }
        self.slot = None;
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why there is no answer.
fn broken(why: &h2::Error) -> Broken {
    match why.reason() {
        // It has done nothing with the request (RFC 9113, 8.7): that may be sent again, whatever it is.
        Some(Reason::REFUSED_STREAM) if why.is_remote() => Broken::Refused,
        // It goes away in order, and this request is not among those that it still answers.
        Some(Reason::NO_ERROR) if why.is_remote() && why.is_go_away() => Broken::Leaving,
        _ => Broken::Reset,
    }
}

/// A request's head as HTTP/2 has it: the host is part of the target (RFC 9113, 8.3.1).
fn with_whole_target<T>(request: &Request<T>, scheme: &Scheme) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.version_mut() = Version::HTTP_2;
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    head.headers_mut().remove(TRANSFER_ENCODING);
    let Some(host) = head.headers_mut().remove(HOST) else { return head };
    if let Ok(authority) = Authority::try_from(host.as_bytes()) {
        let mut target = mem::take(head.uri_mut()).into_parts();
        target.scheme = Some(scheme.clone());
        target.authority = Some(authority);
        target.path_and_query = target.path_and_query.or_else(|| Some(PathAndQuery::from_static("/")));
        *head.uri_mut() = Uri::from_parts(target).unwrap_or_default();
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_has_the_host_in_the_target() {
        let request = Request::get("/rooms?x=1").header("host", "a.example:8080").body(()).unwrap();
        let head = with_whole_target(&request, &Scheme::HTTPS);
        assert_eq!(head.uri(), "https://a.example:8080/rooms?x=1");
        assert!(head.headers().is_empty() && head.version() == Version::HTTP_2);
        assert_eq!(request.headers()[HOST], "a.example:8080", "to be sent again, maybe by HTTP/1.1");
    }
}
