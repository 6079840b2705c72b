//! What bounds a session in time.

use std::time::Duration;

/// How long a session may be silent, and how long it may last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The longest silence in both directions.
    pub idle: Option<Duration>,
    /// The longest silence of a backend that has been sent bytes and has not sent its first.
    pub request: Option<Duration>,
    /// The longest life.
    pub lifetime: Option<Duration>,
}
