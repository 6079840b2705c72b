//! Pools: which backend a session gets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prometheus::Histogram;
use tokio::time::Instant;

pub mod admin;
mod backend;
pub mod balance;
pub mod breaker;
mod checkup;
mod choose;
mod circuit;
pub mod discovery;
pub mod health;
mod lease;
mod ramp;
mod recent;
mod registry;
pub mod rollout;
mod shared;
#[cfg(test)]
pub(crate) mod tests;

pub use self::backend::{Backend, Failure};
use self::balance::{Balancer, Candidate, Strategy};
pub use self::checkup::{Checkup, LastCheck};
pub use self::choose::Request;
pub use self::circuit::Circuit;
use self::discovery::Entry;
pub use self::discovery::Key;
pub use self::lease::Lease;
pub use self::recent::{Digest, Recent};
pub use self::registry::BackendRegistry;
use self::shared::Shared;
use crate::config::model;
use crate::config::scalar::Name;
use crate::net::client::ClientKey;
use crate::net::proxy_protocol::Version;
use crate::net::tls::client::Encrypter;
use crate::queue::{self, Class};
use crate::relay::Limits;

/// One version of a pool: which backends, and how to treat them. What was counted passes to the next version.
#[derive(Debug)]
pub struct Pool {
    config: model::Pool,
    entries: Vec<Entry>,
    members: Box<[Member]>,
    balancer: Balancer,
    timeouts: Timeouts,
    encrypter: Option<Arc<Encrypter>>,
    fallback: Option<Arc<Self>>,
    shared: Arc<Shared>,
}

/// A backend's place in a pool.
#[derive(Debug)]
pub struct Member {
    /// The backend itself.
    pub backend: Arc<Backend>,
    /// Its share of new sessions relative to the others'. With 0, by the file or by hand, it is used only while no other can be.
    pub weight: u16,
    /// That was set by hand.
    pub weight_by_hand: bool,
    /// Live sessions it may have; `None` is without limit.
    pub max_connections: Option<u32>,
    /// Used only while no other backend can be.
    pub backup: bool,
}

/// What a version of a pool goes on from.
#[derive(Debug, Clone, Copy)]
pub struct PoolOrigin<'a> {
    /// The version before.
    pub before: Option<&'a Arc<Pool>>,
    /// Backends that were in it at some time.
    pub registry: &'a BackendRegistry,
    /// Whether backends that join without a session take on their weight slowly.
    pub cold: bool,
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

/// A place at a backend, and the version of the pool that gave it.
pub type Grant = (Arc<Pool>, Lease);

/// A session's place in the queue.
pub type Waiting = queue::Waiting<ClientKey, Grant>;

/// Why a session may not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoQueue {
    /// The pool has none.
    Off,
    /// As many wait as may.
    Full,
}

impl Pool {
    /// Makes the pool of this config, with the backends that its entries stand for now, and the pool that stands in for it.
    /// Backends that are known already pass over with all they carry; where nothing has changed, the version before is the
    /// one that is returned.
    pub fn new(
        config: &model::Pool,
        entries: Vec<Entry>,
        fallback: Option<Arc<Self>>,
        origin: &PoolOrigin<'_>,
    ) -> Arc<Self> {
        let before = origin.before;
        if let Some(before) = before
            && before.is_same(config, &entries, fallback.as_ref())
        {
            return Arc::clone(before);
        }
        // A pool that was gone for a while is the same one as long as sessions are on its backends.
        let shared = before.map(|before| Arc::clone(&before.shared)).or_else(|| origin.registry.shared(&config.name));
        let shared = shared.unwrap_or_else(|| Arc::new(Shared::new(config.name.clone())));
        let members = members(config, &entries, origin, &shared);
        let pool = Arc::new(Self {
            balancer: balancer(config.strategy, &members),
            timeouts: Timeouts::new(config),
            encrypter: encrypter(config, before),
            config: config.clone(),
            entries,
            members,
            fallback,
            shared,
        });
        pool.shared.set_latest(&pool);
        pool
    }

    fn is_same(&self, config: &model::Pool, entries: &[Entry], fallback: Option<&Arc<Self>>) -> bool {
        self.config == *config
            && self.entries == *entries
            && self.fallback.as_ref().map(Arc::as_ptr) == fallback.map(Arc::as_ptr)
    }

    /// The pool's name.
    pub fn name(&self) -> &Name {
        &self.config.name
    }

    /// How a backend is chosen.
    pub fn strategy(&self) -> Strategy {
        self.config.strategy
    }

    /// What its backends were made from.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The backends, in the file's order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How long sessions may take for what.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// How long a request that has its place at a backend may wait for one on a connection that is shared.
    pub fn place_timeout(&self) -> Duration {
        self.config.queue.as_ref().map_or(self.timeouts.connect, |queue| queue.timeout)
    }

    /// How its backends are told who their clients are.
    pub fn send_proxy(&self) -> Option<Version> {
        self.config.send_proxy
    }

    /// What concerns requests alone.
    pub fn requests(&self) -> &model::Requests {
        &self.config.requests
    }

    /// What its config says of TLS to them.
    pub fn encryption(&self) -> Option<&model::Encryption> {
        self.config.tls.as_ref()
    }

    /// How they are spoken to, if not as clients speak.
    pub fn encrypter(&self) -> Option<&Arc<Encrypter>> {
        self.encrypter.as_ref()
    }

    /// How its backends are checked.
    pub fn health(&self) -> Option<&model::Health> {
        self.config.health.as_ref()
    }

    /// Where sessions go that find no place here.
    pub fn fallback(&self) -> Option<&Arc<Self>> {
        self.fallback.as_ref()
    }

    fn has_last_resort(&self) -> bool {
        self.config.last_resort
    }

    fn slow_start(&self) -> Option<Duration> {
        self.config.slow_start
    }

    fn max_ejected(&self) -> model::EjectionLimit {
        self.config.max_ejected
    }

    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    /// How long successful connects took.
    pub fn connect_duration(&self) -> &Histogram {
        &self.shared.connect
    }

    /// Connects that were tried again.
    pub fn retries(&self) -> u64 {
        self.shared.retries.load(Relaxed)
    }

    /// Counts a connect that is tried again.
    pub fn count_retry(&self) {
        self.shared.count_retry();
    }

    /// How many backends may be chosen now.
    pub fn eligible(&self, now: Instant) -> usize {
        self.members.iter().filter(|member| member.backend.is_eligible(now)).count()
    }

    /// Whether any backend may be chosen now.
    pub fn has_eligible(&self, now: Instant) -> bool {
        self.members.iter().any(|member| member.backend.is_eligible(now))
    }

    /// Bad backends that take sessions all the same, because as many are out as may be.
    pub fn held_in(&self) -> usize {
        self.members.iter().filter(|member| member.backend.is_held_in()).count()
    }

    /// Claims a backend for a session that has only just come: after those who wait already.
    pub fn lease_first(self: &Arc<Self>, client: ClientKey, now: Instant) -> Option<Grant> {
        let others_first = self.has_queue() && self.shared.queue().is_waited_in();
        if others_first { None } else { self.lease(&Request::new(client), now) }
    }

    /// Takes a place in the queue. The session is in front of it for as long as `queue.timeout` says, at most.
    ///
    /// # Errors
    /// The pool has no queue, or the queue is full.
    pub fn wait(self: &Arc<Self>, who: (Class, ClientKey), now: Instant) -> Result<(Waiting, Instant), NoQueue> {
        let queue = self.config.queue.as_ref().ok_or(NoQueue::Off)?;
        let size = usize::try_from(queue.size.get()).unwrap_or(usize::MAX);
        let waiting = self.shared.queue().join(who, size, now).map_err(|queue::Full| NoQueue::Full)?;
        // A place may have become free before anybody could know that one waits.
        self.shared.pump(now);
        Ok((waiting, now + queue.timeout))
    }

    /// Whether sessions may wait.
    pub fn has_queue(&self) -> bool {
        self.config.queue.is_some()
    }

    /// How many sessions wait.
    pub fn waiting(&self) -> usize {
        self.shared.queue().length()
    }

    /// How long those waited who got a place.
    pub fn wait_duration(&self) -> &Histogram {
        self.shared.queue().wait()
    }

    /// Gives places to those who wait, where time or a change of the pool has made some.
    pub fn serve_waiting(&self, now: Instant) {
        self.shared.pump(now);
    }
}

fn members(config: &model::Pool, entries: &[Entry], origin: &PoolOrigin<'_>, shared: &Arc<Shared>) -> Box<[Member]> {
    let before = origin.before.iter().flat_map(|pool| pool.members()).map(|member| &member.backend);
    let before: BTreeMap<&Key, &Arc<Backend>> = before.map(|backend| (backend.key(), backend)).collect();
    let joins = |key: &Key| {
        let known = origin.registry.find(&config.name, key);
        let is_cold = origin.cold && known.as_ref().is_none_or(|known| known.active() == 0);
        let backend = known.unwrap_or_else(|| Arc::new(Backend::new(key.clone(), Arc::clone(shared), config.breaker)));
        if is_cold {
            backend.came_up(Instant::now());
        }
        backend
    };
    let member = |entry: &Entry| {
        let backend = before.get(&entry.key).map_or_else(|| joins(&entry.key), |known| Arc::clone(known));
        backend.circuit().set_rule(config.breaker);
        if config.health.is_none() {
            backend.forget_checks();
        }
        backend.set_admin(entry.hand.admin, Instant::now());
        Member {
            backend,
            weight: entry.hand.weight.unwrap_or(entry.weight),
            weight_by_hand: entry.hand.weight.is_some(),
            max_connections: entry.max_connections,
            backup: entry.backup,
        }
    };
    entries.iter().map(member).collect()
}

/// The one of the version before goes on where nothing has changed: it remembers what backends gave it.
fn encrypter(config: &model::Pool, before: Option<&Arc<Pool>>) -> Option<Arc<Encrypter>> {
    let encryption = config.tls.as_ref()?;
    let protocol = config.requests.protocol;
    let before = before
        .filter(|before| before.config.tls.as_ref() == Some(encryption) && before.requests().protocol == protocol);
    if let Some(before) = before.and_then(|before| before.encrypter.as_ref()) {
        return Some(Arc::clone(before));
    }
    Some(Arc::new(Encrypter::new(encryption, protocol)))
}

fn balancer(strategy: Strategy, members: &[Member]) -> Balancer {
    let labels: Vec<String> = members.iter().map(|member| member.backend.key().to_string()).collect();
    let candidates: Vec<_> =
        members.iter().zip(&labels).map(|(member, label)| Candidate { weight: member.turns(), label }).collect();
    Balancer::new(strategy, &candidates)
}

impl Member {
    /// Whether it was told to take nobody while another can.
    fn is_resting(&self) -> bool {
        self.weight == 0
    }

    /// Its weight among those that it is chosen with: those that rest are chosen among themselves.
    fn turns(&self) -> u16 {
        if self.is_resting() { 1 } else { self.weight }
    }

    fn has_room(&self) -> bool {
        self.max_connections.is_none_or(|most| self.backend.active() < most)
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
                half_close: config.half_close_timeout,
                liveness: config.liveness,
            },
            retries: config.retries,
            retry_backoff: config.retry_backoff,
        }
    }
}
