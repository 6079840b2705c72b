//! How far a backend that came up has taken on its weight (`slow_start`).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::balance::FULL_RAMP;

/// When a backend came up. It takes on its weight linearly from then.
#[derive(Debug, Default)]
pub(super) struct Ramp {
    began: Mutex<Option<Instant>>,
    /// Whether there is anything to look up: nearly always there is not.
    is_on: AtomicBool,
}

impl Ramp {
    pub(super) fn begin(&self, now: Instant) {
        *self.lock() = Some(now);
        self.is_on.store(true, Relaxed);
    }

    /// The part of its weight that it takes now, from 1 to [`FULL_RAMP`], where all of it takes `over`.
    pub(super) fn part(&self, over: Option<Duration>, now: Instant) -> u32 {
        let Some(over) = over.filter(|_| self.is_on.load(Relaxed)) else { return FULL_RAMP };
        let Some(began) = *self.lock() else { return FULL_RAMP };
        let elapsed = now.saturating_duration_since(began);
        if elapsed >= over {
            return FULL_RAMP;
        }
        let part = elapsed.as_nanos() * u128::from(FULL_RAMP) / over.as_nanos();
        u32::try_from(part).unwrap_or(FULL_RAMP).max(1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
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
