//! How long a client may take with the head of a request, and how long it may be silent before it begins with one.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::timer::Timer;

/// The limits of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a head, or from the accept, to the head's end.
    pub header: Duration,
    /// Between an answer and the next request.
    pub keepalive: Duration,
    /// While nothing of an answer is taken.
    pub send: Option<Duration>,
    /// Between two pieces of a request's body.
    pub body: Option<Duration>,
}

/// What is waited for between two requests.
#[derive(Debug)]
pub struct Patience {
    limits: Limits,
    awaited: Late,
    until: Instant,
    timer: Timer,
}

/// What a client has taken too long with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The head of a request.
    Head,
    /// Nothing at all.
    Silent,
}

impl Limits {
    /// How long an answer may wait for its client, in a pool that lets one wait for so long between two bytes.
    pub fn send_within(&self, idle: Option<Duration>) -> Option<Duration> {
        shorter(self.send, idle)
    }

    /// How long the next piece of a request's body may take, in such a pool.
    pub fn body_within(&self, idle: Option<Duration>) -> Option<Duration> {
        shorter(self.body, idle)
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

impl Patience {
    /// With a connection that was accepted then: its first head is expected.
    pub fn new(accepted_at: Instant, limits: Limits) -> Self {
        Self { limits, awaited: Late::Head, until: accepted_at + limits.header, timer: Timer::default() }
    }

    /// The last answer was over then; the next request may take its time.
    pub fn rest(&mut self, since: Instant) {
        (self.awaited, self.until) = (Late::Silent, since + self.limits.keepalive);
    }

    /// Some of a head has come, the rest of which must be there by that time, too.
    pub fn begin_head(&mut self, by: Option<Instant>) {
        if self.awaited == Late::Silent {
            (self.awaited, self.until) = (Late::Head, Instant::now() + self.limits.header);
        }
        self.until = by.map_or(self.until, |by| by.min(self.until));
    }

    /// Ready when the client has taken too long.
    pub fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        self.timer.poll_until(cx, self.until).map(|()| self.awaited)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::sleep;

    use super::*;

    const LIMITS: Limits =
        Limits { header: Duration::from_secs(10), keepalive: Duration::from_secs(75), send: None, body: None };

    async fn late(patience: &mut Patience) -> (Late, Instant) {
        (poll_fn(|cx| patience.poll_late(cx)).await, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_counts_from_the_accept_and_silence_from_the_answer() {
        let accepted = Instant::now();
        sleep(Duration::from_secs(3)).await;
        let mut patience = Patience::new(accepted, LIMITS);
        patience.begin_head(None);
        assert_eq!(late(&mut patience).await, (Late::Head, accepted + LIMITS.header));
        let answered = Instant::now();
        patience.rest(answered);
        assert_eq!(late(&mut patience).await, (Late::Silent, answered + LIMITS.keepalive));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_during_the_silence_has_its_own_time() {
        let mut patience = Patience::new(Instant::now(), LIMITS);
        patience.rest(Instant::now());
        sleep(Duration::from_secs(70)).await;
        let begun = Instant::now();
        patience.begin_head(None);
        // Further bytes of the same head do not put it off.
        for _ in 0..3 {
            sleep(Duration::from_secs(3)).await;
            patience.begin_head(None);
        }
        assert_eq!(late(&mut patience).await, (Late::Head, begun + LIMITS.header));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_may_be_waited_for_less_long() {
        let now = Instant::now();
        let mut patience = Patience::new(now, LIMITS);
        let soon = now + Duration::from_secs(1);
        patience.begin_head(Some(soon));
        patience.begin_head(Some(soon + LIMITS.header));
        assert_eq!(late(&mut patience).await, (Late::Head, soon));
    }
}
