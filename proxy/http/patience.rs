//! How long a client may take with the head of a request, and how long it may be silent before it begins with one.
//!
//! One timer for a connection, which looks at what has come meanwhile: that of the library would be set anew for each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::busy::Busy;

/// The limits of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a head, or from the accept, to the head's end.
    pub header: Duration,
    /// Between an answer and the next request.
    pub keepalive: Duration,
}

/// Where a connection is between two requests. Told by whoever reads from it and writes to it.
#[derive(Debug)]
pub struct Phase {
    base: Instant,
    /// When the head that is on its way began, in milliseconds from the base and one; 0 while there is none.
    began: AtomicU64,
    /// Tells that one has begun.
    begun: Notify,
    /// The client has taken bytes since that was last asked.
    has_taken: AtomicBool,
}

/// What a client has taken too long with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The head of a request.
    Head,
    /// Nothing at all.
    Silent,
}

impl Phase {
    /// A connection that was accepted then: its first head is expected.
    pub fn new(accepted_at: Instant) -> Arc<Self> {
        let (began, begun, has_taken) = (AtomicU64::new(1), Notify::new(), AtomicBool::new(false));
        Arc::new(Self { base: accepted_at, began, begun, has_taken })
    }

    /// Bytes have come: whether a head is on its way now.
    pub fn note(&self, is_in_head: bool) {
        if !is_in_head {
            self.began.store(0, Relaxed);
        } else if self.began.load(Relaxed) == 0 {
            let since = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
            self.began.store(since + 1, Relaxed);
            self.begun.notify_one();
        }
    }

    /// The client has taken bytes.
    pub fn note_taken(&self) {
        self.has_taken.store(true, Relaxed);
    }

    /// Resolves when the client has taken too long. While a request is under way, others look after that.
    pub async fn late(&self, limits: Limits, busy: &Busy) -> Late {
        let (mut quiet_since, mut looked) = (self.base, self.base);
        loop {
            let now = Instant::now();
            let (late, at) = match (self.head_began(), busy.idle_since()) {
                (_, None) => (None, now + limits.header.min(limits.keepalive)),
                (Some(began), Some(since)) => (Some(Late::Head), began.max(since) + limits.header),
                (None, Some(since)) => {
                    let from = since.max(quiet_since);
                    let half = from + limits.keepalive / 2;
                    if looked < half { (None, half) } else { (Some(Late::Silent), from + limits.keepalive) }
                }
            };
            if now < at {
                tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.begun.notified() => {}
                }
                continue;
            }
            // The end of an answer may still be on its way to a slow client.
            let has_taken = self.has_taken.swap(false, Relaxed);
            looked = now;
            match late {
                Some(Late::Silent) if has_taken => quiet_since = now,
                Some(late) => return late,
                None => {}
            }
        }
    }

    fn head_began(&self) -> Option<Instant> {
        let began = self.began.load(Relaxed).checked_sub(1)?;
        Some(self.base + Duration::from_millis(began))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const LIMITS: Limits = Limits { header: Duration::from_secs(10), keepalive: Duration::from_secs(75) };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_counts_from_the_accept_and_silence_from_the_answer() {
        let (accepted, busy) = (Instant::now(), Busy::new());
        let phase = Phase::new(accepted);
        sleep(seconds(3)).await;
        assert_eq!(phase.late(LIMITS, &busy).await, Late::Head);
        assert_eq!(accepted.elapsed(), seconds(10));
        phase.note(false);
        let work = busy.work();
        assert!(timeout(seconds(1000), phase.late(LIMITS, &busy)).await.is_err(), "a request is under way");
        drop(work);
        let answered = Instant::now();
        assert_eq!(phase.late(LIMITS, &busy).await, Late::Silent);
        assert_eq!(answered.elapsed(), seconds(75));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_during_the_silence_has_its_own_time() {
        let (phase, busy) = (Phase::new(Instant::now()), Busy::new());
        phase.note(false);
        let mut late = Box::pin(phase.late(LIMITS, &busy));
        timeout(seconds(70), late.as_mut()).await.unwrap_err();
        phase.note(true);
        // Further bytes of the same head do not put it off.
        for _ in 0..3 {
            timeout(seconds(3), late.as_mut()).await.unwrap_err();
            phase.note(true);
        }
        let rest = Instant::now();
        assert_eq!(late.await, Late::Head);
        assert_eq!(rest.elapsed(), seconds(1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_still_takes_an_answer_is_not_silent() {
        let (began, phase, busy) = (Instant::now(), Phase::new(Instant::now()), Busy::new());
        phase.note(false);
        let mut late = Box::pin(phase.late(LIMITS, &busy));
        timeout(seconds(60), late.as_mut()).await.unwrap_err();
        phase.note_taken();
        assert_eq!(late.await, Late::Silent);
        assert_eq!(began.elapsed(), seconds(150));
    }
}
