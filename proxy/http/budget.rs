//! How many requests may be tried again: a fifth of them, and three a second in any case. Pure.
//!
//! A pool that is sick would else get every request several times, and become sicker. (The idea: "retry budgets", Finagle.)

use tokio::time::Instant;

/// What is left for retries toward one pool.
#[derive(Debug)]
pub struct Budget {
    /// In retries.
    credit: f64,
    at: Instant,
}

/// Each request brings so much of a retry.
const SHARE: f64 = 0.2;

/// And each second so many.
const A_SECOND: f64 = 3.0;

/// No more than this is saved up: ten seconds' worth.
const SAVED_MAX: f64 = 10.0 * A_SECOND;

impl Budget {
    /// With a second's worth.
    pub fn new(now: Instant) -> Self {
        Self { credit: A_SECOND, at: now }
    }

    /// A request has come.
    pub fn note_request(&mut self, now: Instant) {
        self.earn(now, SHARE);
    }

    /// Whether one may be tried again; if so, it is paid for.
    pub fn retry(&mut self, now: Instant) -> bool {
        self.earn(now, 0.0);
        let may = self.credit >= 1.0;
        if may {
            self.credit -= 1.0;
        }
        may
    }

    fn earn(&mut self, now: Instant, more: f64) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.credit = (self.credit + since * A_SECOND + more).min(SAVED_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Of so many requests a second, all of which fail, for a minute: how many are tried again.
    fn retries(per_second: u32) -> u32 {
        let began = Instant::now();
        let mut budget = Budget::new(began);
        let mut retries = 0;
        for number in 0..per_second * 60 {
            let now = began + Duration::from_secs(60) * number / (per_second * 60);
            budget.note_request(now);
            retries += u32::from(budget.retry(now));
        }
        retries
    }

    #[test]
    fn a_fifth_and_three_a_second_are_tried_again() {
        let at = |per_second: u32| f64::from(retries(per_second));
        for per_second in [20, 100, 1000] {
            let expected = f64::from(per_second) * 60.0 * 0.2 + 3.0 * 60.0;
            assert!((at(per_second) / expected - 1.0).abs() < 0.03, "{per_second}: {}", at(per_second));
        }
        assert_eq!(retries(1), 60, "where few come, all are");
    }

    #[test]
    fn what_was_saved_is_bounded_and_time_does_not_go_back() {
        let began = Instant::now();
        let mut budget = Budget::new(began);
        let later = began + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| budget.retry(later)).count(), 30);
        assert!(!budget.retry(began));
    }
}
