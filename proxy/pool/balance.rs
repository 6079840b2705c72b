//! How a backend is chosen among candidates that may take a session.
//!
//! Candidates are known by their position in the file. Health, circuits and limits are the caller's: it says through a
//! closure who is eligible. A pick is advice: between it and the caller's claim another thread may have taken the last
//! place, and the caller then picks again without that candidate.
//!
//! The algorithms are pure arithmetic, without clock, lock or log; what they need to be shared is held here.

use std::sync::{Mutex, PoisonError};

use self::least_connections::LeastConnections;
use self::round_robin::RoundRobin;

mod least_connections;
mod round_robin;
#[cfg(test)]
mod tests;

/// How a pool chooses among its eligible backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// The fewest live sessions relative to weight. The default.
    LeastConnections,
    /// In turn, as often as weights say.
    RoundRobin,
}

/// Chooses by one [`Strategy`], for all threads.
#[derive(Debug)]
pub struct Balancer(Algorithm);

impl Balancer {
    /// One candidate for each weight; those of weight 0 are never chosen.
    pub fn new(strategy: Strategy, weights: &[u16]) -> Self {
        Self(match strategy {
            Strategy::LeastConnections => Algorithm::LeastConnections(LeastConnections::new(weights)),
            Strategy::RoundRobin => Algorithm::RoundRobin(Mutex::new(RoundRobin::new(weights))),
        })
    }

    /// The eligible candidate that is next, given each one's live sessions; `None` if none is eligible.
    ///
    /// The closures may run under this balancer's lock: they must not pick from it.
    pub fn pick(&self, sessions: impl Fn(usize) -> u32, eligible: impl FnMut(usize) -> bool) -> Option<usize> {
        match &self.0 {
            Algorithm::LeastConnections(algorithm) => algorithm.pick(sessions, eligible),
            Algorithm::RoundRobin(algorithm) => algorithm.lock().unwrap_or_else(PoisonError::into_inner).pick(eligible),
        }
    }
}

#[derive(Debug)]
enum Algorithm {
    LeastConnections(LeastConnections),
    /// Every pick moves the queue of turns. The lock is held for one: 40 ns among 1,000 candidates.
    RoundRobin(Mutex<RoundRobin>),
}
