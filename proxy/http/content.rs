//! The body of a client's request, as it comes from the client's connection.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::body::BodyError;
use super::http2::received::Received;
use super::http2::stream::Opening;

/// The body of a request.
#[derive(Debug)]
pub enum Content {
    /// There is none.
    Empty,
    /// By HTTP/1.1: what the connection's task gives, piece by piece.
    Http1(Piped),
    /// By HTTP/2.
    Http2(Received),
    /// None, on a stream of HTTP/2 that is to become a byte stream; `None` when that was taken out.
    Connect(Option<Opening>),
}

/// The end of a pipe that is read from.
#[derive(Debug)]
pub struct Piped(Rc<Pipe>);

/// The end that is fed. Dropped before all of it was given, it breaks the body off.
#[derive(Debug)]
pub struct Feed(Rc<Pipe>);

/// Between the client's connection and whoever passes the body on, who may do so in a task of his own. It holds one piece, which is
/// asked for before it is read: so a backend that is slow makes its client slow.
#[derive(Debug)]
struct Pipe {
    piece: RefCell<Option<Frame<Bytes>>>,
    /// How it ended.
    end: Cell<Option<Result<(), io::ErrorKind>>>,
    /// Bytes that are to come, if that is known.
    left: Cell<Option<u64>>,
    /// The next piece is waited for.
    is_wanted: Cell<bool>,
    /// Nobody reads any more.
    is_left: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    feeder: RefCell<Option<Waker>>,
}

/// A pipe for a body of that many bytes, if that is known.
pub fn pipe(length: Option<u64>) -> (Feed, Piped) {
    let pipe = Rc::new(Pipe {
        piece: RefCell::default(),
        end: Cell::default(),
        left: Cell::new(length),
        is_wanted: Cell::default(),
        is_left: Cell::default(),
        reader: RefCell::default(),
        feeder: RefCell::default(),
    });
    (Feed(Rc::clone(&pipe)), Piped(pipe))
}

/// Wakes who waits there.
fn wake(waiting: &RefCell<Option<Waker>>) {
    let waker = waiting.take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Feed {
    /// Whether nobody will want any more.
    pub fn is_left(&self) -> bool {
        self.0.is_left.get()
    }

    /// Ready when a piece is wanted, or when none will ever be: whether it is. Wakes also who has found that one is, and waits for it,
    /// when that changes.
    pub fn poll_wanted(&self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.is_left() {
            return Poll::Ready(false);
        }
        self.0.feeder.replace(Some(cx.waker().clone()));
        if self.0.is_wanted.get() { Poll::Ready(true) } else { Poll::Pending }
    }

    /// Gives the piece that was wanted: some bytes, or trailers.
    pub fn give(&self, piece: Frame<Bytes>) {
        let length = piece.data_ref().map_or(0, Bytes::len);
        self.0.left.set(self.0.left.get().map(|left| left.saturating_sub(length as u64)));
        self.0.piece.replace(Some(piece));
        self.0.is_wanted.set(false);
        wake(&self.0.reader);
    }

    /// That was all.
    pub fn end(self) {
        self.0.end.set(Some(Ok(())));
    }

    /// What came is no body.
    pub fn fail(self, why: io::ErrorKind) {
        self.0.end.set(Some(Err(why)));
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let end = self.0.end.get().unwrap_or(Err(io::ErrorKind::UnexpectedEof));
        self.0.end.set(Some(end));
        wake(&self.0.reader);
    }
}

impl Piped {
    fn poll_piece(&self, cx: &Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(piece) = self.0.piece.take() {
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Some(end) = self.0.end.get() {
            return Poll::Ready(end.err().map(|why| Err(why.into())));
        }
        self.0.reader.replace(Some(cx.waker().clone()));
        // Once is enough: both ends may be of one task, which would wake itself for ever.
        if !self.0.is_wanted.replace(true) {
            wake(&self.0.feeder);
        }
        Poll::Pending
    }

    fn is_over(&self) -> bool {
        let is_all_given = self.0.left.get() == Some(0) || self.0.end.get() == Some(Ok(()));
        is_all_given && self.0.piece.borrow().is_none()
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        self.0.is_left.set(true);
        wake(&self.0.feeder);
    }
}

impl Content {
    /// What the stream becomes that the request came on, if it is to become a byte stream.
    pub fn take_opening(&mut self) -> Option<Opening> {
        match self {
            Self::Connect(opening) => opening.take(),
            Self::Empty | Self::Http1(_) | Self::Http2(_) => None,
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty | Self::Connect(_) => Poll::Ready(None),
            Self::Http1(piped) => piped.poll_piece(cx).map_err(Into::into),
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Connect(_) => true,
            Self::Http1(piped) => piped.is_over(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Connect(_) => SizeHint::with_exact(0),
            Self::Http1(piped) => {
                let waiting = piped.0.piece.borrow().as_ref().and_then(|piece| piece.data_ref().map(Bytes::len));
                let left = piped.0.left.get().map(|left| left + waiting.unwrap_or(0) as u64);
                left.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Self::Http2(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use std::task::Wake;

    use http_body_util::BodyExt as _;

    use super::*;

    async fn wanted(feed: &Feed) -> bool {
        poll_fn(|cx| feed.poll_wanted(cx)).await
    }

    fn piece(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_piece_is_given_when_it_is_wanted() {
        let (feed, piped) = pipe(Some(10));
        let mut content = Content::Http1(piped);
        let noop = &mut Context::from_waker(Waker::noop());
        assert!(feed.poll_wanted(noop).is_pending(), "nobody reads yet");
        for (text, left) in [("hello", 5), ("world", 0)] {
            assert!(!content.is_end_stream());
            let fed = async {
                assert!(wanted(&feed).await);
                feed.give(piece(text));
                assert!(feed.poll_wanted(noop).is_pending(), "one at a time");
            };
            let (frame, ()) = tokio::join!(content.frame(), fed);
            assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), text);
            assert_eq!(content.size_hint().exact(), Some(left));
        }
        assert!(content.is_end_stream());
        feed.end();
        assert!(content.frame().await.is_none());
    }

    #[tokio::test]
    async fn what_was_given_is_read_before_the_end() {
        let (feed, piped) = pipe(None);
        let mut content = Content::Http1(piped);
        feed.give(piece("x"));
        feed.end();
        assert!(!content.is_end_stream());
        assert_eq!(content.frame().await.unwrap().unwrap().into_data().unwrap(), "x");
        assert!(content.is_end_stream() && content.frame().await.is_none());
    }

    #[tokio::test]
    async fn either_end_hears_that_the_other_is_gone() {
        let (feed, piped) = pipe(Some(1));
        let mut content = Content::Http1(piped);
        let (frame, ()) = tokio::join!(content.frame(), async { drop(feed) });
        let why = frame.unwrap().unwrap_err().downcast::<io::Error>().unwrap();
        assert_eq!(why.kind(), io::ErrorKind::UnexpectedEof);
        let (feed, piped) = pipe(None);
        let (is_wanted, ()) = tokio::join!(wanted(&feed), async { drop(piped) });
        assert!(!is_wanted);
    }

    #[tokio::test]
    async fn who_waits_for_a_piece_that_is_wanted_hears_that_it_is_no_more() {
        let (feed, piped) = pipe(None);
        let noop = &mut Context::from_waker(Waker::noop());
        assert!(piped.poll_piece(noop).is_pending());
        let left =
            poll_fn(|cx| if feed.poll_wanted(cx) == Poll::Ready(false) { Poll::Ready(()) } else { Poll::Pending });
        tokio::join!(left, async { drop(piped) });
    }

    /// Counts how often a task was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_task_that_has_both_ends_is_at_rest_while_nothing_comes() {
        let (feed, piped) = pipe(None);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = &mut Context::from_waker(&waker);
        for _ in 0..10 {
            assert!(piped.poll_piece(cx).is_pending());
            assert_eq!(feed.poll_wanted(cx), Poll::Ready(true));
        }
        assert_eq!(woken.0.load(Relaxed), 0, "it looks at one end behind the other anyway");
        feed.give(piece("x"));
        assert_eq!(woken.0.load(Relaxed), 1);
        assert!(piped.poll_piece(cx).is_ready() && piped.poll_piece(cx).is_pending());
        assert_eq!(woken.0.load(Relaxed), 2, "the next one is wanted");
    }
}
