//! The names of sessions.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a session in logs: unlike any other of this process, and of the processes before it. Of two, the greater
/// began later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

/// Makes session ids, for all workers: the second of the start in the upper half, and below it a count.
#[derive(Debug)]
pub struct Ids(AtomicU64);

impl Ids {
    /// Ids of a process that starts now.
    pub fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self(AtomicU64::new(started << 32))
    }

    pub(super) fn next(&self) -> SessionId {
        SessionId(self.0.fetch_add(1, Relaxed))
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
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
    }
}
