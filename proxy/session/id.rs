//! The names of sessions.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The name of a session in logs: unlike any other of this process, and of the processes before it. Of two, the greater
/// began later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

/// Makes session ids, for all workers: the second of the start in the upper half, and below it a count. And knows when that was.
#[derive(Debug)]
pub struct Ids {
    next: AtomicU64,
    started_at: Instant,
}

/// A moment, in microseconds from the start: half the size of an [`Instant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl Ids {
    /// Ids of a process that starts now.
    pub fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { next: AtomicU64::new(started << 32), started_at: Instant::now() }
    }

    /// The moment of an instant after the start.
    pub(super) fn moment(&self, at: Instant) -> Moment {
        let since = at.saturating_duration_since(self.started_at);
        Moment(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn next(&self) -> SessionId {
        SessionId(self.next.fetch_add(1, Relaxed))
    }
}

impl Moment {
    /// The time from an earlier one until this.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}

/// As it is displayed.
impl FromStr for SessionId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_order_and_none_comes_twice() {
        let ids = Ids::new();
        let made: Vec<_> = (0..100).map(|_| ids.next()).collect();
        assert!(made.is_sorted_by(|one, next| one < next));
        assert_eq!(made[0].to_string().len(), 16);
        assert_eq!(made[99].to_string().parse(), Ok(made[99]));
    }
}
