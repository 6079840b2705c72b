//! What bounds a session in time.

use std::time::Duration;

/// How long a session may be silent, and how long it may last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The longest silence in both directions.
    pub idle: Option<Duration>,
    /// The longest time from the first byte that a backend is sent to its own first byte.
    pub request: Option<Duration>,
    /// The longest life.
    pub lifetime: Option<Duration>,
}
