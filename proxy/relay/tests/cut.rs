//! Peers that say that they are at their end, and connections that end before they have.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, duplex};

use super::*;

/// A stream whose end is an error of reading, as that of TLS is without the word that it was meant.
struct Marked {
    stream: DuplexStream,
    end: ErrorKind,
    is_broken: Rc<Cell<bool>>,
    was_cut: Rc<Cell<bool>>,
}

impl AsyncRead for Marked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() == before {
            return Poll::Ready(Err(self.end.into()));
        }
        read
    }
}

impl AsyncWrite for Marked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Socket for Marked {
    const ENDS_WHEN_DROPPED: bool = false;
    const MARKS_END: bool = true;

    fn is_broken(&self) -> bool {
        self.is_broken.take()
    }

    fn settle(&self, _: Liveness) {}

    fn poll_cut(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.was_cut.set(true);
        self.poll_shutdown(cx)
    }
}

/// A client and a backend whose streams both end with this error, and a relay between them.
struct Cuts {
    client: DuplexStream,
    backend: DuplexStream,
    seen: Rc<Seen>,
    is_client_broken: Rc<Cell<bool>>,
    was_backend_cut: Rc<Cell<bool>>,
    relay: tokio::task::JoinHandle<End>,
}

fn cuts(end: ErrorKind) -> Cuts {
    let marked = || {
        let (far, stream) = duplex(PIPE);
        (far, Marked { stream, end, is_broken: Rc::default(), was_cut: Rc::default() })
    };
    let ((client, mut downstream), (backend, mut upstream)) = (marked(), marked());
    let (is_client_broken, was_backend_cut) = (Rc::clone(&downstream.is_broken), Rc::clone(&upstream.was_cut));
    let seen = Rc::new(Seen::default());
    let observed = Rc::clone(&seen);
    let relay = tokio::task::spawn_local(async move {
        let buffer = Buffer::new();
        let (limits, began) = (UNLIMITED, Instant::now());
        let session = Session { buffer: &buffer, limits: &limits, began, observer: &*observed, stop: &observed.stop };
        run(&mut downstream, &mut upstream, session).await
    });
    Cuts { client, backend, seen, is_client_broken, was_backend_cut, relay }
}

/// Fills the pipe, the relay and the pipe behind, and says how much went in.
async fn fill(sender: &mut DuplexStream) -> usize {
    let mut sent = 0;
    while let Ok(written) = timeout(seconds(1), sender.write(&[7; 1000])).await {
        sent += written.unwrap();
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn what_a_client_said_before_its_connection_closed_arrives_and_then_its_end() {
    local(async {
        let mut cuts = cuts(ErrorKind::UnexpectedEof);
        let sent = fill(&mut cuts.client).await;
        cuts.client.shutdown().await.unwrap();
        sleep(seconds(1)).await;
        let mut heard = Vec::new();
        cuts.backend.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard.len(), sent);
        assert!(cuts.was_backend_cut.get(), "the backend must not take it for an end that was meant");
        // It may close its side without a word of its own, and what it said before arrives.
        cuts.backend.write_all(b"bye").await.unwrap();
        assert_eq!(&read_exactly::<3>(&mut cuts.client).await, b"bye");
        assert_eq!(cuts.seen.truncated.get(), Some(Side::Downstream));
        drop(cuts.backend);
        assert_eq!(cuts.relay.await.unwrap(), End::CutOff(Side::Upstream));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_closed_without_a_word_was_closed_by_it() {
    let (mut client, downstream) = duplex(PIPE);
    let (mut backend, mut upstream) = duplex(PIPE);
    let (is_broken, was_cut) = (Rc::default(), Rc::default());
    let mut downstream = Marked { stream: downstream, end: ErrorKind::UnexpectedEof, is_broken, was_cut };
    client.write_all(b"quit").await.unwrap();
    client.shutdown().await.unwrap();
    backend.write_all(b"bye").await.unwrap();
    backend.shutdown().await.unwrap();
    let (buffer, seen) = (Buffer::new(), Seen::default());
    let session =
        Session { buffer: &buffer, limits: &UNLIMITED, began: Instant::now(), observer: &seen, stop: &seen.stop };
    assert_eq!(run(&mut downstream, &mut upstream, session).await, End::Closed(Side::Downstream));
    assert_eq!((seen.up.get(), seen.down.get()), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn what_either_side_said_before_its_connection_broke_arrives() {
    local(async {
        for (end, is_client) in [
            (ErrorKind::ConnectionReset, true),
            (ErrorKind::ConnectionReset, false),
            // What a backend says may be delimited by nothing but its end: half of it must not pass for the whole.
            (ErrorKind::UnexpectedEof, false),
        ] {
            let mut cuts = cuts(end);
            let (near, far) = match is_client {
                true => (&mut cuts.client, &mut cuts.backend),
                false => (&mut cuts.backend, &mut cuts.client),
            };
            let sent = fill(near).await;
            near.shutdown().await.unwrap();
            sleep(seconds(1)).await;
            let mut heard = vec![0; sent];
            far.read_exact(&mut heard).await.unwrap();
            let side = if is_client { Side::Downstream } else { Side::Upstream };
            assert_eq!(cuts.relay.await.unwrap(), End::CutOff(side), "{end:?}");
            assert_eq!(cuts.seen.truncated.get(), Some(side));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_says_what_may_not_be_said_is_broken_off_at_once() {
    local(async {
        let mut cuts = cuts(ErrorKind::InvalidData);
        cuts.client.shutdown().await.unwrap();
        assert_eq!(cuts.relay.await.unwrap(), End::Reset(Side::Downstream));
        assert_eq!(cuts.seen.truncated.get(), None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_broke_under_a_stall_is_read_to_its_end() {
    local(async {
        let mut cuts = cuts(ErrorKind::UnexpectedEof);
        let sent = fill(&mut cuts.client).await;
        cuts.is_client_broken.set(true);
        cuts.client.shutdown().await.unwrap();
        let mut heard = 0;
        // The backend takes its time, but goes on taking.
        while heard < sent {
            sleep(seconds(8)).await;
            heard += cuts.backend.read(&mut vec![0; 8000]).await.unwrap();
        }
        assert_eq!((heard, cuts.relay.await.unwrap()), (sent, End::CutOff(Side::Downstream)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_takes_nothing_of_what_is_left_is_given_up() {
    local(async {
        let mut cuts = cuts(ErrorKind::ConnectionReset);
        fill(&mut cuts.client).await;
        cuts.is_client_broken.set(true);
        let left = Instant::now();
        assert_eq!(cuts.relay.await.unwrap(), End::Reset(Side::Downstream));
        assert!(left.elapsed() >= seconds(9) && left.elapsed() <= seconds(12), "{:?}", left.elapsed());
    })
    .await;
}
