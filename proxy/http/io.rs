//! A client's connection: what passes is counted, and bounded at a time, and what is not taken is not waited for without end.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::wire::pieces;
use crate::net::liveness;
use crate::relay::{Direction, Liveness, Pacer, Socket};
use crate::session::{Tally, Visitor};

/// Bytes of one connection, from and to the client. Shared with whoever wants to know.
#[derive(Debug)]
pub struct Traffic {
    up: Cell<u64>,
    down: Cell<u64>,
    tally: Arc<Tally>,
    worker: usize,
    /// How long the client may take nothing of an answer.
    patience: Cell<Option<Duration>>,
    /// When the kernel gives the client up.
    liveness: Cell<Liveness>,
    /// That has changed, and the kernel is to be told.
    is_untold: Cell<bool>,
}

/// A client's connection.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    traffic: Rc<Traffic>,
    pacer: Pacer,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Traffic {
    /// None yet, of this client; it counts for its listener, too.
    pub fn new(visitor: &Visitor) -> Rc<Self> {
        let (tally, worker) = (Arc::clone(&visitor.tally), visitor.worker);
        Rc::new(Self::of(tally, worker))
    }

    fn of(tally: Arc<Tally>, worker: usize) -> Self {
        Self {
            up: Cell::default(),
            down: Cell::default(),
            tally,
            worker,
            patience: Cell::default(),
            liveness: Cell::new(liveness::OF_LISTENERS),
            is_untold: Cell::default(),
        }
    }

    /// An answer is on its way, of which the client may take nothing for so long.
    pub fn answers_within(&self, limit: Option<Duration>) {
        self.patience.set(limit);
    }

    /// How long the client may take nothing of the answer that has come last.
    pub fn patience(&self) -> Option<Duration> {
        self.patience.get()
    }

    /// An answer of a pool is on its way, which says when a client counts as gone.
    pub fn answers_by(&self, liveness: Liveness) {
        if self.liveness.replace(liveness) != liveness {
            self.is_untold.set(true);
        }
    }

    fn passed(&self, direction: Direction, bytes: usize) {
        let counter = if direction == Direction::Up { &self.up } else { &self.down };
        counter.set(counter.get() + bytes as u64);
        self.tally.passed(self.worker, direction, bytes);
    }

    /// Bytes so far, up and down.
    pub fn bytes(&self) -> (u64, u64) {
        (self.up.get(), self.down.get())
    }
}

impl<S> Client<S> {
    /// A connection whose bytes are counted there.
    pub fn new(stream: S, traffic: &Rc<Traffic>, pacer: Pacer) -> Self {
        Self { stream, traffic: Rc::clone(traffic), pacer, stalled: None }
    }

    /// What a write or a flush came to. One that has waited for too long fails: no more is asked for of an answer meanwhile, so that
    /// nobody else would notice.
    fn awaited<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
        } else if let Some(limit) = self.traffic.patience.get() {
            let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        result
    }

    /// Has the kernel told what a pool says of its clients, before the first bytes of its answer.
    fn tell_kernel(&self)
    where
        S: Socket,
    {
        if self.traffic.is_untold.take() {
            self.stream.settle(self.traffic.liveness.get());
        }
    }

    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if result.is_pending() {
            self.pacer.waits();
        }
        let taken = ready!(self.awaited(cx, result))?;
        self.pacer.passed(taken);
        self.traffic.passed(Direction::Down, taken);
        Poll::Ready(Ok(taken))
    }

    /// The connection itself.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Client<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.pacer.poll(cx));
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            self.pacer.waits();
        }
        ready!(read)?;
        let read = buffer.filled().len() - before;
        self.pacer.passed(read);
        self.traffic.passed(Direction::Up, read);
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Client<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.pacer.poll(cx));
        self.tell_kernel();
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.pacer.poll(cx));
        self.tell_kernel();
        let result = pieces::poll_write(Pin::new(&mut self.stream), cx, slices);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // With TLS this is where the last of an answer waits.
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.awaited(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    fn traffic() -> Rc<Traffic> {
        let tally = Arc::new(Tally::new("web".parse().unwrap(), 1));
        Rc::new(Traffic::of(tally, 0))
    }

    fn pacer() -> Pacer {
        Pacer::new(Rc::default())
    }

    /// The most that is written between two polls of the driver: yielding takes one.
    async fn counted(written: &Cell<usize>) -> usize {
        let mut most = 0;
        for _ in 0..100 {
            let before = written.get();
            tokio::task::yield_now().await;
            most = most.max(written.get() - before);
        }
        most
    }

    #[tokio::test]
    async fn no_more_than_a_turn_passes_before_the_driver_is_polled() {
        let (traffic, written) = (traffic(), Cell::new(0));
        let mut client = Client::new(Hoard, &traffic, pacer());
        let piece = vec![0; 16 * 1024];
        let endless = async {
            loop {
                written.set(written.get() + client.write(&piece).await.unwrap());
            }
        };
        let most = tokio::select! {
            biased;
            most = counted(&written) => most,
            () = endless => unreachable!(),
        };
        assert_eq!(most, 256 * 1024);
    }

    #[tokio::test]
    async fn nor_do_many_small_writes() {
        let (traffic, written) = (traffic(), Cell::new(0));
        let mut client = Client::new(Hoard, &traffic, pacer());
        let endless = async {
            loop {
                client.write_all(&[0]).await.unwrap();
                written.set(written.get() + 1);
            }
        };
        let most = tokio::select! {
            biased;
            most = counted(&written) => most,
            () = endless => unreachable!(),
        };
        assert!((1..=64).contains(&most), "{most} writes in one turn");
    }

    #[tokio::test]
    async fn bytes_are_counted_and_pass_as_they_are() {
        let (mut far, near) = duplex(1000);
        let traffic = traffic();
        let mut client = Client::new(near, &traffic, pacer());
        far.write_all(b"\n\0whatever\n").await.unwrap();
        let mut buffer = [0; 11];
        client.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, *b"\n\0whatever\n");
        client.write_all(b"answer").await.unwrap();
        assert_eq!(traffic.bytes(), (11, 6));
        assert_eq!((traffic.tally.bytes(Direction::Up), traffic.tally.bytes(Direction::Down)), (11, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_an_answer_is_not_waited_for_without_end() {
        let (mut far, near) = duplex(10);
        let traffic = traffic();
        let mut client = Client::new(near, &traffic, pacer());
        traffic.answers_within(Some(Duration::from_secs(5)));
        let slow = async {
            // Whoever takes some of it now and then is.
            for _ in 0..3 {
                sleep(Duration::from_secs(4)).await;
                far.read_exact(&mut [0; 10]).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let began = Instant::now();
        tokio::select! {
            () = slow => {}
            written = client.write_all(&[0; 100]) => assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut),
        }
        assert_eq!(began.elapsed(), Duration::from_secs(12 + 5));
    }

    /// Takes all that is written, and passes none of it on.
    struct Hoard;

    impl AsyncWrite for Hoard {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncRead for Hoard {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Socket for Hoard {
        const ENDS_WHEN_DROPPED: bool = false;

        fn is_broken(&self) -> bool {
            false
        }

        fn settle(&self, _: Liveness) {}
    }

    #[tokio::test(start_paused = true)]
    async fn nor_is_who_leaves_the_last_of_it_lying_in_front_of_the_kernel() {
        let traffic = traffic();
        let mut client = Client::new(Hoard, &traffic, pacer());
        traffic.answers_within(Some(Duration::from_secs(5)));
        let began = Instant::now();
        client.write_all(&[0; 100]).await.unwrap();
        assert_eq!(client.flush().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }
}
