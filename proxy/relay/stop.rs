//! What one session is asked from outside.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// Asks one task of the same thread to end, to say something to its client first, or how its client is connected. Costs its
/// owner a load per poll.
#[derive(Default)]
pub struct Stop {
    asked: Cell<Asked>,
    waker: Cell<Option<Waker>>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Asked {
    /// Nothing.
    #[default]
    Nothing,
    /// To tell [`super::Observe::measured`] how its client is connected. Lost where more is asked before it was heard.
    Measure,
    /// To tell the client what [`super::Observe::notice`] has for it.
    Notice,
    /// To end.
    End,
}

impl Stop {
    /// Asks to end. What is asked cannot be taken back.
    pub fn ask(&self) {
        self.set(Asked::End);
    }

    /// Asks to tell the client something.
    pub fn ask_to_tell(&self) {
        self.set(Asked::Notice);
    }

    /// Asks how the client is connected.
    pub fn ask_to_measure(&self) {
        self.set(Asked::Measure);
    }

    /// What is asked, once: it wakes the task of `cx` when more is. To end is asked for ever.
    pub fn poll(&self, cx: &Context<'_>) -> Asked {
        let asked = self.asked.get();
        if asked == Asked::End {
            return asked;
        }
        self.asked.set(Asked::Nothing);
        let waker = self.waker.take().filter(|waker| waker.will_wake(cx.waker()));
        self.waker.set(Some(waker.unwrap_or_else(|| cx.waker().clone())));
        asked
    }

    /// Resolves when it is asked to end. One task at a time may wait.
    pub async fn asked(&self) {
        poll_fn(|cx| match self.poll(cx) {
            Asked::End => Poll::Ready(()),
            // What is to be told or measured stays for the relay, which alone can.
            asked => {
                self.asked.set(asked);
                Poll::Pending
            }
        })
        .await;
    }

    /// The same, for an owner whose relay listens to `relay`: what that can find out is asked there.
    pub async fn asked_beside(&self, relay: &Self) {
        poll_fn(|cx| match self.poll(cx) {
            Asked::End => Poll::Ready(()),
            Asked::Measure => {
                relay.ask_to_measure();
                Poll::Pending
            }
            Asked::Nothing | Asked::Notice => Poll::Pending,
        })
        .await;
    }

    fn set(&self, asked: Asked) {
        self.asked.set(asked.max(self.asked.get()));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("asked", &self.asked).finish_non_exhaustive()
    }
}
