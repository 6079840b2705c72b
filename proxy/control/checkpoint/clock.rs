//! Moments of this process as times of day, and back. Pure.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The same moment on both clocks. It stays while they go alike, so that a moment has the same time of day whenever it is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    monotonic: Instant,
    wall: SystemTime,
}

/// How far the two may differ: they drift, and somebody may set the one.
const APART: Duration = Duration::from_secs(1);

impl Clock {
    /// What it is now.
    pub(super) fn new(monotonic: Instant, wall: SystemTime) -> Self {
        Self { monotonic, wall }
    }

    /// Follows them, where they have come apart.
    pub(super) fn follow(&mut self, monotonic: Instant, wall: SystemTime) {
        let expected = self.wall(monotonic);
        let apart = expected.duration_since(wall).or_else(|_earlier| wall.duration_since(expected)).unwrap_or(APART);
        if apart >= APART {
            *self = Self { monotonic, wall };
        }
    }

    /// The time of day of a moment.
    pub(super) fn wall(&self, at: Instant) -> SystemTime {
        let since = at.saturating_duration_since(self.monotonic);
        let before = self.monotonic.saturating_duration_since(at);
        self.wall.checked_add(since).and_then(|at| at.checked_sub(before)).unwrap_or(self.wall)
    }

    /// The moment of a time of day; `None` if this machine did not run then.
    pub(super) fn monotonic(&self, at: SystemTime) -> Option<Instant> {
        match at.duration_since(self.wall) {
            Ok(since) => self.monotonic.checked_add(since),
            Err(earlier) => self.monotonic.checked_sub(earlier.duration()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_keeps_its_time_of_day_until_a_clock_is_set() {
        let (monotonic, wall) = (Instant::now(), SystemTime::now());
        let at = |seconds: f64| (monotonic + Duration::from_secs_f64(seconds), wall + Duration::from_secs_f64(seconds));
        let mut clock = Clock::new(monotonic, wall);
        for seconds in [0.0, 5.5, 3600.0] {
            let (monotonic, wall) = at(seconds);
            assert_eq!((clock.wall(monotonic), clock.monotonic(wall)), (wall, Some(monotonic)));
        }
        clock.follow(at(10.0).0, at(10.4).1);
        assert_eq!(clock.wall(at(10.0).0), at(10.0).1, "a drift");
        for set in [7200.0, -7200.0_f64] {
            let wall = if set > 0.0 { at(set).1 } else { wall - Duration::from_secs(7200) };
            clock.follow(at(20.0).0, wall);
            assert_eq!(clock.wall(at(20.0).0), wall);
            assert_eq!(clock.wall(at(15.0).0), wall - Duration::from_secs(5));
        }
    }
}
