//! How long a client may take with the head of a request, and how long it may be silent before it begins with one.
//!
//! The library has one timer for both, which it sets when it begins to wait. This one looks at what has come meanwhile.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::time::{self, Instant};

/// The limits of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a head, or from the accept, to the head's end.
    pub header: Duration,
    /// Between an answer and the next request.
    pub keepalive: Duration,
}

/// Where a connection is between two requests. Told by whoever reads from it.
#[derive(Debug)]
pub struct Phase {
    base: Instant,
    /// When the head that is on its way began, in milliseconds from the base and one; 0 while there is none.
    began: AtomicU64,
}

/// The library's timer for one connection.
#[derive(Debug, Clone)]
pub struct Patience {
    phase: Arc<Phase>,
    limits: Limits,
}

impl Phase {
    /// A connection that was accepted then: its first head is expected.
    pub fn new(accepted_at: Instant) -> Arc<Self> {
        Arc::new(Self { base: accepted_at, began: AtomicU64::new(1) })
    }

    /// Bytes have come: whether a head is on its way now.
    pub fn note(&self, is_in_head: bool) {
        if !is_in_head {
            self.began.store(0, Relaxed);
        } else if self.began.load(Relaxed) == 0 {
            let since = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
            self.began.store(since + 1, Relaxed);
        }
    }

    /// Whether a head is on its way, or the first is waited for.
    pub fn is_in_head(&self) -> bool {
        self.began.load(Relaxed) != 0
    }

    fn head_began(&self) -> Option<Instant> {
        let began = self.began.load(Relaxed).checked_sub(1)?;
        Some(self.base + Duration::from_millis(began))
    }
}

impl Patience {
    /// For a connection.
    pub fn new(phase: &Arc<Phase>, limits: Limits) -> Self {
        Self { phase: Arc::clone(phase), limits }
    }

    fn deadline(&self, waiting_since: Instant) -> Instant {
        match self.phase.head_began() {
            Some(began) => began + self.limits.header,
            None => waiting_since + self.limits.keepalive,
        }
    }
}

impl Timer for Patience {
    /// The time that is asked for is the library's guess; what counts is the phase.
    fn sleep(&self, _duration: Duration) -> Pin<Box<dyn Sleep>> {
        let since = Instant::now();
        let timer = Box::pin(time::sleep_until(self.deadline(since)));
        Box::pin(Waiting { patience: self.clone(), since, timer })
    }

    #[allow(clippy::disallowed_types, reason = "the library's signature; nothing is asked of that clock")]
    fn sleep_until(&self, _deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }
}

/// One wait of the library.
struct Waiting {
    patience: Patience,
    since: Instant,
    timer: Pin<Box<time::Sleep>>,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.patience.deadline(self.since);
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(cx)
    }
}

impl Sleep for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { header: Duration::from_secs(10), keepalive: Duration::from_secs(75) };

    #[tokio::test(start_paused = true)]
    async fn the_first_head_counts_from_the_accept_and_silence_from_the_wait() {
        let accepted = Instant::now();
        let phase = Phase::new(accepted);
        let patience = Patience::new(&phase, LIMITS);
        time::sleep(Duration::from_secs(3)).await;
        patience.sleep(Duration::ZERO).await;
        assert_eq!(accepted.elapsed(), Duration::from_secs(10));
        phase.note(false);
        let waiting = Instant::now();
        patience.sleep(Duration::ZERO).await;
        assert_eq!(waiting.elapsed(), Duration::from_secs(75));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_during_the_wait_has_its_own_time() {
        let phase = Phase::new(Instant::now());
        let patience = Patience::new(&phase, LIMITS);
        phase.note(false);
        let mut waiting = patience.sleep(Duration::ZERO);
        time::timeout(Duration::from_secs(70), waiting.as_mut()).await.unwrap_err();
        phase.note(true);
        // Further bytes of the same head do not put it off.
        for _ in 0..3 {
            time::timeout(Duration::from_secs(3), waiting.as_mut()).await.unwrap_err();
            phase.note(true);
        }
        let rest = Instant::now();
        waiting.await;
        assert_eq!(rest.elapsed(), Duration::from_secs(1));
    }
}
