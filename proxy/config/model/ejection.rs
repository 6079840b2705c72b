//! How many backends of a pool may be out at once (`breaker.max_ejected`).

use std::fmt;

use crate::config::scalar::Share;

/// The most backends of a pool that may be out at once, by circuit or health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EjectionLimit {
    /// Half of two and more, and the only one of a pool that has no more. The default.
    Half,
    /// This share, rounded down, whatever the size of the pool.
    Share(Share),
}

impl EjectionLimit {
    /// Of so many backends.
    pub fn of(self, backends: usize) -> usize {
        match self {
            Self::Half if backends == 1 => 1,
            Self::Half => HALF.of(backends),
            Self::Share(share) => share.of(backends),
        }
    }
}

impl fmt::Display for EjectionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Half => write!(f, "{HALF} (of two and more)"),
            Self::Share(share) => share.fmt(f),
        }
    }
}

/// Strangers, or a check that is wrong, can take out a whole pool at most by half.
const HALF: Share = Share::percent(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_spares_half_of_a_pool_but_not_the_only_one() {
        assert_eq!([0, 1, 2, 3, 4, 7].map(|backends| EjectionLimit::Half.of(backends)), [0, 1, 1, 1, 2, 3]);
        assert_eq!([1, 2].map(|backends| EjectionLimit::Share(HALF).of(backends)), [0, 1]);
    }
}
