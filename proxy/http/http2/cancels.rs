//! How many requests a client may cancel: so many that nobody notices who changes his mind, and not so many that his requests cost
//! backends more than they cost him (CVE-2023-44487). Pure.

use tokio::time::Instant;

/// What is left to one client's connection.
#[derive(Debug)]
pub struct Cancels {
    /// In requests.
    credit: f64,
    at: Instant,
}

/// As many as may be under way at once, all given up at the same time, and some more.
const SAVED_MAX: f64 = 200.0;

/// Each request that was answered to its end lets another be cancelled: of many clients behind one proxy some always give up.
const PER_ANSWER: f64 = 1.0;

/// And each second so many.
const A_SECOND: f64 = 10.0;

impl Cancels {
    /// None was cancelled yet.
    pub fn new(now: Instant) -> Self {
        Self { credit: SAVED_MAX, at: now }
    }

    /// A request was answered to its end.
    pub fn note_answer(&mut self) {
        self.credit = (self.credit + PER_ANSWER).min(SAVED_MAX);
    }

    /// A request was cancelled: whether that may go on.
    pub fn cancel(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.credit = (self.credit + since * A_SECOND).min(SAVED_MAX) - 1.0;
        self.credit >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_only_cancels_is_stopped_and_who_also_reads_is_not() {
        let now = Instant::now();
        let mut cancels = Cancels::new(now);
        assert_eq!((0..1000).take_while(|_| cancels.cancel(now)).count(), 200);
        let mut cancels = Cancels::new(now);
        for _ in 0..10_000 {
            cancels.note_answer();
            assert!(cancels.cancel(now));
        }
    }

    #[test]
    fn ten_a_second_are_nothing() {
        let now = Instant::now();
        let mut cancels = Cancels::new(now);
        assert!((0..10_000).all(|number| cancels.cancel(now + Duration::from_millis(100) * number)));
        assert!(cancels.cancel(now), "time does not go back");
    }
}
