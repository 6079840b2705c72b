//! How often something may happen: a bucket as a point in time. Pure, without a clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::scalar::Rate;

/// So many at once, and more at this rate.
///
/// The generic cell rate algorithm (ITU-T I.371): a bucket is the moment until which what has happened is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// In the long run.
    pub rate: Rate,
    /// At once, at least one.
    pub burst: u32,
}

impl Limit {
    /// Lets one happen now, or says no. `paid_until` is the bucket: `None` where nothing has happened lately.
    pub(super) fn take(&self, paid_until: Option<Instant>, now: Instant) -> Option<Instant> {
        self.take_from(paid_until.map_or(now, |until| until.max(now)), now)
    }

    /// The same for a bucket whose past counts too: `from` may lie before `now`.
    pub(super) fn take_from(&self, from: Instant, now: Instant) -> Option<Instant> {
        let interval = self.rate.interval();
        let ahead = interval.saturating_mul(self.burst.saturating_sub(1));
        // A debt that this limit cannot have made is another's, from before a reload, and void.
        let is_foreign = from.saturating_duration_since(now) > ahead + interval + FOREIGN;
        let from = if is_foreign { now } else { from };
        (from.saturating_duration_since(now) <= ahead).then(|| from + interval)
    }
}

/// Debts are compared by clocks of several threads: they are not void for a moment's difference.
const FOREIGN: Duration = Duration::from_secs(1);

/// A bucket for each of many, such as addresses.
#[derive(Debug)]
pub struct Buckets<K> {
    paid_until: HashMap<K, Instant>,
    /// When idle ones were last forgotten.
    swept: Option<Instant>,
}

/// Buckets at most: more addresses than these at once are no matter of how often each comes.
const BUCKETS: usize = 100_000;

/// Between two looks for idle buckets in a full table.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl<K: Eq + Hash> Buckets<K> {
    /// Lets one happen now, or says no. One that finds the table full of others is let through, uncounted.
    pub fn take(&mut self, key: K, limit: &Limit, now: Instant) -> bool {
        let before = self.paid_until.get(&key).copied();
        let Some(paid_until) = limit.take(before, now) else { return false };
        if before.is_some() || self.has_room(now) {
            self.paid_until.insert(key, paid_until);
        }
        true
    }

    fn has_room(&mut self, now: Instant) -> bool {
        let is_due = self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_EVERY);
        if self.paid_until.len() >= BUCKETS && is_due {
            // What is paid for is as if it had never been.
            self.paid_until.retain(|_, paid_until| *paid_until > now);
            self.swept = Some(now);
        }
        self.paid_until.len() < BUCKETS
    }
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self { paid_until: HashMap::new(), swept: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten_a_second() -> Limit {
        Limit { rate: "10/s".parse().unwrap(), burst: 3 }
    }

    /// How many of `tries` go through at each of these moments, in milliseconds.
    fn taken(limit: Limit, moments: &[(u64, usize)]) -> Vec<usize> {
        let (mut buckets, now) = (Buckets::default(), Instant::now());
        let at = |&(millis, tries): &(u64, usize)| {
            (0..tries).filter(|_| buckets.take((), &limit, now + Duration::from_millis(millis))).count()
        };
        moments.iter().map(at).collect()
    }

    #[test]
    fn a_burst_goes_through_and_then_one_an_interval() {
        let moments = [(0, 10), (99, 5), (100, 5), (250, 5), (300, 5), (10_000, 10)];
        assert_eq!(taken(ten_a_second(), &moments), [3, 0, 1, 1, 1, 3]);
        assert_eq!(taken(Limit { burst: 1, ..ten_a_second() }, &[(0, 5), (100, 5)]), [1, 1]);
    }

    #[test]
    fn what_is_owed_under_a_slower_rate_is_forgotten_with_it() {
        let (mut buckets, now) = (Buckets::default(), Instant::now());
        let slow = Limit { rate: "1/m".parse().unwrap(), burst: 2 };
        let taken = |buckets: &mut Buckets<u8>, limit| (0..10).filter(|_| buckets.take(0, &limit, now)).count();
        assert_eq!(taken(&mut buckets, slow), 2);
        assert_eq!(taken(&mut buckets, slow), 0);
        assert_eq!(taken(&mut buckets, ten_a_second()), 3);
        assert_eq!(taken(&mut buckets, slow), 1, "and a little debt is one");
    }

    #[test]
    fn over_a_long_time_the_rate_is_exact() {
        let moments: Vec<_> = (0..60_000).map(|millis| (millis, 1)).collect();
        let through: usize = taken(ten_a_second(), &moments).iter().sum();
        assert_eq!(through, 600 + 2);
    }

    #[test]
    fn a_million_addresses_take_bounded_memory_and_idle_ones_are_forgotten() {
        let (mut buckets, now) = (Buckets::default(), Instant::now());
        for address in 0..1_000_000_u32 {
            assert!(buckets.take(address, &ten_a_second(), now));
        }
        assert_eq!(buckets.paid_until.len(), BUCKETS);
        assert!(buckets.take(0, &ten_a_second(), now) && buckets.take(0, &ten_a_second(), now));
        assert!(!buckets.take(0, &ten_a_second(), now), "those that are known are limited all the same");
        assert!(buckets.take(1_000_000, &ten_a_second(), now + Duration::from_secs(5)));
        assert_eq!(buckets.paid_until.len(), 1);
    }
}
