//! How a backend is chosen: pure arithmetic over candidates, without clock, lock or log.

/// How a pool chooses among its eligible backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// The fewest live sessions relative to weight. The default.
    LeastConnections,
    /// In turn, as often as weights say.
    RoundRobin,
}
