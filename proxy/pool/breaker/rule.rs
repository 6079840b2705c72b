//! When a circuit opens, and for how long.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::scalar::Share;

/// The most that jitter adds to a reopening. Proxies that lost a backend in the same instant come back to it spread
/// out, and still near the time that the rule promises.
const JITTER: f64 = 0.1;

/// Longer than any process lives. Keeps `now + open_for` within what an `Instant` can hold, whatever a file says.
pub(super) const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// When a circuit opens, and for how long (`[pools.NAME.breaker]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Consecutive failures that open a closed circuit.
    pub failures: NonZeroU32,
    /// How long the first opening lasts; doubles with each reopening.
    pub open_for: Duration,
    /// What doubling (jitter included) never exceeds. At least `open_for`.
    pub max_open_for: Duration,
    /// Sessions let through at once while half open.
    pub probes: NonZeroU32,
    /// What opens a closed circuit beside failures in a row; `None` is `"off"`.
    pub failure_rate: Option<FailureRate>,
    /// Which failures count at all.
    pub counts: Counted,
}

/// A kind of failure that the rule can leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A connect that failed or timed out, TLS to the backend included.
    Connect,
    /// A reset before the first byte.
    Reset,
    /// A request that was not answered in time.
    Timeout,
}

/// Which kinds of failures count (`breaker.counts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted([bool; Kind::ALL.len()]);

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Connect, Self::Reset, Self::Timeout];

    /// The file's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
        }
    }
}

impl Counted {
    /// Every kind.
    pub const ALL: Self = Self([true; Kind::ALL.len()]);

    /// These kinds.
    pub fn new(kinds: &[Kind]) -> Self {
        Self(Kind::ALL.map(|kind| kinds.contains(&kind)))
    }

    /// Whether this kind is one of them.
    pub fn has(self, kind: Kind) -> bool {
        self.0[kind as usize]
    }

    /// Their words.
    pub fn words(self) -> Vec<&'static str> {
        Kind::ALL.into_iter().filter(|&kind| self.has(kind)).map(Kind::as_str).collect()
    }
}

/// Too many failures among all sessions of the recent past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureRate {
    /// Failures among the sessions that succeeded or failed.
    pub share: Share,
    /// How far back they count.
    pub window: Duration,
    /// Fewer sessions than this within the window prove nothing.
    pub min_sessions: NonZeroU32,
}

impl Rule {
    /// How long the `nth` opening in a row lasts, counted from 1. The first is what the file says, without jitter.
    pub(super) fn open_for_nth(&self, nth: u32, jitter: f64) -> Duration {
        let longest = self.max_open_for.min(FOREVER);
        let doubled = self.open_for.saturating_mul(2u32.saturating_pow(nth - 1)).min(longest);
        let extra = if nth > 1 { doubled.mul_f64(JITTER * jitter.clamp(0.0, 1.0)) } else { Duration::ZERO };
        (doubled + extra).min(longest)
    }
}

impl FailureRate {
    /// Whether so many failures among so many sessions are too many.
    pub(super) fn is_passed(&self, sessions: u64, failures: u64) -> bool {
        sessions >= u64::from(self.min_sessions.get())
            && failures * u64::from(Share::WHOLE) >= sessions * u64::from(self.share.parts())
    }
}
