//! The immutable routing state made from one version of the config file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

mod balancers;
mod departed;
pub mod hand;
mod loops;
mod material;

pub use self::balancers::{Balancers, Beginning};
use self::departed::{Carried, Departed};
use self::hand::Hand;
use self::loops::Judge;
pub use self::loops::{LeftOut, Unfit};
pub use self::material::Shown;
use crate::admission::acl::Networks;
use crate::admission::level::Level;
use crate::admission::{Admission, Policy};
use crate::config::model::{self, Config, Mode, Occasion};
use crate::config::scalar::Name;
use crate::http::exchange;
use crate::http::front::{Front, Route, Target};
use crate::http::headers::Via;
use crate::http::patience::Limits;
use crate::pool::discovery::Resolved;
use crate::pool::rollout::Rollout;
use crate::pool::{BackendRegistry, Pool, PoolOrigin};
use crate::session::{Edge, Tally, Terminator};
use crate::trace::Tracer;

/// Everything that sessions need to agree on, in one piece. Replaced as a whole, by the reload alone.
#[derive(Debug)]
pub struct Snapshot {
    /// By name.
    pub listeners: BTreeMap<Name, Arc<Listener>>,
    /// By name.
    pub pools: BTreeMap<Name, Arc<Pool>>,
    /// The backends that sessions may be on, the same in every snapshot.
    pub backends: Arc<BackendRegistry>,
    /// The door, the same in every snapshot.
    pub admission: Arc<Admission>,
    /// Takes spans, the same in every snapshot.
    pub tracer: Arc<Tracer>,
    /// Whether sessions leave a line in the access log.
    pub access_log: bool,
    /// Backends that their pools go without, because they lead back to this proxy.
    pub left_out: Vec<LeftOut>,
    departed: Departed,
}

/// One version of a listener: its policy, and the counts that pass from version to version.
#[derive(Debug)]
pub struct Listener {
    /// Its name.
    pub name: Name,
    /// What is spoken on it.
    pub mode: Mode,
    /// The addresses it is bound to, in the file's order, with the ports that the kernel chose.
    pub bound: Vec<SocketAddr>,
    /// Where its sessions go; `None` only where clients say it themselves.
    pub pool: Option<Arc<Pool>>,
    /// Where some of them go instead.
    pub rollout: Option<Arc<Rollout>>,
    /// What clients have to say before a backend is chosen.
    pub edge: Option<Arc<Edge>>,
    /// Balancers in front of it.
    pub balancers: Option<Balancers>,
    /// How long they, and clients, may take with what must be known first.
    pub preread_timeout: Duration,
    /// Whom it lets in.
    pub policy: Policy,
    /// Whether it is in maintenance was set by hand.
    pub maintenance_by_hand: bool,
    /// What is done with requests, if that is what is spoken. Always the newest version.
    pub front: Option<Arc<ArcSwap<Front>>>,
    /// Its counts.
    pub counts: Arc<Counts>,
}

/// What a listener counts over all its versions.
#[derive(Debug)]
pub struct Counts {
    /// Its sessions.
    pub tally: Arc<Tally>,
    /// Its requests.
    pub requests: Arc<exchange::Counts>,
    accept_errors: [AtomicU64; AcceptError::ALL.len()],
    /// Addresses, as the file has them, on which a worker accepts no more.
    lost: Mutex<BTreeSet<SocketAddr>>,
}

/// How an accept can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptError {
    /// The connection had gone before it was accepted.
    Connection,
    /// No descriptor or memory is left to accept with.
    Exhausted,
    /// The socket does not listen any more: whoever else has it open has shut it down.
    Unusable,
}

impl AcceptError {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Connection, Self::Exhausted, Self::Unusable];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Exhausted => "exhausted",
            Self::Unusable => "unusable",
        }
    }
}

impl Snapshot {
    /// Makes the snapshot of a config whose listeners are bound to `bound`, with what its backends' names stand for now, and
    /// what was set by hand. What the one before carried of the same listeners, pools and backends passes over.
    pub fn new(
        config: &Config,
        bound: &BTreeMap<Name, Vec<SocketAddr>>,
        resolved: Resolved<'_>,
        hand: &Hand,
        before: Option<&Self>,
    ) -> Self {
        let backends = before.map_or_else(Arc::default, |before| Arc::clone(&before.backends));
        let (pools, left_out) = pools(config, (resolved, hand, bound), before, &backends);
        loops::log_new(&left_out, before.map_or(&[], |before| &before.left_out));
        backends.follow(pools.values(), |pool, key| hand.backend(pool, &key.to_string()).admin, Instant::now());
        let tracer = before.map_or_else(Arc::default, |before| Arc::clone(&before.tracer));
        tracer.follow(&config.tracing);
        let server = &config.server;
        let admission = before.map_or_else(
            || Arc::new(Admission::new(server.max_connections, server.levels, server.reconnect)),
            |before| Arc::clone(&before.admission),
        );
        let reserved = config.listeners.iter().map(|listener| listener.admission.slots.reserved).sum();
        admission.set_capacity((server.max_connections, reserved), server.levels, server.reconnect);
        let listener = |config: &model::Listener, workers| {
            let carried = before.and_then(|before| before.carried(&config.name));
            let before = before.and_then(|before| before.listeners.get(&config.name));
            let counts = carried.as_ref().map(|carried| Arc::clone(&carried.counts));
            let counts = counts.unwrap_or_else(|| Arc::new(Counts::new(&config.name, workers, &tracer)));
            // Nobody could read them where TLS is passed on.
            let is_readable = config.routes.is_empty() || config.tls.is_some();
            counts.tally.set_messages(config.messages.clone().filter(|_| is_readable));
            counts.tally.memory().slots(&admission).set_limits(config.admission.slots);
            let rollout = config.rollout.as_ref().map(|rollout| Arc::new(Rollout::new(rollout, &config.name, &pools)));
            let listener = Listener {
                name: config.name.clone(),
                mode: config.mode,
                bound: bound.get(&config.name).cloned().unwrap_or_default(),
                pool: config.pool.as_ref().map(|name| Arc::clone(&pools[name])),
                edge: edge(config, &pools, before.and_then(|before| before.edge.as_deref())),
                balancers: config.accept_proxy.as_ref().map(Balancers::new),
                preread_timeout: config.preread_timeout,
                policy: policy(config, hand),
                maintenance_by_hand: hand.maintenance(&config.name).is_some(),
                front: front(config, (&pools, &counts.requests), rollout.as_ref(), carried.as_ref()),
                rollout,
                counts,
            };
            (config.name.clone(), Arc::new(listener))
        };
        let workers = config.server.workers.get();
        let listeners = config.listeners.iter().map(|config| listener(config, workers)).collect();
        let stays = |name: &Name| config.listeners.iter().any(|listener| listener.name == *name);
        let departed = before.map(|before| (&before.departed, &before.listeners));
        let departed = departed.map(|before| Departed::new(before, stays, server.reconnect, Instant::now()));
        let departed = departed.unwrap_or_default();
        Self { listeners, pools, backends, admission, tracer, access_log: config.log.access, left_out, departed }
    }

    /// What a listener of this name has to go on with, if it is here or has left while something of it lives.
    fn carried(&self, name: &Name) -> Option<Carried> {
        self.listeners.get(name).map(|listener| Carried::of(listener)).or_else(|| self.departed.get(name))
    }

    /// Whether any listener has something to say when the process shuts down.
    pub fn speaks_of_drains(&self) -> bool {
        let speaks = |messages: &model::Messages| messages.on(Occasion::Drain).is_some();
        let tells = |listener: &Listener| listener.counts.tally.messages().as_deref().is_some_and(speaks);
        // HTTP has its own words for it.
        self.listeners.values().any(|listener| listener.front.is_some() || tells(listener))
    }

    /// The addresses of each listener.
    pub fn bound(&self) -> BTreeMap<Name, Vec<SocketAddr>> {
        self.listeners.iter().map(|(name, listener)| (name.clone(), listener.bound.clone())).collect()
    }
}

/// What clients have to say or do first, if anything. What TLS keeps for those who come again goes on while nothing in its
/// section changes.
fn edge(config: &model::Listener, pools: &BTreeMap<Name, Arc<Pool>>, before: Option<&Edge>) -> Option<Arc<Edge>> {
    let routes: Vec<_> = config.routes.iter().map(|route| (route.clone(), Arc::clone(&pools[&route.pool]))).collect();
    if routes.is_empty() && config.tls.is_none() {
        return None;
    }
    let tls = config.tls.as_ref().map(|termination| {
        let before = before.and_then(|before| before.tls.as_ref());
        let same = before.filter(|before| before.termination == *termination);
        same.map_or_else(|| Arc::new(Terminator::new(termination.clone())), Arc::clone)
    });
    let handshakes = config.admission.handshakes;
    Some(Arc::new(Edge { tls, handshakes, routes, preread_timeout: config.preread_timeout }))
}

/// What is done with requests. Connections that live follow it, so one place holds it for all versions of a listener.
fn front(
    config: &model::Listener,
    (pools, counts): (&BTreeMap<Name, Arc<Pool>>, &exchange::Counts),
    rollout: Option<&Arc<Rollout>>,
    before: Option<&Carried>,
) -> Option<Arc<ArcSwap<Front>>> {
    let http = config.http.as_ref()?;
    counts.keep(|name| pools.contains_key(name));
    let target = |name: &Name, shed_at: Option<Level>| Target {
        pool: Arc::clone(&pools[name]),
        shed_at: shed_at.unwrap_or(config.admission.shed_at),
        counts: counts.of(name),
    };
    let route = |route: &model::HttpRoute| Route {
        hosts: route.hosts.clone(),
        path: route.path.clone(),
        methods: route.methods.iter().filter_map(|method| method.parse().ok()).collect(),
        target: target(&route.pool, route.shed_at),
    };
    let compares_paths = http.routes.iter().any(|route| route.path != "/");
    let front = Arc::new(Front {
        normalizes: http.path_normalize && compares_paths,
        routes: http.routes.iter().map(route).collect(),
        rest: config.pool.as_ref().map(|name| target(name, None)),
        rollout: rollout.map(|rollout| (Arc::clone(rollout), target(rollout.pool.name(), None))),
        limits: Limits {
            header: http.header_timeout,
            keepalive: http.keepalive_timeout,
            send: http.send_timeout,
            body: http.body_timeout,
        },
        trusted: Networks::new(&config.admission.trusted),
        forwarded: http.forwarded,
        via: http.via.as_deref().and_then(Via::new),
        player_key: http.reconnect_key.clone(),
    });
    let known = before.and_then(|before| before.front.upgrade());
    Some(match known {
        Some(known) => {
            known.store(front);
            known
        }
        None => Arc::new(ArcSwap::from(front)),
    })
}

/// Whom it lets in. Where requests are what is spoken, each is looked at by its route: connections are let in as long as any may be.
fn policy(config: &model::Listener, hand: &Hand) -> Policy {
    let mut policy = Policy::new(&config.name, &config.admission);
    if let Some(maintenance) = hand.maintenance(&config.name) {
        policy.maintenance = maintenance;
    }
    match config.http {
        None => policy,
        Some(_) => Policy { shed_at: Level::Overloaded, ..policy },
    }
}

/// The pools of a config, each after the one that stands in for it; and the backends that they go without.
fn pools(
    config: &Config,
    (resolved, hand, bound): (Resolved<'_>, &Hand, &BTreeMap<Name, Vec<SocketAddr>>),
    before: Option<&Snapshot>,
    registry: &BackendRegistry,
) -> (BTreeMap<Name, Arc<Pool>>, Vec<LeftOut>) {
    let (judge, mut left_out) = (Judge::new(config, bound), Vec::new());
    let by_name: BTreeMap<&Name, &model::Pool> = config.pools.iter().map(|pool| (&pool.name, pool)).collect();
    let mut made: BTreeMap<Name, Arc<Pool>> = BTreeMap::new();
    for pool in &config.pools {
        // From this pool along its fallbacks to one that is made already, or has none; then back. There are no loops.
        let chain = std::iter::successors(Some(pool), |pool| by_name.get(pool.fallback.as_ref()?).copied());
        let unmade: Vec<_> = chain.take_while(|pool| !made.contains_key(&pool.name)).collect();
        for pool in unmade.into_iter().rev() {
            let mut entries = resolved.entries(pool);
            left_out.extend(judge.sort_out(&pool.name, &mut entries));
            hand.mark(&pool.name, &mut entries);
            let fallback = pool.fallback.as_ref().and_then(|name| made.get(name)).map(Arc::clone);
            let earlier = before.and_then(|before| before.pools.get(&pool.name));
            let origin = PoolOrigin { before: earlier, registry, cold: before.is_some() };
            made.insert(pool.name.clone(), Pool::new(pool, entries, fallback, &origin));
        }
    }
    (made, left_out)
}

impl Listener {
    /// What a connection from this address has to begin with.
    pub fn beginning(&self, peer: IpAddr) -> Beginning {
        self.balancers.as_ref().map_or(Beginning::Data, |balancers| balancers.beginning(peer))
    }

    /// The service level from which on newcomers are turned away, by the listener or by any of its routes.
    pub fn sheds_from(&self) -> Level {
        let Some(front) = &self.front else { return self.policy.shed_at };
        let front = front.load();
        let of_routes = front.routes.iter().map(|route| &route.target).chain(&front.rest);
        of_routes.map(|target| target.shed_at).min().unwrap_or(self.policy.shed_at)
    }

    /// Where a client's session goes, unless it says otherwise itself.
    pub fn pool_for(&self, client: IpAddr, now: impl FnOnce() -> Instant) -> Option<&Arc<Pool>> {
        match &self.rollout {
            Some(rollout) if rollout.takes_now(client, now) => Some(&rollout.pool),
            _ => self.pool.as_ref(),
        }
    }
}

impl Counts {
    fn new(listener: &Name, workers: usize, tracer: &Arc<Tracer>) -> Self {
        Self {
            tally: Arc::new(Tally::new(listener.clone(), workers).traced_by(tracer)),
            requests: Arc::default(),
            accept_errors: Default::default(),
            lost: Mutex::default(),
        }
    }

    /// Accepts that failed in this way.
    pub fn accept_errors(&self, kind: AcceptError) -> u64 {
        self.accept_errors[kind as usize].load(Relaxed)
    }

    /// Counts an accept that failed.
    pub fn count_accept_error(&self, kind: AcceptError) {
        self.accept_errors[kind as usize].fetch_add(1, Relaxed);
    }

    /// Notes that a worker accepts no more on an address of the file, because its socket was shut down.
    pub fn note_lost(&self, address: SocketAddr) {
        self.lost_addresses().insert(address);
    }

    /// Notes that workers accept on an address of the file, from a new socket.
    pub fn note_opened(&self, address: SocketAddr) {
        self.lost_addresses().remove(&address);
    }

    /// The addresses of the file on which a worker accepts no more.
    pub fn lost(&self) -> BTreeSet<SocketAddr> {
        self.lost_addresses().clone()
    }

    fn lost_addresses(&self) -> MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
