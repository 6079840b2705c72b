//! The body of an answer on its way to a client: a backend's, or this proxy's own.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::body::{BodyError, Watched};
use super::content::Content;
use super::download::Download;
use super::exchange::Exchange;
use super::warm::{Rule, Warm};
use crate::pool::Lease;

/// The body of an answer.
#[derive(Debug)]
pub enum Reply {
    /// This proxy's own words.
    Own(Full<Bytes>, Box<Exchange>),
    /// A backend's, and what there is to be done when it is over.
    Passed(Watched<Download<Content>>, Afterwards),
}

/// What stands for as long as an answer takes.
#[derive(Debug)]
pub struct Afterwards {
    /// The request that is answered.
    pub exchange: Box<Exchange>,
    /// The claim on its backend, until that has said all.
    pub lease: Option<Lease>,
    /// Where the connection to it is kept warm.
    pub warm: Rc<Warm<Content>>,
    /// How.
    pub rule: Rule,
}

/// Why an answer breaks off.
const ENDED: &str = "the sessions of its backend were ended";

impl Afterwards {
    /// Whether the sessions of its backend were ended, and its own with them.
    fn is_ended(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::is_ended)
    }

    /// The answer is over, in order: the client may take its time with the last of it.
    fn complete(&mut self, body: &mut Download<Content>) {
        let now = Instant::now();
        self.exchange.complete(now);
        let Some(lease) = self.lease.take() else { return };
        if let Some(sender) = body.release() {
            self.warm.keep(lease.backend(), sender, self.rule, now);
        }
    }
}

impl Reply {
    /// A backend's body; one without bytes is over at once.
    pub fn passed(mut body: Watched<Download<Content>>, mut afterwards: Afterwards) -> Self {
        if body.is_end_stream() {
            afterwards.complete(body.body_mut());
        }
        Self::Passed(body, afterwards)
    }

    /// This proxy's own words.
    pub fn own(words: Bytes, mut exchange: Box<Exchange>) -> Self {
        exchange.passed(words.len());
        exchange.complete(Instant::now());
        Self::Own(Full::new(words), exchange)
    }
}

/// Bytes of an answer that nobody wants any more which are read all the same, so that its connection can be used again: reading
/// them costs less than another connection.
const UNWANTED_MAX: u64 = 16 * 1024;

/// How long that may take.
const UNWANTED_TIME: Duration = Duration::from_millis(50);

/// The client has given up an answer in its midst. If little is left of it, that is read, and the connection kept.
impl Drop for Reply {
    fn drop(&mut self) {
        let Self::Passed(body, afterwards) = self else { return };
        let is_little = body.size_hint().upper().is_some_and(|left| left <= UNWANTED_MAX);
        let Some(lease) = afterwards.lease.take().filter(|lease| is_little && !lease.is_ended()) else { return };
        let Download::Http1(connection) = body.body_mut() else { return };
        let Some(mut rest) = connection.take().map(|connection| Download::Http1(Some(connection))) else { return };
        let (warm, rule) = (Rc::clone(&afterwards.warm), afterwards.rule);
        spawn_local(async move {
            let read = async { while rest.frame().await.is_some_and(|frame| frame.is_ok()) {} };
            if timeout(UNWANTED_TIME, read).await.is_ok()
                && let Some(connection) = rest.release()
            {
                warm.keep(lease.backend(), connection, rule, Instant::now());
            }
        });
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(words, _) => Pin::new(words).poll_frame(cx).map_err(|never| match never {}),
            Self::Passed(_, afterwards) if afterwards.is_ended() => Poll::Ready(Some(Err(ENDED.into()))),
            Self::Passed(body, afterwards) => {
                let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(cx));
                if let Some(Ok(frame)) = &frame {
                    afterwards.exchange.passed(frame.data_ref().map_or(0, Bytes::len));
                    if let Some(lease) = &afterwards.lease {
                        lease.note_answer();
                    }
                }
                // Nobody asks again who knows that there is no more, be it only from the length: HTTP/2 may tell the end apart.
                let has_all = matches!(&frame, Some(Ok(_))) && body.size_hint().exact() == Some(0);
                if has_all || frame.is_none() || body.is_end_stream() {
                    afterwards.complete(body.body_mut());
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(words, _) => words.is_end_stream(),
            Self::Passed(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(words, _) => words.size_hint(),
            Self::Passed(body, _) => body.size_hint(),
        }
    }
}
