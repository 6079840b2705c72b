//! The body of an answer on its way to a client: a backend's, or this proxy's own.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Instant;

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
    Passed(Watched<Download<Content>>, Box<Afterwards>),
}

/// What stands for as long as an answer takes.
#[derive(Debug)]
pub struct Afterwards {
    /// The request that is answered.
    pub exchange: Exchange,
    /// The claim on its backend.
    pub lease: Lease,
    /// Where the connection to it is kept warm.
    pub warm: Rc<Warm<Content>>,
    /// How.
    pub rule: Rule,
}

/// Why an answer breaks off.
const ENDED: &str = "the sessions of its backend were ended";

impl Afterwards {
    /// The answer is over, in order.
    fn complete(&mut self, body: &mut Download<Content>) {
        self.exchange.complete();
        if let Some(sender) = body.release() {
            self.warm.keep(self.lease.backend(), sender, self.rule, Instant::now());
        }
    }
}

impl Reply {
    /// A backend's body; one without bytes is over at once.
    pub fn passed(mut body: Watched<Download<Content>>, mut afterwards: Box<Afterwards>) -> Self {
        if body.is_end_stream() {
            afterwards.complete(body.body_mut());
        }
        Self::Passed(body, afterwards)
    }

    /// This proxy's own words.
    pub fn own(words: Bytes, mut exchange: Exchange) -> Self {
        exchange.passed(words.len());
        exchange.complete();
        Self::Own(Full::new(words), Box::new(exchange))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(words, _) => Pin::new(words).poll_frame(cx).map_err(|never| match never {}),
            Self::Passed(_, afterwards) if afterwards.lease.is_ended() => Poll::Ready(Some(Err(ENDED.into()))),
            Self::Passed(body, afterwards) => {
                let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(cx));
                match &frame {
                    Some(Ok(frame)) => afterwards.exchange.passed(frame.data_ref().map_or(0, Bytes::len)),
                    None => afterwards.complete(body.body_mut()),
                    Some(Err(_broken)) => {}
                }
                // The library does not ask again when it knows that there is no more.
                if body.is_end_stream() {
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
