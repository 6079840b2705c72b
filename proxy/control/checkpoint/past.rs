//! What is kept of a running proxy, and how another one goes on with it.

use std::time::SystemTime;

use tokio::time::Instant;

use super::clock::Clock;
use super::form::{Backend, Ban, Circuit, Down, Kept, Listener, Millis, Reconnect, Text};
use crate::admission::{Memory, banned, reconnect};
use crate::config::scalar::Name;
use crate::control::state::State;
use crate::net::client::ClientKey;
use crate::pool::Backend as Server;
use crate::pool::admin::{Admin, ByHand};
use crate::pool::health::Verdict;
use crate::snapshot::Snapshot;

/// Clients that are kept of one listener, and as many keys of players, the newest ones: twice the usual `max_connections`, in 2 MB of the
/// file.
const CLIENTS: usize = 20_000;

/// What is to be kept of a proxy.
pub(super) fn take(state: &State, clock: &Clock) -> Kept {
    let snapshot = state.snapshot();
    let rule = state.config().server.reconnect;
    let (hand, banned) = (state.hand(), state.banned());
    let backend = |(pool, backend, hand): (&_, &str, ByHand)| Backend {
        pool: Text(Clone::clone(pool)),
        backend: backend.to_owned(),
        admin: hand.admin.as_str().to_owned(),
        weight: hand.weight,
    };
    let ban = |(network, ban): (_, &banned::Ban)| Ban {
        network: Text(network),
        until: ban.until.map(Millis::of),
        why: ban.why.clone(),
    };
    let circuit = |(pool, backend, server): (_, _, &Server)| {
        let (until, openings) = server.outage()?;
        Some(Circuit { pool, backend, until: Millis::of(clock.wall(until)), openings })
    };
    let down = |(pool, backend, server): (_, _, &Server)| {
        (server.checkup().verdict() == Verdict::Down).then_some(Down { pool, backend })
    };
    let memories = snapshot.listeners.iter().map(|(name, listener)| (name, listener.counts.tally.memory()));
    Kept {
        backends: hand.backends().map(backend).collect(),
        listeners: hand
            .listeners()
            .map(|(listener, maintenance)| Listener { listener: Text(listener.clone()), maintenance })
            .collect(),
        bans: banned.iter().map(ban).collect(),
        circuits: servers(&snapshot).filter_map(circuit).collect(),
        down: servers(&snapshot).filter_map(down).collect(),
        reconnect: memories
            .map(|(name, memory)| take_clients(Text(name.clone()), memory, rule, clock))
            .filter(|reconnect| !(reconnect.ended.is_empty() && reconnect.served.is_empty()))
            .collect(),
    }
}

fn servers(snapshot: &Snapshot) -> impl Iterator<Item = (Text<Name>, String, &Server)> {
    snapshot.pools.values().flat_map(|pool| {
        let name = Text(pool.name().clone());
        pool.members().iter().map(move |member| (name.clone(), member.backend.key().to_string(), &*member.backend))
    })
}

/// The newest entries, as many as are kept of a listener, the oldest of them first.
fn newest<T>(mut entries: Vec<T>, at: impl Fn(&T) -> Instant) -> Vec<T> {
    let older = entries.len().saturating_sub(CLIENTS);
    if older > 0 {
        entries.select_nth_unstable_by_key(older, &at);
        entries.drain(..older);
    }
    entries.sort_unstable_by_key(at);
    entries
}

fn take_clients(listener: Text<Name>, memory: &Memory, rule: reconnect::Rule, clock: &Clock) -> Reconnect {
    let now = Instant::now();
    let counts = |at: Instant| now.saturating_duration_since(at) < rule.window;
    let ended = memory.ended().into_iter().filter(|&(_, at)| counts(at)).collect();
    let ended = newest(ended, |&(_, at)| at);
    let ended = ended.into_iter().map(|(client, at)| (Text(client), Millis::of(clock.wall(at)))).collect();
    let served = memory.served().into_iter().filter(|&(_, _, last)| counts(last)).collect();
    let served = newest(served, |&(_, _, last)| last);
    let moments = |(client, first, last)| (Text(client), Millis::of(clock.wall(first)), Millis::of(clock.wall(last)));
    let served = served.into_iter().map(moments).collect();
    Reconnect { listener, ended, served }
}

/// Goes on with what was set by hand. What the config does not name any more is left out.
pub(super) fn give_hand(kept: &Kept, state: &State) {
    let mut hand = state.hand_mut();
    for Backend { pool, backend, admin, weight } in &kept.backends {
        let by_hand = ByHand { admin: Admin::named(admin).unwrap_or_default(), weight: *weight };
        let _too_many = hand.set_backend(&pool.0, backend, by_hand);
    }
    for Listener { listener, maintenance } in &kept.listeners {
        hand.set_maintenance(&listener.0, Some(*maintenance));
    }
    hand.keep(&state.config(), |_, _| false);
}

/// Goes on with bans, circuits, verdicts and clients.
pub(super) fn give(kept: &Kept, state: &State, clock: &Clock) {
    give_bans(&kept.bans, state);
    let snapshot = state.snapshot();
    give_backends(kept, &snapshot, clock);
    let rule = state.config().server.reconnect;
    for reconnect in &kept.reconnect {
        if let Some(listener) = snapshot.listeners.get(&reconnect.listener.0) {
            give_clients(reconnect, listener.counts.tally.memory(), rule, clock);
        }
    }
}

fn give_bans(bans: &[Ban], state: &State) {
    state.change_banned(|banned| {
        for Ban { network, until, why } in bans {
            let ban = banned::Ban { until: until.and_then(Millis::time), why: why.clone() };
            let _too_many = banned.ban(network.0, ban);
        }
        banned.forget(SystemTime::now());
    });
}

fn give_backends(kept: &Kept, snapshot: &Snapshot, clock: &Clock) {
    let now = Instant::now();
    let server = |pool: &Text<Name>, backend: &str| {
        let pool = snapshot.pools.get(&pool.0)?;
        let member = pool.members().iter().find(|member| member.backend.key().to_string() == backend)?;
        Some((pool, &member.backend))
    };
    for Circuit { pool, backend, until, openings } in &kept.circuits {
        if let Some((_, server)) = server(pool, backend) {
            let until = until.time().and_then(|until| clock.monotonic(until)).unwrap_or(now);
            server.resume_outage((until, *openings), now);
        }
    }
    for Down { pool, backend } in &kept.down {
        if let Some((_, server)) = server(pool, backend).filter(|(pool, _)| pool.health().is_some()) {
            server.resume_down();
        }
    }
}

fn give_clients(kept: &Reconnect, memory: &Memory, rule: reconnect::Rule, clock: &Clock) {
    let now = Instant::now();
    // What lies in the future was written by a clock that was wrong.
    let moment = |at: Millis| at.time().and_then(|at| clock.monotonic(at)).filter(|&at| at <= now);
    let counts = |at: &Instant| now.saturating_duration_since(*at) < rule.window;
    let mut ended: Vec<(Instant, ClientKey)> =
        kept.ended.iter().filter_map(|(client, at)| Some((moment(*at).filter(counts)?, client.0))).collect();
    ended.sort_unstable();
    for (at, client) in ended {
        memory.resume_ended(client, at, rule);
    }
    let mut served: Vec<_> = kept
        .served
        .iter()
        .filter_map(|(client, first, last)| {
            let last = moment(*last).filter(counts)?;
            Some((last, moment(*first).unwrap_or(last), client.0))
        })
        .collect();
    served.sort_unstable();
    for (last, first, client) in served {
        memory.resume_served(client, (first, last), rule);
    }
}
