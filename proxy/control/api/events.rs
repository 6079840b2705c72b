//! The stream of events (WHATWG HTML, 9.2): the curve of the last ten minutes, then the status each second.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use hyper::{Request, StatusCode};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::reply::{self, Outcome, Refusal};
use crate::control::state::State;
use crate::control::view::HistoryEvent;

/// Streams at once: a few people with a page open each, and their terminals.
const STREAMS: usize = 16;

/// Texts that wait for a reader beside those that the kernel holds. While it takes none, further ones are left out.
const WAITING: usize = 1;

/// How long a reader may take nothing, with the kernel full of what it was sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells whoever has a reader's connection that it is given up: what it was sent lies in the kernel, which would keep it for long.
/// Comes with the request.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct GivenUp(pub(in crate::control) Arc<Notify>);

/// What is sent to one reader.
struct Events(mpsc::Receiver<Bytes>);

/// The reader has gone, or takes nothing.
struct Gone;

/// A stream for one more reader.
pub(super) fn begin<B>(request: &Request<B>, state: &Rc<State>) -> Outcome {
    if state.live().watchers() >= STREAMS {
        let error = format!("{STREAMS} streams are open, and there may be no more");
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", error));
    }
    let (events, sent) = mpsc::channel(WAITING);
    let given_up = request.extensions().get::<GivenUp>().cloned().unwrap_or_default();
    let (state, mut news) = (Rc::clone(state), state.live().watch());
    tokio::task::spawn_local(async move {
        let told = async {
            send(&events, state.live().with_history(HistoryEvent::of).into_text()).await?;
            // It ends with the process, or the reader.
            while news.changed().await.is_ok() {
                let text = news.borrow_and_update().clone();
                send(&events, text).await?;
            }
            Ok::<_, Gone>(())
        };
        tokio::select! {
            _gone = told => {}
            // Its place is another's at once.
            () = events.closed() => {}
        }
        given_up.0.notify_one();
    });
    Ok(reply::stream(Events(sent)))
}

async fn send(events: &mpsc::Sender<Bytes>, text: Bytes) -> Result<(), Gone> {
    match timeout(PATIENCE, events.send(text)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_closed)) => Err(Gone),
        Err(_elapsed) => Err(Gone),
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.get_mut().0.poll_recv(cx).map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}
