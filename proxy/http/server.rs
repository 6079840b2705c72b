//! HTTP/1.1 toward a client: one connection, on which one request is answered after the other.
//!
//! All of it is done in the connection's own task, and in an order that can be read from top to bottom: the head of a request, the
//! answer to it, and the next one. Only the body of a request goes on beside its answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

pub mod head;
mod intake;
mod response;

use self::head::{Head, Heads, Refused, Terms};
use self::intake::{Gone, Intake};
use super::answer::FinalAnswer;
use super::body::BodyError;
use super::content::Content;
use super::patience::{Late, Patience};
use super::wire::input::Input;
use super::wire::outgoing::{Outgoing, Stopped};

/// What the library wants to hear of a request in HTTP/2, and what is said of one here: there is always an answer.
pub type Answered<B> = Result<Response<B>, Infallible>;

/// What answers requests.
pub trait Service {
    /// The body of an answer.
    type Reply: Body<Data = Bytes, Error = BodyError> + Unpin;

    /// Answers one.
    fn answer(&self, request: Request<Content>) -> Pin<Box<dyn Future<Output = Answered<Self::Reply>>>>;

    /// The answer to what is no request, which is counted and logged as one.
    fn refuse(&self, why: Refused) -> Response<Self::Reply>;

    /// When the connection is to be closed, even without another request; `None` while it may stay.
    fn leaves_at(&self) -> Option<Instant>;

    /// How long the client may take nothing of the answer that has come last.
    fn patience(&self) -> Option<Duration>;
}

/// A client's connection.
#[derive(Debug)]
pub struct Server<S, A> {
    stream: S,
    input: Input,
    heads: Heads,
    patience: Patience,
    service: A,
    /// What is being sent ends with the connection, and has not ended yet.
    is_cut: bool,
}

/// What has become of a connection.
#[derive(Debug)]
pub enum Ended {
    /// It was closed in order.
    Closed,
    /// The client broke off, or takes no more, or its answer broke off.
    Broken,
    /// What came was no request, and is answered so.
    Invalid(Refused),
    /// The client has taken too long.
    Late(Late),
    /// It goes on in another protocol.
    Switched,
}

/// Bytes that a client may still send while it is to read its last answer. Whoever sends more does not read.
const UNREAD_MAX: usize = 4 * 1024 * 1024;

/// How long a client that still sends may take to read the last answer: closing at once would tear that away from it.
const LINGER: Duration = Duration::from_secs(1);

impl<S, A> Server<S, A>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Service,
{
    /// On a connection whose first request is to come.
    pub fn new(stream: S, patience: Patience, service: A) -> Self {
        Self { stream, input: Input::default(), heads: Heads::default(), patience, service, is_cut: false }
    }

    /// Answers requests, as long as they come.
    pub async fn run(&mut self) -> Ended {
        let ended = loop {
            if let Err(ended) = self.exchange().await {
                break ended;
            }
        };
        if let Ended::Invalid(why) = ended {
            self.refuse(why).await;
        }
        ended
    }

    /// Whether a part of an answer would be taken for all of it, were the connection closed in order.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The connection, and what has been read of what comes next on it.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.input.into_bytes())
    }

    /// One request, and its answer.
    async fn exchange(&mut self) -> Result<(), Ended> {
        let Head { request, body, expects, terms } = self.head().await?;
        let (mut intake, content) = Intake::new(body, expects, self.input.bytes());
        let mut answer = self.service.answer(request.map(|()| content));
        let Ok(response) = self.beside(&mut intake, |_, cx| answer.as_mut().poll(cx)).await?;
        drop(answer);
        let is_final = response.extensions().get::<FinalAnswer>().is_some();
        let has_switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let (mut outgoing, stays) = self.outgoing(response, terms, &mut intake);
        self.is_cut = outgoing.ends_with_connection();
        let sent = self.send(&mut intake, &mut outgoing).await?;
        if matches!(sent, Err(Stopped::Body(_))) {
            // The client is to see that there was an answer, and that this is not all of it.
            _ = self.beside(&mut intake, |stream, cx| outgoing.poll_send_taken(stream, cx)).await?;
        }
        // What stands for as long as the answer takes ends with it.
        drop(outgoing);
        sent.map_err(|_stopped| Ended::Broken)?;
        self.is_cut = false;
        if has_switched {
            return Err(Ended::Switched);
        }
        let is_over = poll_fn(|cx| intake.poll_rest(&mut self.input, &mut self.stream, cx)).await?;
        if stays && is_over {
            self.patience.rest(Instant::now());
            return Ok(());
        }
        self.close(!is_over || is_final).await;
        Err(Ended::Closed)
    }

    /// The head of the next request.
    async fn head(&mut self) -> Result<Head, Ended> {
        self.input.begin_anew();
        poll_fn(|cx| {
            loop {
                if let Some(head) = self.heads.take(self.input.bytes()).map_err(Ended::Invalid)? {
                    return Poll::Ready(Ok(head));
                }
                let (is_idle, leaves_at) = (self.input.is_empty(), self.service.leaves_at());
                if !is_idle {
                    self.patience.begin_head(leaves_at.map(|at| at + LINGER));
                }
                match self.input.poll_more(&mut self.stream, cx) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0)) if is_idle => return Poll::Ready(Err(Ended::Closed)),
                    Poll::Ready(_) => return Poll::Ready(Err(Ended::Broken)),
                    Poll::Pending if is_idle && leaves_at.is_some_and(|at| at <= Instant::now()) => {
                        return Poll::Ready(Err(Ended::Closed));
                    }
                    Poll::Pending => return self.patience.poll_late(cx).map(|late| Err(Ended::Late(late))),
                }
            }
        })
        .await
    }

    /// An answer on its way, and whether another request may follow.
    fn outgoing(
        &mut self,
        response: Response<A::Reply>,
        terms: Terms,
        intake: &mut Intake,
    ) -> (Outgoing<A::Reply>, bool) {
        intake.skip(self.input.bytes());
        if self.input.is_empty() {
            intake.leave_unasked();
        }
        let goes_on = intake.is_over() || intake.is_wanted();
        let is_final = response.extensions().get::<FinalAnswer>().is_some();
        let stays = terms.stays && goes_on && !is_final && self.service.leaves_at().is_none();
        response::outgoing(intake.begun(), response, Terms { stays, ..terms })
    }

    /// Sends an answer while the body of the request comes.
    async fn send(
        &mut self,
        intake: &mut Intake,
        outgoing: &mut Outgoing<A::Reply>,
    ) -> Result<Result<(), Stopped>, Ended> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(sent) = outgoing.poll_send(&mut self.stream, cx) {
                    return Poll::Ready(Ok(sent));
                }
                if outgoing.has_moved() {
                    intake.note_sending();
                }
                match intake.poll_give(&mut self.input, &mut self.stream, cx) {
                    Poll::Ready(given) => given?,
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Does something while the body of the request comes, as far as it is wanted.
    async fn beside<T>(
        &mut self,
        intake: &mut Intake,
        mut work: impl FnMut(&mut S, &mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Ended> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(done) = work(&mut self.stream, cx) {
                    return Poll::Ready(Ok(done));
                }
                match intake.poll_give(&mut self.input, &mut self.stream, cx) {
                    Poll::Ready(given) => given?,
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Answers what is no request.
    async fn refuse(&mut self, why: Refused) {
        let terms = Terms { is_1_1: true, is_head: false, takes_trailers: false, stays: false };
        let (mut outgoing, _) = response::outgoing(Vec::new(), self.service.refuse(why), terms);
        let sent = timeout(LINGER, poll_fn(|cx| outgoing.poll_send(&mut self.stream, cx))).await;
        if matches!(sent, Ok(Ok(()))) {
            self.close(true).await;
        }
    }

    /// Says that this was all. What a client still sends is read, as it would tear the answer away from it if it was not.
    async fn close(&mut self, is_unread: bool) {
        let is_unread = is_unread || !self.input.is_empty();
        let closing = async {
            if self.stream.shutdown().await.is_err() || !is_unread {
                return;
            }
            // Not in the future, which every connection carries.
            let (mut nothing, mut left) = (vec![0; 4096], UNREAD_MAX);
            while let Ok(read @ 1..) = self.stream.read(&mut nothing).await
                && read <= left
            {
                left -= read;
            }
        };
        _ = timeout(LINGER, closing).await;
    }
}

impl From<Gone> for Ended {
    fn from(Gone: Gone) -> Self {
        Self::Broken
    }
}

#[cfg(test)]
mod tests;
