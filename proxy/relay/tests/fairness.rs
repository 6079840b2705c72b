//! What bulk transfers leave of a worker for others: counted in polls of the I/O driver, without a clock.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{spawn_local, yield_now};

use super::*;

/// Bytes that relays have passed, and what of that lies between two polls of the driver.
#[derive(Debug, Default)]
struct Meter {
    since_poll: Cell<usize>,
    polls: Cell<usize>,
    most: Cell<usize>,
    total: Cell<usize>,
}

impl Meter {
    fn note(&self, bytes: usize) {
        self.since_poll.set(self.since_poll.get() + bytes);
        self.total.set(self.total.get() + bytes);
    }

    /// Yielding takes a poll of the driver, each time.
    async fn watch(&self, polls: usize) {
        for _ in 0..polls {
            yield_now().await;
            self.polls.set(self.polls.get() + 1);
            self.most.set(self.most.get().max(self.since_poll.take()));
        }
    }
}

/// A backend that always has a full buffer, or so many bytes at a time and then none until the driver has been polled.
struct Source {
    meter: Rc<Meter>,
    portion: usize,
    left: usize,
    is_endless: bool,
}

/// A client that takes everything.
struct Sink;

impl AsyncRead for Source {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 && !self.is_endless {
            self.left = self.portion;
            // As a socket does that is ready again at the next poll.
            assert!(pin!(yield_now()).poll(cx).is_pending());
            return Poll::Pending;
        }
        let length = buffer.remaining().min(if self.is_endless { usize::MAX } else { self.left });
        self.left = self.left.saturating_sub(length);
        self.meter.note(length);
        buffer.initialize_unfilled_to(length);
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

macro_rules! takes_everything {
    ($socket:ty) => {
        impl AsyncWrite for $socket {
            fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                Poll::Ready(Ok(bytes.len()))
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }

        impl Socket for $socket {
            const ENDS_WHEN_DROPPED: bool = false;

            fn is_broken(&self) -> bool {
                false
            }

            fn settle(&self, _: Liveness) {}
        }
    };
}

takes_everything!(Source);
takes_everything!(Sink);

/// Runs so many transfers on one worker for so many polls of its driver, the first of which is not counted: each transfer is to show
/// once that it is one.
fn passed(transfers: usize, polls: usize, source: impl Fn(&Rc<Meter>) -> Source) -> Rc<Meter> {
    let meter = Rc::new(Meter::default());
    let runtime = Builder::new_current_thread().enable_time().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let buffer = Rc::new(Buffer::new());
        for _ in 0..transfers {
            let (mut upstream, buffer) = (source(&meter), Rc::clone(&buffer));
            spawn_local(async move {
                let seen = Seen::default();
                let session = Session {
                    buffer: &buffer,
                    limits: &UNLIMITED,
                    began: Instant::now(),
                    observer: &seen,
                    stop: &seen.stop,
                };
                run(&mut Sink, &mut upstream, session).await
            });
        }
        meter.watch(2).await;
        meter.most.set(0);
        meter.total.set(0);
        meter.watch(polls).await;
    });
    meter
}

#[test]
fn one_turn_of_endless_transfers_lies_between_two_polls_of_the_driver() {
    for transfers in [1, 2, 50] {
        let endless = |meter: &Rc<Meter>| Source { meter: Rc::clone(meter), portion: 0, left: 0, is_endless: true };
        let meter = passed(transfers, 100, endless);
        assert_eq!(meter.most.get(), flow::TURN_BYTES, "{transfers} transfers");
        assert!(meter.total.get() >= 99 * flow::TURN_BYTES, "none of the turns is lost: {meter:?}");
    }
}

#[test]
fn many_transfers_that_keep_up_with_their_peers_are_bounded_as_well() {
    let portion = flow::BULK_BYTES;
    let steady = |meter: &Rc<Meter>| Source { meter: Rc::clone(meter), portion, left: portion, is_endless: false };
    let few = passed(3, 100, steady);
    assert_eq!(few.most.get(), 3 * portion, "a few do not queue");
    let many = passed(100, 300, steady);
    // One whose turn it is, beside those that have not queued.
    assert!(many.most.get() <= UNQUEUED_BYTES + portion, "{many:?}");
    assert!(many.total.get() >= 299 * UNQUEUED_BYTES, "nor is time wasted: {many:?}");
}
