//! `GET /metrics`: walks what exists and writes its counts out.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::state::State;
use super::view::deep;
use crate::config::scalar::Name;
use crate::drain::Phase;
use crate::http::answer::Reason;
use crate::http::exchange::{Answers, CLASSES};
use crate::metrics::{Definition, Exposition, names};
use crate::pool::breaker::State as Circuit;
use crate::pool::health::Verdict;
use crate::pool::{Backend, Checkup, Failure, Member};
use crate::relay::Direction;
use crate::session::{CloseReason, Refusals};
use crate::snapshot::{AcceptError, Listener, Shown, Snapshot};
use crate::trace::Tracer;

/// The answer to a scrape.
pub(super) fn text(state: &State, now: Instant) -> String {
    let mut exposition = Exposition::default();
    let snapshot = state.snapshot();
    listeners(&mut exposition, &snapshot, now);
    backends(&mut exposition, &snapshot, now);
    health(&mut exposition, &snapshot);
    pools(&mut exposition, &snapshot);
    requests(&mut exposition, &snapshot);
    certificates(&mut exposition, &snapshot);
    process(&mut exposition, state, now);
    exposition.text()
}

fn listeners(exposition: &mut Exposition, snapshot: &Snapshot, now: Instant) {
    let tallies = || snapshot.listeners.iter().map(|(name, listener)| (name.as_str(), &*listener.counts.tally));

    let mut active = exposition.family(names::SESSIONS_ACTIVE);
    for (name, tally) in tallies() {
        active.count(&[name], tally.active());
    }

    let mut ended = exposition.family(names::SESSIONS);
    for (name, tally) in tallies() {
        for reason in CloseReason::ALL {
            ended.count(&[name, reason.as_str()], tally.ended(reason));
        }
    }

    let mut duration = exposition.family(names::SESSION_DURATION);
    for (name, tally) in tallies() {
        duration.histogram(&[name], tally.duration());
    }

    let mut bytes = exposition.family(names::BYTES);
    for (name, tally) in tallies() {
        bytes.count(&[name, "up"], tally.bytes(Direction::Up));
        bytes.count(&[name, "down"], tally.bytes(Direction::Down));
    }

    let mut dry_run = exposition.family(names::DRY_RUN);
    for (name, listener) in snapshot.listeners.iter().filter(|(_, listener)| listener.policy.dry_run) {
        for reason in Refusals::DRY {
            dry_run.count(&[name.as_str(), reason.as_str()], listener.counts.tally.refusals().would(reason));
        }
    }

    let banning = || snapshot.listeners.iter().filter(|(_, listener)| listener.policy.ban.is_some());
    let bans = |listener: &Listener| listener.counts.tally.memory().bans_total_and_active(now);
    let mut total = exposition.family(names::BANS);
    for (name, listener) in banning() {
        total.count(&[name.as_str()], bans(listener).0);
    }
    let mut banned = exposition.family(names::BANNED);
    for (name, listener) in banning() {
        banned.count(&[name.as_str()], bans(listener).1 as u64);
    }

    let mut maintenance = exposition.family(names::MAINTENANCE);
    for (name, listener) in &snapshot.listeners {
        maintenance.count(&[name.as_str()], u64::from(listener.policy.maintenance));
    }

    slots(exposition, snapshot);

    let pacing = || snapshot.listeners.iter().filter(|(_, listener)| listener.policy.arrivals.is_some());
    let mut waiting = exposition.family(names::ARRIVALS_WAITING);
    for (name, listener) in pacing() {
        waiting.count(&[name.as_str()], listener.counts.tally.memory().arrivals().waiting() as u64);
    }
    let mut wait = exposition.family(names::ARRIVAL_WAIT);
    for (name, listener) in pacing() {
        wait.histogram(&[name.as_str()], listener.counts.tally.memory().arrivals().wait());
    }

    let pacing = || snapshot.listeners.iter().filter(|(_, listener)| listener.policy.handshakes.is_some());
    let mut waiting = exposition.family(names::HANDSHAKES_WAITING);
    for (name, listener) in pacing() {
        waiting.count(&[name.as_str()], listener.counts.tally.memory().handshakes().waiting() as u64);
    }
    let mut wait = exposition.family(names::HANDSHAKE_WAIT);
    for (name, listener) in pacing() {
        wait.histogram(&[name.as_str()], listener.counts.tally.memory().handshakes().wait());
    }

    let mut errors = exposition.family(names::ACCEPT_ERRORS);
    for (name, listener) in &snapshot.listeners {
        for kind in AcceptError::ALL {
            errors.count(&[name.as_str(), kind.as_str()], listener.counts.accept_errors(kind));
        }
    }
}

/// Limits of listeners that have some of their own.
fn slots(exposition: &mut Exposition, snapshot: &Snapshot) {
    let mut most = exposition.family(names::LISTENER_MAX_CONNECTIONS);
    for (name, listener) in &snapshot.listeners {
        if let Some(max_connections) = listener.policy.slots.max_connections {
            most.count(&[name.as_str()], max_connections as u64);
        }
    }
    let reserving = || snapshot.listeners.iter().filter(|(_, listener)| listener.policy.slots.reserved > 0);
    let mut reserved = exposition.family(names::LISTENER_RESERVED);
    for (name, listener) in reserving() {
        reserved.count(&[name.as_str()], listener.policy.slots.reserved as u64);
    }
    let mut taken = exposition.family(names::LISTENER_RESERVED_ACTIVE);
    for (name, listener) in reserving() {
        taken.count(&[name.as_str()], listener.counts.tally.memory().live_in_reserved() as u64);
    }
}

fn requests(exposition: &mut Exposition, snapshot: &Snapshot) {
    let speaking = || snapshot.listeners.iter().filter(|(_, listener)| listener.front.is_some());
    let counts = || speaking().map(|(name, listener)| (name.as_str(), &listener.counts.requests));
    let by_pool: Vec<_> =
        counts().flat_map(|(name, counts)| counts.all().into_iter().map(move |its| (name, its))).collect();
    let of = |answers: &Answers| answers.pool().map_or_else(String::new, Name::to_string);
    let mut total = exposition.family(names::REQUESTS);
    for (listener, answers) in &by_pool {
        let pool = of(answers);
        for (class, count) in CLASSES.iter().zip(answers.by_class()) {
            total.count(&[listener, &pool, class], count);
        }
    }
    let mut duration = exposition.family(names::REQUEST_DURATION);
    for (listener, answers) in &by_pool {
        duration.histogram(&[listener, &of(answers)], answers.duration());
    }
    let mut refused = exposition.family(names::REQUESTS_REFUSED);
    for (listener, counts) in counts() {
        for reason in Reason::ALL {
            refused.count(&[listener, reason.as_str()], counts.refused(reason));
        }
    }
    let mut in_flight = exposition.family(names::REQUESTS_IN_FLIGHT);
    for (listener, counts) in counts() {
        in_flight.count(&[listener], counts.in_flight());
    }
}

fn certificates(exposition: &mut Exposition, snapshot: &Snapshot) {
    let mut ends = exposition.family(names::CERTIFICATE_NOT_AFTER);
    // The same file may stand there twice.
    let mut seen = BTreeSet::new();
    for Shown { listener, pool, certificate } in snapshot.certificates() {
        if let Some(identity) = &certificate.identity.content
            && seen.insert((listener, pool, &certificate.cert))
        {
            #[allow(clippy::cast_precision_loss, reason = "exact for ages")]
            ends.sample(&[listener, pool, &certificate.cert.display().to_string()], identity.not_after() as f64);
        }
    }
}

fn backends(exposition: &mut Exposition, snapshot: &Snapshot, now: Instant) {
    // One text per backend and scrape, not one per series.
    let members = snapshot.pools.values().flat_map(|pool| pool.members());
    let members: Vec<_> = members.map(|member| (Labels::of(&member.backend), member)).collect();
    let removed = snapshot.backends.removed();
    let removed: Vec<_> = removed.iter().map(|backend| (Labels::of(backend), backend)).collect();

    // What is counted of backends that have left goes on until their last session has gone.
    let counted = || {
        let in_pools = members.iter().map(|(labels, member)| (labels, &member.backend));
        in_pools.chain(removed.iter().map(|(labels, backend)| (labels, *backend)))
    };
    let mut active = exposition.family(names::BACKEND_SESSIONS_ACTIVE);
    for (labels, backend) in counted() {
        active.count(&labels.both(), u64::from(backend.active()));
    }
    let mut connected = exposition.family(names::BACKEND_SESSIONS);
    for (labels, backend) in counted() {
        connected.count(&labels.both(), backend.connected());
    }
    let mut plain = |definition: Definition, value: &dyn Fn(&Member) -> u64| {
        let mut family = exposition.family(definition);
        for (labels, member) in &members {
            family.count(&labels.both(), value(member));
        }
    };
    plain(names::BACKEND_CIRCUIT, &|member| member.backend.circuit().state(now) as u64);
    plain(names::BACKEND_ELIGIBLE, &|member| u64::from(member.backend.is_eligible(now)));
    plain(names::BACKEND_ADMIN, &|member| member.backend.admin() as u64);
    plain(names::BACKEND_WEIGHT, &|member| u64::from(member.weight));

    let mut failures = exposition.family(names::BACKEND_FAILURES);
    for (labels, backend) in counted() {
        for failure in Failure::ALL {
            failures.count(&[labels.pool, &labels.backend, failure.as_str()], backend.failures(failure));
        }
    }
    let mut transitions = exposition.family(names::BACKEND_TRANSITIONS);
    for (labels, backend) in counted() {
        for to in Circuit::ALL {
            let count = backend.circuit().transitions(to);
            transitions.count(&[labels.pool, &labels.backend, to.as_str()], count);
        }
    }
}

/// What series of a backend are labelled with.
struct Labels<'a> {
    pool: &'a str,
    backend: String,
}

impl<'a> Labels<'a> {
    fn of(backend: &'a Backend) -> Self {
        Self { pool: backend.pool().as_str(), backend: backend.key().to_string() }
    }

    fn both(&self) -> [&str; 2] {
        [self.pool, &self.backend]
    }
}

fn health(exposition: &mut Exposition, snapshot: &Snapshot) {
    let checked: Vec<(&str, String, &Checkup)> = snapshot
        .pools
        .values()
        .filter(|pool| pool.health().is_some())
        .flat_map(|pool| pool.members().iter().map(|member| (pool.name().as_str(), &*member.backend)))
        .map(|(pool, backend)| (pool, backend.key().to_string(), backend.checkup()))
        .collect();
    let mut up = exposition.family(names::BACKEND_UP);
    for (pool, backend, checkup) in &checked {
        let verdict = checkup.verdict();
        if verdict != Verdict::Unknown {
            up.count(&[pool, backend], u64::from(verdict == Verdict::Up));
        }
    }
    let mut checks = exposition.family(names::HEALTH_CHECKS);
    for (pool, backend, checkup) in &checked {
        checks.count(&[pool, backend, "ok"], checkup.passed()).count(&[pool, backend, "failed"], checkup.failed());
    }
    let mut players = exposition.family(names::BACKEND_PLAYERS);
    for (pool, backend, checkup) in &checked {
        if let Some(told) = checkup.players_told() {
            players.count(&[pool, backend], u64::from(told));
        }
    }
}

fn pools(exposition: &mut Exposition, snapshot: &Snapshot) {
    let pools = || snapshot.pools.values().map(|pool| (pool.name().as_str(), pool));
    let mut connect = exposition.family(names::BACKEND_CONNECT);
    for (name, pool) in pools() {
        connect.histogram(&[name], pool.connect_duration());
    }
    let mut retries = exposition.family(names::CONNECT_RETRIES);
    for (name, pool) in pools() {
        retries.count(&[name], pool.retries());
    }
    let mut panic = exposition.family(names::POOL_PANIC);
    for (name, pool) in pools() {
        panic.count(&[name], pool.held_in() as u64);
    }
    let mut depth = exposition.family(names::QUEUE_DEPTH);
    for (name, pool) in pools() {
        depth.count(&[name], pool.waiting() as u64);
    }
    let mut wait = exposition.family(names::QUEUE_WAIT);
    for (name, pool) in pools() {
        wait.histogram(&[name], pool.wait_duration());
    }
}

fn process(exposition: &mut Exposition, state: &State, now: Instant) {
    let loads = state.loads();
    exposition.family(names::SERVICE_LEVEL).count(&[], state.admission().level() as u64);
    exposition.family(names::MAX_CONNECTIONS).count(&[], state.admission().capacity() as u64);
    let mut health = exposition.family(names::HEALTH);
    for (check, score) in deep::scores(state, now) {
        health.count(&[&check], score);
    }
    exposition.family(names::DRAINING).count(&[], u64::from(state.phase() != Phase::Running));
    exposition.family(names::CONFIG_RELOADS).count(&["ok"], loads.ok).count(&["error"], loads.failed);
    exposition.family(names::CONFIG_LAST_OK).count(&[], u64::from(loads.last.error.is_none()));
    exposition.family(names::CONFIG_LAST_AT).sample(&[], since_1970(loads.applied_at));
    exposition.family(names::BANS_BY_HAND).count(&[], state.banned().count() as u64);
    if state.config().state.file.is_some() {
        let (written, failed) = state.kept();
        exposition.family(names::STATE_WRITES).count(&["ok"], written).count(&["failed"], failed);
    }
    exposition.family(names::LOG_DROPPED).count(&[], state.telemetry().dropped_lines());
    exposition.family(names::LOG_LEFT_OUT).count(&[], state.telemetry().left_out_lines());
    let mut asked = exposition.family(names::ADMIN_REQUESTS);
    for ((path, code), count) in &*state.asked() {
        asked.count(&[path, &code.to_string()], *count);
    }
    spans(exposition, &state.snapshot().tracer);
    exposition.family(names::BUILD_INFO).count(&[env!("CARGO_PKG_VERSION")], 1);
}

fn spans(exposition: &mut Exposition, tracer: &Tracer) {
    exposition.family(names::SPANS_EXPORTED).count(&[], tracer.exported());
    let mut dropped = exposition.family(names::SPANS_DROPPED);
    for (reason, count) in tracer.dropped() {
        dropped.count(&[reason], count);
    }
}

fn since_1970(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
