//! The circuit breaker of one backend: a pure state machine, without clock, lock or log.

use std::num::NonZeroU32;
use std::time::Duration;

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
}
