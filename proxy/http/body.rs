//! Bodies on their way through: never buffered whole, and never waited for without end.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::headers;
use super::timer::Timer;

/// A body whose next byte must come within a time. It ends with an error of kind `TimedOut` otherwise.
#[derive(Debug)]
pub struct Watched<B> {
    body: B,
    limit: Option<Duration>,
    /// Until when the next byte must come; `None` while there was nothing to wait for.
    deadline: Option<Instant>,
    /// Set when there is something to wait for: most bodies are there at once, or have none.
    timer: Timer,
}

/// The body of a request on its way to a backend. One without bytes can be sent again.
#[derive(Debug)]
pub enum Upload<B> {
    /// There is nothing to send.
    Empty,
    /// Passed on as it comes; with how long each byte may take once there is an answer.
    Streamed(Watched<B>, Rc<Cell<Awaited>>, Option<Duration>),
}

/// Whom a request waits for, as far as its body tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The client, for the next piece.
    Client,
    /// The backend, since then: it is to take a piece, or to answer.
    Backend(Instant),
}

/// Why a body breaks off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

impl<B> Watched<B> {
    /// Begins when it is first waited for.
    pub fn new(body: B, limit: Option<Duration>) -> Self {
        Self { body, limit, deadline: None, timer: Timer::default() }
    }

    /// What is watched.
    pub fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Whether time is up.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else { return Poll::Pending };
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limit);
        self.timer.poll_until(cx, deadline)
    }
}

impl<B> Body for Watched<B>
where
    B: Body + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = B::Data;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.deadline = None;
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => self.poll_late(cx).map(|()| Some(Err(io::Error::from(io::ErrorKind::TimedOut).into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Upload<B> {
    /// A client's body, each byte of which must come within a time: one until the request is answered, another from then on.
    pub fn new(body: B, (unanswered, answered): (Option<Duration>, Option<Duration>)) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        let awaited = Rc::new(Cell::new(Awaited::Backend(Instant::now())));
        Self::Streamed(Watched::new(body, unanswered), awaited, answered)
    }

    /// Whom the request waits for, from now on; `None` if it has no body.
    pub fn awaited(&self) -> Option<Rc<Cell<Awaited>>> {
        match self {
            Self::Empty => None,
            Self::Streamed(_, awaited, _) => Some(Rc::clone(awaited)),
        }
    }
}

impl<B> Upload<B> {
    /// The answer has begun: what comes now is part of a conversation, and may take its time.
    pub fn note_answer(&mut self) {
        if let Self::Streamed(body, _, answered) = self {
            (body.limit, body.deadline) = (*answered, None);
        }
    }

    /// How long each byte may take.
    pub fn limit(&self) -> Option<Duration> {
        match self {
            Self::Empty => None,
            Self::Streamed(body, ..) => body.limit,
        }
    }
}

impl<B> Body for Upload<B>
where
    B: Body + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = B::Data;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streamed(body, awaited, _) => {
                let mut frame = Pin::new(body).poll_frame(cx);
                if let Poll::Ready(Some(Ok(frame))) = &mut frame
                    && let Some(trailers) = frame.trailers_mut()
                {
                    headers::strip_trailers(trailers);
                }
                awaited.set(if frame.is_pending() { Awaited::Client } else { Awaited::Backend(Instant::now()) });
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(body, ..) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(body, ..) => body.size_hint(),
        }
    }
}

/// Within the limit from now on, which is the backend's: while the client is to send more of its body, that time does not run.
pub async fn within<T>(
    timer: &mut Timer,
    (now, limit): (Instant, Option<Duration>),
    awaited: Option<&Cell<Awaited>>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let Some(limit) = limit else { return Some(future.await) };
    let mut future = pin!(future);
    let mut until = now + limit;
    poll_fn(|cx| {
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(result));
        }
        loop {
            ready!(timer.poll_until(cx, until));
            until = match awaited.map(Cell::get) {
                Some(Awaited::Client) => Instant::now() + limit,
                Some(Awaited::Backend(since)) if since + limit > Instant::now() => since + limit,
                _ => return Poll::Ready(None),
            };
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::body::Bytes;
    use tokio::sync::mpsc;

    use super::*;

    struct Pieces(mpsc::Receiver<&'static str>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from(piece)))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_bounded_and_not_the_whole() {
        let (sender, pieces) = mpsc::channel(10);
        let mut body = Watched::new(Pieces(pieces), Some(Duration::from_secs(10)));
        let began = Instant::now();
        tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                sender.send("piece").await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        for _ in 0..5 {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "piece");
        }
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.downcast::<io::Error>().unwrap().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), Duration::from_secs(45 + 10));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_waits_and_at_the_end_it_ends() {
        let (sender, pieces) = mpsc::channel(10);
        let mut body = Watched::new(Pieces(pieces), None);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(100_000)).await;
            sender.send("late").await.unwrap();
        });
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "late");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_for_an_answer_does_not_run_while_the_client_has_to_send() {
        let (began, limit) = (Instant::now(), Duration::from_secs(30));
        let awaited = Rc::new(Cell::new(Awaited::Client));
        let told = Rc::clone(&awaited);
        let upload = async move {
            tokio::time::sleep(Duration::from_secs(100)).await;
            told.set(Awaited::Backend(Instant::now()));
            std::future::pending::<()>().await;
        };
        assert_eq!(within(&mut Timer::default(), (began, Some(limit)), Some(&awaited), upload).await, None);
        assert_eq!(began.elapsed(), Duration::from_secs(130));
        let began = Instant::now();
        let never = std::future::pending::<()>();
        assert_eq!(within(&mut Timer::default(), (began, Some(limit)), None, never).await, None);
        assert_eq!(began.elapsed(), limit);
    }

    #[tokio::test]
    async fn time_is_up_also_for_what_is_never_at_rest() {
        let began = Instant::now();
        let busy = async {
            while began.elapsed() < Duration::from_secs(10) {
                tokio::task::consume_budget().await;
            }
        };
        let limit = Duration::from_millis(20);
        assert_eq!(within(&mut Timer::default(), (began, Some(limit)), None, busy).await, None);
    }
}
