//! The stream of events (WHATWG HTML, 9.2): the curve of the last ten minutes and the last lines of the log, then
//! the status each second and lines as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::{Body, Bytes, Frame};
use hyper::{Method, Request, StatusCode};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use super::reply::{self, Outcome, Refusal};
use crate::config::model::Token;
use crate::control::state::State;
use crate::control::view::{HistoryEvent, LogEvent};
use crate::telemetry::feed::Feed;

/// Streams at once: a few people with a page open each, and their terminals.
const STREAMS: usize = 16;

/// Texts that wait for a reader beside those that the kernel holds. While it takes none, further ones are left out.
const WAITING: usize = 1;

/// Lines of the log that a new reader hears first.
const LINES: u64 = 100;

/// How long a reader may take nothing, with the kernel full of what it was sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells whoever has a reader's connection that it is given up: what it was sent lies in the kernel, which would keep it for long.
/// Comes with the request.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct GivenUp(pub(in crate::control) Arc<Notify>);

/// What is sent to one reader.
struct Events(mpsc::Receiver<Bytes>);

/// One who reads the stream.
struct Reader {
    events: mpsc::Sender<Bytes>,
    state: Rc<State>,
    feed: Arc<Feed>,
    /// The line that it heard last.
    heard: u64,
    /// What it has said to be let in, where that is asked for.
    token: Option<Arc<Token>>,
}

/// The reader has gone, takes nothing, or may not hear any more.
struct Gone;

/// A stream for one more reader.
pub(super) fn begin<B>(request: &Request<B>, state: &Rc<State>) -> Outcome {
    if request.method() == Method::HEAD {
        return Ok(reply::stream(Empty::new()));
    }
    if state.live().watchers() >= STREAMS {
        let error = format!("{STREAMS} streams are open, and there may be no more");
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", error));
    }
    let (events, sent) = mpsc::channel(WAITING);
    let given_up = request.extensions().get::<GivenUp>().cloned().unwrap_or_default();
    let feed = state.telemetry().feed();
    let heard = last_heard(request, &feed);
    let token = state.config().admin.token.clone();
    let reader = Reader { events, state: Rc::clone(state), feed, heard, token };
    let news = state.live().watch();
    tokio::task::spawn_local(async move {
        tokio::select! {
            _gone = reader.told(news) => {}
            // Its place is another's at once.
            () = reader.events.closed() => {}
        }
        given_up.0.notify_one();
    });
    Ok(reply::stream(Events(sent)))
}

/// The line behind which a reader goes on: what it says that it has heard last, or so many before the newest.
fn last_heard<B>(request: &Request<B>, feed: &Feed) -> u64 {
    let newest = *feed.newest().borrow();
    let said = request.headers().get("Last-Event-ID").and_then(|id| id.to_str().ok()?.parse().ok());
    // A greater one is of the process before this.
    said.filter(|&said| said <= newest).unwrap_or_else(|| newest.saturating_sub(LINES))
}

impl Reader {
    /// Tells it all there is, for as long as the process lives and it listens.
    async fn told(&self, mut news: watch::Receiver<Bytes>) -> Result<(), Gone> {
        let (mut newest, mut heard) = (self.feed.newest(), self.heard);
        self.send(self.state.live().with_history(HistoryEvent::of).into_text()).await?;
        loop {
            newest.mark_unchanged();
            for event in self.feed.since(heard) {
                self.send(LogEvent::of(&event).into_text()).await?;
                heard = event.id;
            }
            tokio::select! {
                told = news.changed() => {
                    told.map_err(|_over| Gone)?;
                    self.is_still_welcome()?;
                    let text = news.borrow_and_update().clone();
                    self.send(text).await?;
                }
                told = newest.changed() => told.map_err(|_over| Gone)?,
            }
        }
    }

    /// A token that counts no more is no reason to be told anything.
    fn is_still_welcome(&self) -> Result<(), Gone> {
        if self.state.config().admin.token == self.token { Ok(()) } else { Err(Gone) }
    }

    async fn send(&self, text: Bytes) -> Result<(), Gone> {
        match timeout(PATIENCE, self.events.send(text)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_closed)) => Err(Gone),
            Err(_elapsed) => Err(Gone),
        }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.get_mut().0.poll_recv(cx).map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}
