//! Pools: which backend a session gets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus::Histogram;
use tokio::time::Instant;

mod backend;
pub mod balance;
pub mod breaker;
mod circuit;
pub mod discovery;
#[cfg(test)]
pub(crate) mod tests;

pub use self::backend::{Backend, Failure, Lease};
use self::balance::{Balancer, Strategy};
pub use self::circuit::Circuit;
use crate::config::{
    model,
    scalar::{Address, Name},
};
use crate::metrics;
use crate::relay::Limits;

/// One version of a pool: which backends, and how to treat them. What was counted passes to the next version.
#[derive(Debug)]
pub struct Pool {
    name: Name,
    strategy: Strategy,
    members: Box<[Member]>,
    balancer: Balancer,
    timeouts: Timeouts,
    counts: Arc<Counts>,
}

/// A backend's place in a pool.
#[derive(Debug)]
pub struct Member {
    /// The backend itself.
    pub backend: Arc<Backend>,
    /// Its share of new sessions relative to the others'.
    pub weight: u16,
    /// Live sessions it may have; `None` is without limit.
    pub max_connections: Option<u32>,
    /// Used only while no other backend can be.
    pub backup: bool,
}

/// How long a pool's sessions may take for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For one connect.
    pub connect: Duration,
    /// For silences, and for all.
    pub session: Limits,
    /// Further backends tried when a connect fails.
    pub retries: u32,
    /// The wait before the first of them.
    pub retry_backoff: Duration,
}

/// What a pool counts over all its versions.
#[derive(Debug)]
struct Counts {
    connect: Histogram,
    retries: AtomicU64,
}

/// The backends that a session has tried in vain, as places in its pool, the last one last.
#[derive(Debug, Default)]
pub struct Tried(Vec<usize>);

impl Pool {
    /// Makes the pool of this config. Backends that the version before had too pass over with all they carry.
    pub fn new(config: &model::Pool, before: Option<&Self>) -> Self {
        let known: BTreeMap<&Address, &Arc<Backend>> = before
            .iter()
            .flat_map(|pool| pool.members())
            .map(|member| (member.backend.address(), &member.backend))
            .collect();
        let member = |entry: &model::Backend| {
            let backend = known.get(&entry.address).map_or_else(
                || Arc::new(Backend::new(config.name.clone(), entry.address.clone(), config.breaker)),
                |known| Arc::clone(known),
            );
            backend.circuit().set_rule(config.breaker);
            Member { backend, weight: entry.weight, max_connections: entry.max_connections, backup: entry.backup }
        };
        let weights: Vec<u16> = config.backends.iter().map(|entry| entry.weight).collect();
        Self {
            name: config.name.clone(),
            strategy: config.strategy,
            members: config.backends.iter().map(member).collect(),
            balancer: Balancer::new(config.strategy, &weights),
            timeouts: Timeouts::new(config),
            counts: before.map_or_else(|| Arc::new(Counts::new()), |pool| Arc::clone(&pool.counts)),
        }
    }

    /// The pool's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// How a backend is chosen.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The backends, in the file's order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How long sessions may take for what.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// How long successful connects took.
    pub fn connect_duration(&self) -> &Histogram {
        &self.counts.connect
    }

    /// Connects that were tried again.
    pub fn retries(&self) -> u64 {
        self.counts.retries.load(Relaxed)
    }

    /// Counts a connect that is tried again.
    pub fn count_retry(&self) {
        self.counts.retries.fetch_add(1, Relaxed);
    }

    /// How many backends may be chosen now.
    pub fn eligible(&self, now: Instant) -> usize {
        self.members.iter().filter(|member| member.backend.is_eligible(now)).count()
    }

    /// Claims a backend for a session: one that it has not tried, a backup only if there is no other; failing that, any
    /// but the one that failed it last; failing that, that one. `None` when no backend is eligible and has room.
    pub fn lease(&self, tried: &Tried, now: Instant) -> Option<(usize, Lease)> {
        // Between choosing and claiming, others may take the last place: such a backend is passed over.
        let mut lost = Vec::new();
        loop {
            let place = self.choose(tried, &lost, now)?;
            let member = &self.members[place];
            if let Some(lease) = Lease::claim(&member.backend, member.max_connections, now) {
                return Some((place, lease));
            }
            lost.push(place);
        }
    }

    fn choose(&self, tried: &Tried, lost: &[usize], now: Instant) -> Option<usize> {
        let usable = |place: usize| !lost.contains(&place) && self.members[place].can_take_one(now);
        let pick = |wanted: &dyn Fn(usize) -> bool| {
            self.balancer.pick(|place| self.members[place].backend.active(), |place| wanted(place) && usable(place))
        };
        pick(&|place| !self.members[place].backup && !tried.contains(place))
            .or_else(|| pick(&|place| self.members[place].backup && !tried.contains(place)))
            .or_else(|| pick(&|place| tried.contains(place) && tried.last() != Some(place)))
            .or_else(|| pick(&|place| tried.last() == Some(place)))
    }
}

impl Member {
    fn can_take_one(&self, now: Instant) -> bool {
        self.max_connections.is_none_or(|most| self.backend.active() < most) && self.backend.is_eligible(now)
    }
}

impl Timeouts {
    fn new(config: &model::Pool) -> Self {
        Self {
            connect: config.connect_timeout,
            session: Limits {
                idle: config.idle_timeout,
                request: config.request_timeout,
                lifetime: config.max_lifetime,
            },
            retries: config.retries,
            retry_backoff: config.retry_backoff,
        }
    }
}

impl Counts {
    fn new() -> Self {
        Self { connect: metrics::connect_duration(), retries: AtomicU64::new(0) }
    }
}

impl Tried {
    /// Notes one that failed.
    pub fn add(&mut self, place: usize) {
        self.0.retain(|&earlier| earlier != place);
        self.0.push(place);
    }

    fn contains(&self, place: usize) -> bool {
        self.0.contains(&place)
    }

    fn last(&self) -> Option<usize> {
        self.0.last().copied()
    }
}
