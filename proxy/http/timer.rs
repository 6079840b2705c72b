//! Limits of time that are seldom reached: setting a timer for each costs more than what it watches.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for one limit after the other.
#[derive(Debug, Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready when that time has come. It is set to a later one only when it fires.
    pub fn poll_until(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        loop {
            // Also for a task that has had its turn: what else it waits for may never be at rest.
            ready!(pin!(unconstrained(timer.as_mut())).poll(cx));
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_fires_when_it_was_last_told_to() {
        let (mut timer, began) = (Timer::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        let noop = &mut Context::from_waker(std::task::Waker::noop());
        // Put off, brought forward, and used again when it has fired.
        for (asked, until) in [(10, 30), (100, 40), (50, 60)] {
            assert!(timer.poll_until(noop, at(asked)).is_pending());
            poll_fn(|cx| timer.poll_until(cx, at(until))).await;
            assert_eq!(Instant::now(), at(until));
        }
        assert!(timer.poll_until(noop, at(1)).is_ready(), "that is over");
    }
}
