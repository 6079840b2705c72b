//! Failures among the sessions of the recent past: a sliding window, without a clock of its own.

use std::time::Duration;

use tokio::time::Instant;

/// Pieces of the window: a session counts for as long as the window, give or take a tenth of it.
const BUCKETS: u32 = 10;

/// What succeeded and what failed in the last while.
#[derive(Debug, Clone)]
pub(super) struct Window {
    bucket: Duration,
    /// The first moment of the newest bucket.
    newest: Instant,
    /// Newest first.
    counts: [Counts; BUCKETS as usize],
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    sessions: u32,
    failures: u32,
}

impl Window {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        let bucket = (length / BUCKETS).max(Duration::from_nanos(1));
        Self { bucket, newest: now, counts: [Counts::default(); BUCKETS as usize] }
    }

    /// Counts a session.
    pub(super) fn count(&mut self, failed: bool, now: Instant) {
        self.forget(now);
        let newest = &mut self.counts[0];
        newest.sessions = newest.sessions.saturating_add(1);
        newest.failures = newest.failures.saturating_add(u32::from(failed));
    }

    /// Sessions, and failures among them.
    pub(super) fn sums(&mut self, now: Instant) -> (u64, u64) {
        self.forget(now);
        let sum = |of: fn(&Counts) -> u32| self.counts.iter().map(|counts| u64::from(of(counts))).sum();
        (sum(|counts| counts.sessions), sum(|counts| counts.failures))
    }

    /// Lets what is too old go.
    fn forget(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.newest).as_nanos() / self.bucket.as_nanos();
        if passed == 0 {
            return;
        }
        let passed = u32::try_from(passed).unwrap_or(BUCKETS).min(BUCKETS);
        self.counts.rotate_right(passed as usize);
        self.counts[..passed as usize].fill(Counts::default());
        // Past the whole window it does not matter where buckets begin.
        self.newest = if passed == BUCKETS { now } else { self.newest + self.bucket * passed };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_count_for_as_long_as_the_window() {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_secs(10), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..10 {
            window.count(second % 2 == 0, at(second));
        }
        assert_eq!(window.sums(at(9)), (10, 5));
        window.count(true, at(10));
        assert_eq!(window.sums(at(10)), (10, 5), "the first one has gone");
        window.count(false, at(14));
        assert_eq!(window.sums(at(14)), (7, 3), "those of the first five seconds have gone");
        window.count(true, at(10_000));
        assert_eq!(window.sums(at(10_000)), (1, 1));
    }

    #[test]
    fn time_that_stands_still_or_goes_back_loses_nothing() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut window = Window::new(Duration::from_secs(10), start);
        window.count(true, start);
        window.count(true, start - Duration::from_secs(50));
        assert_eq!(window.sums(start), (2, 2));
    }
}
