//! What bounds a session in time.

use std::time::Duration;

/// How long a session may be silent, how long it may last, and when a peer that does not answer counts as gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The longest silence in both directions.
    pub idle: Option<Duration>,
    /// The longest time from the first byte that a backend is sent to its own first byte.
    pub request: Option<Duration>,
    /// The longest life.
    pub lifetime: Option<Duration>,
    /// The longest silence of one side after the other's end of stream was passed on to it.
    pub half_close: Option<Duration>,
    /// When the kernel gives up a peer.
    pub liveness: Liveness,
}

/// When the kernel gives up a peer that does not answer: of both connections of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Liveness {
    /// The longest time that bytes for the peer may wait for its acknowledgement, or for room in its window; `None` leaves that
    /// to the system.
    pub user_timeout: Option<Duration>,
    /// The silence after which the peer is probed; `None` is never.
    pub keepalive: Option<Duration>,
}
