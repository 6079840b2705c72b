//! Asks one session to end.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// Asks one task of the same thread to end. Costs its owner a load per poll.
#[derive(Default)]
pub struct Stop {
    asked: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Stop {
    /// Asks. What is asked cannot be taken back.
    pub fn ask(&self) {
        self.asked.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether it was asked; if not, wakes the task of `cx` when it is.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.asked.get() {
            return Poll::Ready(());
        }
        let waker = self.waker.take().filter(|waker| waker.will_wake(cx.waker()));
        self.waker.set(Some(waker.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }

    /// Resolves when it is asked. One task at a time may wait.
    pub async fn asked(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("asked", &self.asked).finish_non_exhaustive()
    }
}
