//! How fast sessions are ended that a drain has not seen end. Pure, without a clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::scalar::Rate;

/// Ends those who are left evenly over the time that is left, no faster than a rate.
#[derive(Debug)]
pub struct Pace {
    most: Rate,
    /// Parts of a session that is due.
    owed: f64,
    last: Instant,
}

impl Pace {
    /// Begins now.
    pub fn new(most: Rate, now: Instant) -> Self {
        Self { most, owed: 0.0, last: now }
    }

    /// How many are due since it was last asked, of those who are left now.
    pub fn due(&mut self, left: usize, now: Instant, ends_at: Instant) -> usize {
        let (passed, remained) =
            (now.saturating_duration_since(self.last), ends_at.saturating_duration_since(self.last));
        self.last = now;
        if remained.is_zero() {
            return 0;
        }
        let seconds = passed.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "sessions are far fewer than 2^52")]
        let even = left as f64 / remained.as_secs_f64();
        self.owed += even.min(1.0 / self.most.interval().as_secs_f64()) * seconds;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, and small")]
        let due = self.owed as usize;
        self.owed = self.owed.fract();
        due
    }
}

/// How many of those who are left this rate cannot end in time: they are ended together, at the end.
pub fn too_many(left: usize, most: Rate, time: Duration) -> usize {
    let in_time = time.as_nanos() / most.interval().as_nanos().max(1);
    left.saturating_sub(usize::try_from(in_time).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// Who is left after each second of so many, where so many also leave by themselves each second.
    fn left_over(begun_with: usize, most: &str, seconds: u32, leave: usize) -> Vec<usize> {
        let begun = Instant::now();
        let ends_at = begun + Duration::from_secs(seconds.into());
        let mut pace = Pace::new(most.parse().unwrap(), begun);
        let (mut left, mut each_second) = (begun_with, Vec::new());
        for tick in 1..=seconds * 10 {
            left = left.saturating_sub(pace.due(left, begun + TICK * tick, ends_at));
            if tick % 10 == 0 {
                left = left.saturating_sub(leave);
                each_second.push(left);
            }
        }
        each_second
    }

    #[test]
    fn they_go_evenly_and_the_last_one_at_the_end() {
        let left = left_over(100, "1000/s", 10, 0);
        let even: Vec<_> = (0..10).rev().map(|tenth| tenth * 10).collect();
        assert!(left.iter().zip(&even).all(|(left, even)| left.abs_diff(*even) <= 1), "{left:?}");
        let three = left_over(3, "1000/s", 15, 0);
        assert!(three[4] >= 2 && three[9] >= 1 && three[14] <= 1, "{three:?}");
    }

    #[test]
    fn who_leaves_by_itself_gives_the_others_time() {
        let left = left_over(100, "1000/s", 10, 5);
        // 25 have left by themselves at half time, and fewer than 50 were ended.
        assert!((20..=35).contains(&left[4]) && left[7] >= 1, "{left:?}");
    }

    #[test]
    fn no_more_go_at_once_than_may() {
        let left = left_over(100, "2/s", 10, 0);
        assert!(
            left.iter().zip((0..10).map(|second| 98 - second * 2)).all(|(left, most)| left.abs_diff(most) <= 1),
            "{left:?}"
        );
        let rate = "2/s".parse().unwrap();
        assert_eq!(
            (too_many(100, rate, Duration::from_secs(10)), too_many(20, rate, Duration::from_secs(10))),
            (80, 0)
        );
    }

    #[test]
    fn beyond_the_end_nobody_is_due() {
        let begun = Instant::now();
        let mut pace = Pace::new("10/s".parse().unwrap(), begun);
        assert_eq!(pace.due(5, begun + TICK, begun), 0);
        assert_eq!(pace.due(0, begun + TICK * 2, begun + TICK * 20), 0);
    }
}
