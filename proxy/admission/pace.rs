//! How fast a listener lets clients in (`accept_rate`). Pure, without a clock.

use std::time::Duration;

use tokio::time::Instant;

use super::rate::Limit;

/// Who is let in at once, and who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// So many at once (`accept_burst`), and more at this rate (`accept_rate`).
    pub limit: Limit,
    /// Clients that wait, at most.
    pub max_waiting: usize,
    /// How long each of them may.
    pub wait_timeout: Duration,
}

/// Who has been let in so far, as a point in time.
#[derive(Debug, Default)]
pub struct Pace {
    paid_until: Option<Instant>,
}

/// Turns that are noticed later than this are lost: after a pause of the whole process there is no rush.
const LATE: Duration = Duration::from_secs(1);

impl Pace {
    /// Lets a client in that finds nobody waiting, or says no.
    pub fn pass(&mut self, limit: &Limit, now: Instant) -> bool {
        self.note(limit.take(self.paid_until, now))
    }

    /// Lets the next of those in who wait, if it is time. A turn that is noticed late is not lost, so that the rate is kept
    /// however coarse the clock is that asks.
    pub fn pass_next(&mut self, limit: &Limit, now: Instant) -> bool {
        let earliest = now.checked_sub(LATE).unwrap_or(now);
        self.note(limit.take_from(self.paid_until.map_or(now, |until| until.max(earliest)), now))
    }

    fn note(&mut self, paid_until: Option<Instant>) -> bool {
        self.paid_until = paid_until.or(self.paid_until);
        paid_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(rate: &str, burst: u32) -> Limit {
        Limit { rate: rate.parse().unwrap(), burst }
    }

    /// Lets in all who wait, every so often, for a while.
    fn passed(limit: Limit, every: Duration, lasts: Duration) -> usize {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        let looks = u32::try_from(lasts.as_micros() / every.as_micros()).unwrap();
        let at = |look| begun + every * look;
        (0..looks).map(|look| (0..).take_while(|_| pace.pass_next(&limit, at(look))).count()).sum()
    }

    #[test]
    fn the_rate_is_exact_however_seldom_one_looks() {
        let cases = [(limit("200/s", 1), 200, 1), (limit("200/s", 50), 200, 50), (limit("1000/s", 1), 1000, 1)];
        for every in [1, 10, 50, 333, 1000] {
            for (limit, a_second, burst) in cases {
                let (every, lasts) = (Duration::from_millis(every), Duration::from_secs(10));
                // From the first look to the last.
                let looked = lasts.as_millis() / every.as_millis() - 1;
                let expected = looked * every.as_millis() * a_second / 1000 + burst;
                assert_eq!(passed(limit, every, lasts) as u128, expected, "{limit:?} {every:?}");
            }
        }
    }

    #[test]
    fn a_pause_of_the_whole_process_is_followed_by_no_rush() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let limit = limit("10/s", 1);
        assert!(pace.pass(&limit, now) && !pace.pass_next(&limit, now));
        let later = now + Duration::from_secs(60);
        assert_eq!((0..).take_while(|_| pace.pass_next(&limit, later)).count(), 11);
    }

    #[test]
    fn who_comes_to_an_empty_line_finds_no_more_than_a_burst() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let limit = limit("10/s", 3);
        for seconds in [0, 1, 60] {
            let now = now + Duration::from_secs(seconds);
            assert_eq!((0..).take_while(|_| pace.pass(&limit, now)).count(), 3, "{seconds}");
        }
    }
}
