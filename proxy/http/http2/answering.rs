//! One request on a stream, from its head to the end of its answer.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::SystemTime;

use h2::server::SendResponse;
use h2::{Reason, SendStream};
use hyper::body::{Body, Bytes};
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use hyper::http::response::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;

use super::buffered::Buffered;
use super::fields::{self, Fault};
use super::received::Received;
use super::sending::{Sending, Stopped};
use super::stream::Opening;
use crate::http::content::Content;
use crate::http::headers;
use crate::http::server::head::Refused;
use crate::http::server::{Answered, Service};
use crate::http::upgrade::is_extended_connect;

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, as far as that goes.
    Answered,
    /// The client does not want the rest of it.
    Cancelled,
    /// It was none.
    Refused,
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Answering {
    respond: SendResponse<Bytes>,
    is_head: bool,
    /// What the stream is given to when it is to be a byte stream.
    opening: Option<oneshot::Sender<SendStream<Bytes>>>,
    /// The client waits to be asked for its body.
    expects: bool,
    /// The body is asked for.
    is_wanted: Rc<Cell<bool>>,
    buffered: Rc<Buffered>,
}

/// Begins to answer a request that has come. What is none is refused at once.
pub fn begin(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    buffered: &Rc<Buffered>,
    service: &impl Service,
) -> Option<(Request<Content>, Answering)> {
    let (mut head, stream) = request.into_parts();
    match fields::check(&mut head.headers) {
        Ok(()) => {}
        Err(Fault::Malformed) => {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return None;
        }
        Err(Fault::TooMany) => {
            // Counted and logged as it is dropped.
            drop(service.refuse(Refused::TooLarge));
            refuse(respond, Refused::TooLarge);
            return None;
        }
    }
    let is_head = head.method == Method::HEAD;
    let is_wanted = Rc::new(Cell::new(false));
    let request = Request::from_parts(head, ());
    let (mut opening, mut expects) = (None, false);
    let content = if is_extended_connect(&request) {
        let (stream, granted) = Opening::new(stream);
        opening = Some(granted);
        Content::Connect(Some(stream))
    } else if stream.is_end_stream() {
        Content::Empty
    } else {
        expects = request.headers().get(EXPECT).is_some_and(|value| headers::lists(value, "100-continue"));
        let received = Received::new(stream, request.headers());
        Content::Http2(if expects { received.telling(&is_wanted) } else { received })
    };
    let answering = Answering { respond, is_head, opening, expects, is_wanted, buffered: Rc::clone(buffered) };
    Some((request.map(|()| content), answering))
}

/// Answers with what this proxy says itself.
fn refuse(mut respond: SendResponse<Bytes>, why: Refused) {
    let (mut parts, words) = why.answer().into_parts();
    complete(&mut parts, Some(words.len() as u64));
    // It fails only where the client has gone.
    if let Ok(mut stream) = respond.send_response(Response::from_parts(parts, ()), false) {
        _ = stream.send_data(words, true);
    }
}

impl Answering {
    /// Answers it with what the service says.
    pub async fn run<A: Service>(
        mut self,
        service: A,
        mut answer: Pin<Box<dyn Future<Output = Answered<A::Reply>>>>,
    ) -> Outcome {
        let answered = poll_fn(|cx| {
            if self.respond.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            let answered = answer.as_mut().poll(cx);
            if answered.is_pending() {
                self.ask_for_body();
            }
            answered.map(Some)
        });
        let Some(Ok(response)) = answered.await else { return Outcome::Cancelled };
        drop(answer);
        let limit = service.patience();
        match self.send_head(response) {
            Ok(None) => Outcome::Answered,
            Ok(Some((stream, body))) => {
                let mut sending = Sending::new(stream, body, &self.buffered, limit);
                match poll_fn(|cx| sending.poll(cx)).await {
                    Ok(()) | Err(Stopped::Body(_) | Stopped::Late) => Outcome::Answered,
                    Err(Stopped::Refused) => Outcome::Cancelled,
                }
            }
            Err(_gone) => Outcome::Cancelled,
        }
    }

    /// Tells a client that waits for that to send its body, once it is wanted (RFC 9110, 10.1.1).
    fn ask_for_body(&mut self) {
        if self.expects && self.is_wanted.get() {
            self.expects = false;
            let mut word = Response::new(());
            *word.status_mut() = StatusCode::CONTINUE;
            // It fails only where the client has gone.
            _ = self.respond.send_informational(word);
        }
    }

    /// Sends the head of an answer; its body is to follow, if it has one.
    fn send_head<R: Body>(&mut self, response: Response<R>) -> Result<Option<(SendStream<Bytes>, R)>, h2::Error> {
        let (mut parts, body) = response.into_parts();
        let has_none = self.is_head || has_no_body(parts.status);
        let is_over = has_none || body.is_end_stream();
        let length = (!body.is_end_stream() && !has_no_body(parts.status)).then(|| body.size_hint().exact()).flatten();
        complete(&mut parts, length);
        let is_granted = parts.status.is_success();
        let head = Response::from_parts(parts, ());
        if let Some(opening) = self.opening.take().filter(|_| is_granted) {
            let stream = self.respond.send_response(head, false)?;
            // Nobody waits for it only where the tunnel has ended already: then it is reset.
            _ = opening.send(stream);
            return Ok(None);
        }
        let stream = self.respond.send_response(head, is_over)?;
        Ok((!is_over).then_some((stream, body)))
    }
}

fn has_no_body(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Makes a head what HTTP/2 has: nothing of the connection alone (RFC 9113, 8.2.2), a date, and the length if it is known.
fn complete(parts: &mut Parts, length: Option<u64>) {
    let headers: &mut HeaderMap = &mut parts.headers;
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
    if let Some(length) = length
        && !headers.contains_key(CONTENT_LENGTH)
    {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if !headers.contains_key(DATE) {
        let now = httpdate::HttpDate::from(SystemTime::now()).to_string();
        headers.extend(HeaderValue::try_from(now).ok().map(|now| (DATE, now)));
    }
}
