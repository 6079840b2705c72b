//! A client's connection as the library sees it: counted, and without anything that could be read in two ways.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::framing::{Ambiguous, Framing};
use super::patience::Phase;
use super::pieces;
use crate::relay::Direction;
use crate::session::{Tally, Visitor};

/// Bytes of one connection, from and to the client. Shared with whoever wants to know, for the connection is the library's.
#[derive(Debug)]
pub struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
    tally: Arc<Tally>,
    worker: usize,
    /// How long the client may take nothing of an answer, in milliseconds; 0 is for ever.
    patience: AtomicU64,
}

/// A client's connection.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    traffic: Arc<Traffic>,
    /// What is looked at: requests of HTTP/1.1. `None` for HTTP/2, whose frames have one meaning.
    framing: Option<(Framing, Arc<Phase>)>,
    /// Where that has found something ambiguous: nothing behind it is read.
    refused: Option<Refused>,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// What was ambiguous.
#[derive(Debug)]
enum Refused {
    /// The head of a request; or another protocol's bytes, if the request before it has led to that: as they came.
    Head(Vec<u8>),
    /// What is between the bytes of a body.
    Body,
}

impl Traffic {
    /// None yet, of this client; it counts for its listener, too.
    pub fn new(visitor: &Visitor) -> Arc<Self> {
        let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
        let patience = AtomicU64::new(0);
        Arc::new(Self { up, down, tally: Arc::clone(&visitor.tally), worker: visitor.worker, patience })
    }

    /// An answer is on its way, of which the client may take nothing for so long.
    pub fn answers_within(&self, limit: Option<Duration>) {
        let millis = limit.map_or(0, |limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1));
        self.patience.store(millis, Relaxed);
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.patience.load(Relaxed)).filter(|&millis| millis > 0).map(Duration::from_millis)
    }

    fn passed(&self, direction: Direction, bytes: usize) {
        let counter = if direction == Direction::Up { &self.up } else { &self.down };
        counter.fetch_add(bytes as u64, Relaxed);
        self.tally.passed(self.worker, direction, bytes);
    }

    /// Bytes so far, up and down.
    pub fn bytes(&self) -> (u64, u64) {
        (self.up.load(Relaxed), self.down.load(Relaxed))
    }
}

impl<S> Client<S> {
    /// A connection that speaks HTTP/1.1 and tells where it is, or else HTTP/2.
    pub fn new(stream: S, traffic: &Arc<Traffic>, http1: Option<&Arc<Phase>>) -> Self {
        let framing = http1.map(|phase| (Framing::default(), Arc::clone(phase)));
        Self { stream, traffic: Arc::clone(traffic), framing, refused: None, stalled: None }
    }

    /// What a write came to. One that has waited for too long fails: the library asks for no more of an answer meanwhile, so that
    /// nobody else would notice.
    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Poll::Ready(result) = result else {
            let Some(limit) = self.traffic.patience() else { return Poll::Pending };
            let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.stalled = None;
        if let Ok(taken) = result {
            self.note_taken(taken);
        }
        Poll::Ready(result)
    }

    /// The connection itself, and what the library has read of what comes behind the requests.
    pub fn into_inner(self, mut read: Bytes) -> (S, Bytes) {
        if let Some(Refused::Head(withheld)) = self.refused {
            // These were no requests, so there was nothing ambiguous. The last byte is not the client's.
            let before = &read[..read.len().saturating_sub(1)];
            read = Bytes::from([before, &withheld].concat());
        }
        (self.stream, read)
    }
}

impl<S> Client<S> {
    fn note_taken(&self, bytes: usize) {
        self.traffic.passed(Direction::Down, bytes);
        if let Some((_, phase)) = &self.framing {
            phase.note_taken();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Client<S> {
    /// What is ambiguous is replaced by a byte that no message has, so that the library refuses it as it does other rubbish; where it
    /// does not (behind a chunk's size), it learns that no more can be read.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &self.refused {
            None => {}
            Some(Refused::Head(_)) => return Poll::Pending,
            Some(Refused::Body) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let new = &mut buffer.filled_mut()[before..];
        self.traffic.passed(Direction::Up, new.len());
        let Self { framing, refused, .. } = &mut *self;
        if let Some((framing, phase)) = framing {
            let verdict = framing.pass(new);
            phase.note(framing.is_in_head());
            if let Err(Ambiguous(at)) = verdict {
                let is_head = framing.is_at_head();
                *refused = Some(if is_head { Refused::Head(new[at..].to_vec()) } else { Refused::Body });
                new[at] = 0;
                buffer.set_filled(before + at + 1);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Client<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = pieces::poll_write(Pin::new(&mut self.stream), cx, slices);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    fn traffic() -> Arc<Traffic> {
        let tally = Arc::new(Tally::new("web".parse().unwrap(), 1));
        Arc::new(Traffic {
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            tally,
            worker: 0,
            patience: AtomicU64::new(0),
        })
    }

    #[tokio::test]
    async fn bytes_are_counted_and_what_is_ambiguous_is_made_unreadable() {
        let (mut far, near) = duplex(1000);
        let traffic = traffic();
        let mut client = Client::new(near, &traffic, Some(&Phase::new(Instant::now())));
        let sound = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        far.write_all(sound).await.unwrap();
        let mut buffer = vec![0; 100];
        let length = client.read(&mut buffer).await.unwrap();
        assert_eq!(buffer[..length], *sound);
        far.write_all(b"GET / HTTP/1.1\nHost: a\n\nGET /2").await.unwrap();
        let length = client.read(&mut buffer).await.unwrap();
        assert_eq!(buffer[..length], *b"GET / HTTP/1.1\0");
        let read = client.read(&mut buffer);
        assert!(timeout(Duration::from_millis(10), read).await.is_err(), "nothing follows");
        client.write_all(b"answer").await.unwrap();
        assert_eq!(traffic.bytes(), (27 + 30, 6));
        assert_eq!((traffic.tally.bytes(Direction::Up), traffic.tally.bytes(Direction::Down)), (57, 6));
    }

    #[tokio::test]
    async fn behind_an_ambiguous_chunk_nothing_is_read() {
        let (mut far, near) = duplex(1000);
        let mut client = Client::new(near, &traffic(), Some(&Phase::new(Instant::now())));
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        far.write_all(&[&head[..], b"1;a\nb\r\nx"].concat()).await.unwrap();
        let mut buffer = vec![0; 200];
        let length = client.read(&mut buffer).await.unwrap();
        assert_eq!(buffer[head.len()..length], *b"1;a\0");
        assert_eq!(client.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn what_comes_behind_an_upgrade_is_as_it_was_sent() {
        let (mut far, near) = duplex(1000);
        let mut client = Client::new(near, &traffic(), Some(&Phase::new(Instant::now())));
        let (upgrade, frames) = (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x82\x03\n\n\n\x82\x01x");
        far.write_all(&[&upgrade[..], frames].concat()).await.unwrap();
        let mut buffer = vec![0; 100];
        let length = client.read(&mut buffer).await.unwrap();
        let (_, early) = client.into_inner(Bytes::copy_from_slice(&buffer[upgrade.len()..length]));
        assert_eq!(early, frames[..]);
    }

    #[tokio::test]
    async fn other_protocols_pass_as_they_are() {
        let (mut far, near) = duplex(1000);
        let mut client = Client::new(near, &traffic(), None);
        far.write_all(b"\n\0whatever\n").await.unwrap();
        let mut buffer = [0; 11];
        client.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, *b"\n\0whatever\n");
    }
}
