//! A client's connection of HTTP/2: requests that come on its streams are answered at the same time, all in the connection's own
//! task.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::Reason;
use h2::server::Connection;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::answering::{self, Outcome};
use super::buffered::Buffered;
use super::cancels::Cancels;
use super::{CONNECTION_WINDOW, STREAMS_MAX, UPLOAD_WINDOW};
use crate::http::server::Service;
use crate::http::wire::fields::HEAD_MAX;

/// A client's connection.
pub struct Server<S, A> {
    connection: Connection<S, Bytes>,
    requests: FuturesUnordered<Pin<Box<dyn Future<Output = Outcome>>>>,
    service: A,
    buffered: Rc<Buffered>,
    cancels: Cancels,
    /// It was told to calm down.
    is_abusive: bool,
}

impl<S, A> fmt::Debug for Server<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("requests", &self.requests.len()).finish_non_exhaustive()
    }
}

/// How a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// In order.
    Closed,
    /// The client broke off, or broke the rules.
    Broken,
    /// The client has not come on with the head of a request.
    Late,
    /// The client has cancelled more requests than it may.
    Abusive,
}

impl<S, A> Server<S, A>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Service + Clone + 'static,
{
    /// Begins with a connection, when the client has said what it speaks.
    ///
    /// # Errors
    /// It speaks something else, or has gone.
    pub async fn begin(stream: S, service: A) -> Result<Self, h2::Error> {
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
            .initial_window_size(UPLOAD_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(STREAM_BUFFER_MAX)
            .enable_connect_protocol();
        let connection = builder.handshake(stream).await?;
        Ok(Self {
            connection,
            requests: FuturesUnordered::new(),
            service,
            buffered: Rc::default(),
            cancels: Cancels::new(Instant::now()),
            is_abusive: false,
        })
    }

    /// Takes no more requests, and ends with the last answer.
    pub fn leave(&mut self) {
        self.connection.graceful_shutdown();
    }

    /// Answers requests. Ready when the connection has ended.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            while let Poll::Ready(Some(outcome)) = self.requests.poll_next_unpin(cx) {
                self.note(outcome);
            }
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let Some((request, answering)) = answering::begin(request, respond, &self.buffered, &self.service)
                    else {
                        self.note(Outcome::Refused);
                        continue;
                    };
                    let answer = self.service.answer(request);
                    self.requests.push(Box::pin(answering.run(self.service.clone(), answer)));
                }
                Poll::Ready(Some(Err(why))) => return Poll::Ready(self.ended(&why)),
                Poll::Ready(None) if self.is_abusive => return Poll::Ready(Ended::Abusive),
                Poll::Ready(None) => return Poll::Ready(Ended::Closed),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn note(&mut self, outcome: Outcome) {
        let may_go_on = match outcome {
            Outcome::Answered => {
                self.cancels.note_answer();
                true
            }
            Outcome::Cancelled | Outcome::Refused => self.cancels.cancel(Instant::now()),
        };
        if !may_go_on && !self.is_abusive {
            self.is_abusive = true;
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
    }

    fn ended(&self, why: &h2::Error) -> Ended {
        let is_late = why.get_io().is_some_and(|why| why.kind() == std::io::ErrorKind::TimedOut);
        match why.reason() {
            _ if self.is_abusive || why.reason() == Some(Reason::ENHANCE_YOUR_CALM) => Ended::Abusive,
            _ if is_late => Ended::Late,
            _ => Ended::Broken,
        }
    }
}

/// Bytes of an answer that the client has credit for, and which wait to be written.
const STREAM_BUFFER_MAX: usize = 64 * 1024;
