//! What the admin server tells in JSON. The only place that knows serde.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use tokio::time::Instant;

pub(super) mod deep;
mod descriptors;
mod live;

pub(super) use self::deep::{DeepHealth, Health};
use self::descriptors::Descriptors;
pub(super) use self::live::{HistoryEvent, LogEvent, Sessions, StatusEvent};
use self::live::{LastEvent, Spread};
use super::state::{Loads, State};
use crate::config::diff;
use crate::config::model::{Mode, Route, SlotLimits};
use crate::config::scalar::printable_json;
use crate::drain::Phase;
use crate::pool::admin::Admin;
use crate::pool::{Backend, Failure, LastCheck, Member, Pool};
use crate::session::CloseReason;
use crate::snapshot::{LeftOut, Listener, Snapshot};

/// `GET /api/v1/status`.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    uptime_seconds: u64,
    state: &'static str,
    service_level: &'static str,
    sessions_active: usize,
    max_connections: usize,
    /// Clients who were not let in, by reason.
    refused_total: BTreeMap<&'static str, u64>,
    descriptors: Descriptors,
    /// While the process shuts down, from the moment that its listeners are closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<DrainStatus>,
    config: ConfigStatus,
    log: LogStatus,
    listeners: Vec<ListenerStatus>,
    pools: Vec<PoolStatus>,
    /// Backends that are in no pool any more and still have sessions.
    removed_backends: Vec<RemovedBackend>,
}

#[derive(Debug, Serialize)]
struct RemovedBackend {
    pool: String,
    #[serde(flatten)]
    backend: BackendStatus,
}

#[derive(Debug, Serialize)]
struct DrainStatus {
    sessions_left: usize,
    /// Until those are ended.
    seconds_left: u64,
}

#[derive(Debug, Serialize)]
struct ConfigStatus {
    path: String,
    generation: u64,
    last_reload: LastReload,
}

#[derive(Debug, Serialize)]
struct LastReload {
    at: String,
    ok: bool,
    error: Option<String>,
    needs_restart: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ListenerStatus {
    name: String,
    mode: &'static str,
    bind: Bind,
    /// Those of its addresses, as the file has them, whose socket was shut down from outside; a reload opens them again.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    lost: BTreeSet<SocketAddr>,
    /// Where clients go that no route takes; absent where there is no such pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sni: Vec<RouteStatus>,
    /// Where a part of its clients goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout_pool: Option<String>,
    maintenance: bool,
    maintenance_by: &'static str,
    /// The service level from which on newcomers are turned away, by the listener or by any of its routes.
    shed_at: &'static str,
    sessions_active: u64,
    sessions_total: u64,
    /// Live sessions that it may have, where that is less than the proxy may.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<usize>,
    /// Slots that are kept for staff and trusted clients, where there are any, and how many of them are in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_in_use: Option<usize>,
    /// Of the active ones: clients that wait for their turn, where they may have to.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<usize>,
}

/// As the file has it: one address, or a list.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Bind {
    One(SocketAddr),
    Several(Vec<SocketAddr>),
}

/// One of `[[listeners.NAME.sni]]`.
#[derive(Debug, Serialize)]
struct RouteStatus {
    host: Vec<String>,
    alpn: Vec<String>,
    pool: String,
}

#[derive(Debug, Serialize)]
struct PoolStatus {
    name: String,
    balance: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<String>,
    /// Sessions that wait for a place, where they may.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_depth: Option<usize>,
    /// Bad backends that take sessions all the same, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_in: Option<usize>,
    backends: Vec<BackendStatus>,
    /// Addresses that may not be backends, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOutStatus>,
}

#[derive(Debug, Serialize)]
struct LeftOutStatus {
    address: String,
    why: String,
}

#[derive(Debug, Serialize)]
pub(super) struct BackendStatus {
    address: String,
    /// It is no longer in its pool.
    #[serde(skip_serializing_if = "is_false")]
    removed: bool,
    weight: u16,
    weight_by: &'static str,
    backup: bool,
    max_connections: Option<u32>,
    admin: &'static str,
    /// Absent where it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_by: Option<&'static str>,
    /// What health checks found; unknown where there are none.
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_check: Option<CheckStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    players: Option<u32>,
    circuit: String,
    eligible: bool,
    sessions_active: u32,
    sessions_total: u64,
    failures_total: u64,
    /// The same, by reason.
    failures: BTreeMap<&'static str, u64>,
    /// How long the last connects took, in milliseconds.
    connect_ms: Option<Spread<f64>>,
    /// Round-trip times of its players, as far as they were measured: that is done while somebody looks.
    players_rtt_us: Option<Spread<u32>>,
    /// Segments that were sent to them again.
    players_retransmits: Option<u64>,
    /// The last line of the log about it.
    last_event: Option<LastEvent>,
}

#[derive(Debug, Serialize)]
struct CheckStatus {
    at: String,
    ok: bool,
    error: Option<String>,
}

/// `GET /api/v1/config`: what runs.
#[derive(Debug, Serialize)]
pub(super) struct EffectiveConfig {
    path: String,
    generation: u64,
    /// By the path of each key; its value as the file would write it.
    effective: BTreeMap<String, String>,
}

/// `POST /api/v1/reload`.
#[derive(Debug, Serialize)]
pub(super) struct Reloaded {
    result: &'static str,
    generation: u64,
    needs_restart: Vec<String>,
    /// Names of backends that stand for nothing yet, in words.
    unresolved: Vec<String>,
}

/// Which lines are logged, and who says so: the file, `RUST_LOG`, or somebody by hand.
#[derive(Debug, Serialize)]
pub(super) struct LogStatus {
    level: String,
    by: &'static str,
}

/// Nothing more to say.
#[derive(Debug, Serialize)]
pub(super) struct Empty {}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Status {
    pub(super) fn of(state: &State, now: Instant) -> Self {
        let snapshot = state.snapshot();
        let admission = &snapshot.admission;
        Self {
            version: VERSION,
            uptime_seconds: state.uptime().as_secs(),
            state: if state.phase() == Phase::Running { "running" } else { "draining" },
            service_level: admission.level().as_str(),
            sessions_active: admission.active(),
            max_connections: admission.capacity(),
            refused_total: refused(&snapshot),
            descriptors: Descriptors::now(),
            drain: state.drain_ends_at().map(|ends_at| DrainStatus {
                sessions_left: admission.active(),
                seconds_left: ends_at.saturating_duration_since(now).as_secs(),
            }),
            config: ConfigStatus::of(state.config_path().display(), state.loads()),
            log: LogStatus::of(state),
            listeners: snapshot.listeners.iter().map(|(name, listener)| ListenerStatus::of(name, listener)).collect(),
            pools: snapshot.pools.values().map(|pool| PoolStatus::of(pool, state, now)).collect(),
            removed_backends: snapshot
                .backends
                .removed()
                .iter()
                .map(|backend| RemovedBackend::of(backend, state, now))
                .collect(),
        }
    }
}

impl EffectiveConfig {
    pub(super) fn of(state: &State) -> Self {
        let path = state.config_path().display().to_string();
        Self {
            path,
            generation: state.loads().generation,
            effective: diff::effective(&state.config()).into_iter().collect(),
        }
    }
}

impl LogStatus {
    pub(super) fn of(state: &State) -> Self {
        let level = state.telemetry().level();
        Self { level: level.as_str().to_owned(), by: level.ruled_by() }
    }

    pub(super) fn level(&self) -> &str {
        &self.level
    }

    pub(super) fn by(&self) -> &'static str {
        self.by
    }
}

impl Reloaded {
    pub(super) fn of(state: &State) -> Self {
        let Loads { generation, last, .. } = state.loads();
        let unresolved = state.names().unanswered(&state.config()).iter().map(ToString::to_string).collect();
        Self { result: "applied", generation, needs_restart: last.needs_restart, unresolved }
    }
}

impl ConfigStatus {
    fn of(path: impl Display, loads: Loads) -> Self {
        let last_reload = LastReload {
            at: timestamp(loads.last.at),
            ok: loads.last.error.is_none(),
            error: loads.last.error,
            needs_restart: loads.last.needs_restart,
        };
        Self { path: path.to_string(), generation: loads.generation, last_reload }
    }
}

impl ListenerStatus {
    pub(super) fn of(name: impl Display, listener: &Listener) -> Self {
        let tally = &listener.counts.tally;
        let SlotLimits { max_connections, reserved } = listener.policy.slots;
        let reserves = reserved > 0;
        let bind = match *listener.bound.as_slice() {
            [one] => Bind::One(one),
            ref several => Bind::Several(several.to_vec()),
        };
        Self {
            name: name.to_string(),
            mode: mode(listener.mode),
            bind,
            lost: listener.counts.lost(),
            pool: listener.pool.as_ref().map(|pool| pool.name().to_string()),
            sni: listener.edge.iter().flat_map(|edge| &edge.routes).map(|(route, _)| RouteStatus::of(route)).collect(),
            rollout_pool: listener.rollout.as_ref().map(|rollout| rollout.pool.name().to_string()),
            maintenance: listener.policy.maintenance,
            maintenance_by: by(listener.maintenance_by_hand),
            shed_at: listener.sheds_from().as_str(),
            sessions_active: tally.active(),
            sessions_total: tally.total(),
            max_connections,
            reserved: reserves.then_some(reserved),
            reserved_in_use: reserves.then(|| tally.memory().live_in_reserved()),
            waiting: listener.policy.arrivals.as_ref().map(|_| tally.memory().arrivals().waiting()),
        }
    }
}

impl RouteStatus {
    fn of(route: &Route) -> Self {
        let host = route.hosts.iter().map(ToString::to_string).collect();
        Self { host, alpn: route.protocols.clone(), pool: route.pool.to_string() }
    }
}

impl PoolStatus {
    fn of(pool: &Pool, state: &State, now: Instant) -> Self {
        let backends = pool.members().iter().map(|member| BackendStatus::of(member, state, now)).collect();
        let snapshot = state.snapshot();
        let left_out = snapshot.left_out.iter().filter(|out| out.pool == *pool.name());
        Self {
            name: pool.name().to_string(),
            balance: pool.strategy().as_str(),
            fallback: pool.fallback().map(|fallback| fallback.name().to_string()),
            queue_depth: pool.has_queue().then(|| pool.waiting()),
            held_in: Some(pool.held_in()).filter(|&held_in| held_in > 0),
            backends,
            left_out: left_out.map(LeftOutStatus::of).collect(),
        }
    }
}

impl RemovedBackend {
    fn of(backend: &Arc<Backend>, state: &State, now: Instant) -> Self {
        Self { pool: backend.pool().to_string(), backend: BackendStatus::of_removed(backend, state, now) }
    }
}

impl LeftOutStatus {
    fn of(out: &LeftOut) -> Self {
        Self { address: out.key.to_string(), why: out.why.to_string() }
    }
}

impl BackendStatus {
    pub(super) fn of(member: &Member, state: &State, now: Instant) -> Self {
        Self {
            weight: member.weight,
            weight_by: by(member.weight_by_hand),
            backup: member.backup,
            max_connections: member.max_connections,
            eligible: member.backend.is_eligible(now),
            removed: false,
            ..Self::of_removed(&member.backend, state, now)
        }
    }

    /// One that is in no pool any more, so that nobody new is sent there.
    pub(super) fn of_removed(backend: &Arc<Backend>, state: &State, now: Instant) -> Self {
        let last_event = state.telemetry().feed().last_of(backend.pool().as_str(), &backend.key().to_string());
        let players = state.live().of_players(backend, |players| (players.rtt_us, players.retransmits));
        Self {
            address: backend.key().to_string(),
            removed: true,
            weight: 0,
            weight_by: by(false),
            backup: false,
            max_connections: None,
            admin: backend.admin().as_str(),
            admin_by: (backend.admin() != Admin::Ready).then_some(by(true)),
            health: backend.checkup().verdict().as_str(),
            last_check: backend.checkup().last().map(CheckStatus::of),
            players: backend.checkup().players_told(),
            circuit: backend.circuit().state(now).to_string(),
            eligible: false,
            sessions_active: backend.active(),
            sessions_total: backend.connected(),
            failures_total: backend.failures_total(),
            failures: Failure::ALL.map(|failure| (failure.as_str(), backend.failures(failure))).into(),
            connect_ms: backend.connects().digest().map(Spread::in_millis),
            players_rtt_us: players.and_then(|(rtt_us, _)| rtt_us).map(Spread::of),
            players_retransmits: players.map(|(_, retransmits)| retransmits),
            last_event: last_event.as_deref().map(LastEvent::of),
        }
    }
}

impl CheckStatus {
    fn of(check: LastCheck) -> Self {
        Self { at: timestamp(check.at), ok: check.failure.is_none(), error: check.failure }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Who has set something.
fn by(hand: bool) -> &'static str {
    if hand { "hand" } else { "file" }
}

fn refused(snapshot: &Snapshot) -> BTreeMap<&'static str, u64> {
    let of = |reason| snapshot.listeners.values().map(|listener| listener.counts.tally.ended(reason)).sum();
    CloseReason::REFUSALS.map(|reason| (reason.as_str(), of(reason))).into()
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
    }
}

/// A view as text.
pub(super) fn json(view: &impl Serialize) -> String {
    printable_json(serde_json::to_string(view).expect("the views have text keys and no fallible parts"))
}

/// RFC 3339, to the millisecond.
pub(super) fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
