//! How a backend is chosen among candidates that may take a session.
//!
//! Candidates are known by their position in the file. Health, circuits and limits are the caller's: through a [`Field`] it
//! says who is eligible, and how busy each one is. A pick is advice: between it and the caller's claim another thread may
//! have taken the last place, and the caller then picks again without that candidate.
//!
//! The algorithms are pure arithmetic, without clock, log or chance of their own; what they need to be shared is held here.

use std::sync::{Mutex, PoisonError};

use self::least_loaded::LeastLoaded;
use self::maglev::Maglev;
use self::random_two::RandomTwo;
use self::round_robin::RoundRobin;
use crate::net::client::ClientKey;

mod least_loaded;
mod maglev;
mod random_two;
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
    /// The one of two, drawn by weight, that has fewer sessions relative to weight.
    RandomTwo,
    /// The same one for the same client, for as long as that is there.
    Maglev,
    /// The fewest players, as health checks read them, relative to weight.
    FewestPlayers,
}

impl Strategy {
    /// Every strategy, in the order of declaration.
    pub const ALL: [Self; 5] =
        [Self::LeastConnections, Self::RoundRobin, Self::RandomTwo, Self::Maglev, Self::FewestPlayers];

    /// The file's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeastConnections => "least_connections",
            Self::RoundRobin => "round_robin",
            Self::RandomTwo => "random_two",
            Self::Maglev => "maglev",
            Self::FewestPlayers => "fewest_players",
        }
    }
}

/// What a candidate is.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its share relative to the others'; with 0 it is never chosen.
    pub weight: u16,
    /// What it is called on every proxy with the same file.
    pub label: &'a str,
}

/// How the candidates stand now.
pub trait Field {
    /// Live sessions.
    fn sessions(&self, place: usize) -> u32;
    /// Players, if that is known.
    fn players(&self, place: usize) -> Option<u32>;
    /// The part of its weight that it takes, from 1 to [`FULL_RAMP`]: less while it warms up.
    fn ramp(&self, place: usize) -> u32;
    /// Whether it may be chosen. May cost more than the rest, and is asked last.
    fn is_eligible(&self, place: usize) -> bool;
}

/// What [`Field::ramp`] counts to.
pub const FULL_RAMP: u32 = 1024;

/// Chooses by one [`Strategy`], for all threads.
#[derive(Debug)]
pub struct Balancer(Algorithm);

impl Balancer {
    /// One that chooses among these, in the file's order.
    pub fn new(strategy: Strategy, candidates: &[Candidate<'_>]) -> Self {
        let weights: Vec<u16> = candidates.iter().map(|candidate| candidate.weight).collect();
        Self(match strategy {
            Strategy::LeastConnections => Algorithm::LeastConnections(LeastLoaded::new(&weights)),
            Strategy::FewestPlayers => Algorithm::FewestPlayers(LeastLoaded::new(&weights)),
            Strategy::RoundRobin => Algorithm::RoundRobin(Mutex::new(RoundRobin::new(&weights))),
            Strategy::RandomTwo => Algorithm::RandomTwo(RandomTwo::new(&weights)),
            Strategy::Maglev => Algorithm::Maglev(Maglev::new(candidates)),
        })
    }

    /// The eligible candidate that is next for this client; `None` if none is eligible. `chance` draws evenly from all
    /// numbers.
    ///
    /// The field may be asked under this balancer's lock: it must not pick from it.
    pub fn pick(&self, field: &impl Field, client: ClientKey, chance: impl FnMut() -> u64) -> Option<usize> {
        match &self.0 {
            Algorithm::LeastConnections(algorithm) => algorithm.pick(field, |place| field.sessions(place)),
            Algorithm::FewestPlayers(algorithm) => {
                algorithm.pick(field, |place| field.players(place).unwrap_or_else(|| field.sessions(place)))
            }
            Algorithm::RoundRobin(algorithm) => algorithm.lock().unwrap_or_else(PoisonError::into_inner).pick(field),
            Algorithm::RandomTwo(algorithm) => algorithm.pick(field, chance),
            Algorithm::Maglev(algorithm) => algorithm.pick(field, client),
        }
    }
}

#[derive(Debug)]
enum Algorithm {
    LeastConnections(LeastLoaded),
    FewestPlayers(LeastLoaded),
    /// Every pick moves the queue of turns. The lock is held for one: 40 ns among 1,000 candidates.
    RoundRobin(Mutex<RoundRobin>),
    RandomTwo(RandomTwo),
    Maglev(Maglev),
}
