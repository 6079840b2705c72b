//! How much of its weight a backend that has come up has taken on (`slow_start`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::balance::FULL_RAMP;

/// When a backend came up. It takes on its weight linearly from then.
#[derive(Debug)]
pub(super) struct Ramp {
    /// What `began` counts from.
    base: Instant,
    /// In nanoseconds, at least one; 0 while it never came up. Read for every candidate of every choice, so it is no lock's.
    began: AtomicU64,
}

impl Ramp {
    pub(super) fn begin(&self, now: Instant) {
        self.began.store(self.nanos(now).max(1), Relaxed);
    }

    /// The part of its weight that it takes now, from 1 to [`FULL_RAMP`], where all of it takes `over`.
    pub(super) fn part(&self, over: Option<Duration>, now: Instant) -> u32 {
        let Some(over) = over else { return FULL_RAMP };
        let began = self.began.load(Relaxed);
        if began == 0 {
            return FULL_RAMP;
        }
        let (elapsed, over) = (u128::from(self.nanos(now).saturating_sub(began)), over.as_nanos());
        if elapsed >= over {
            return FULL_RAMP;
        }
        u32::try_from(elapsed * u128::from(FULL_RAMP) / over).unwrap_or(FULL_RAMP).max(1)
    }

    /// Since the base. 64 bits last for 584 years.
    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.base).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A moment that was read before the backend was made may come after it.
const EARLIER: Duration = Duration::from_secs(60);

impl Default for Ramp {
    fn default() -> Self {
        let now = Instant::now();
        Self { base: now.checked_sub(EARLIER).unwrap_or(now), began: AtomicU64::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_is_taken_on_linearly() {
        let (ramp, over, now) = (Ramp::default(), Some(Duration::from_secs(30)), Instant::now());
        assert_eq!(ramp.part(over, now), FULL_RAMP, "it never came up: it was there from the start");
        ramp.begin(now);
        let at = |seconds| ramp.part(over, now + Duration::from_secs(seconds));
        assert_eq!([0, 15, 30, 31].map(at), [1, FULL_RAMP / 2, FULL_RAMP, FULL_RAMP]);
        assert_eq!(ramp.part(None, now), FULL_RAMP);
    }
}
