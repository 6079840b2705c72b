//! `[pools.NAME]` and its `backends`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Place, Problem, breaker, discovery, health, http, limits, queue, tls};
use crate::config::model::{self, Backend};
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::{Address, Name};
use crate::net::proxy_protocol::Version;
use crate::pool::balance::Strategy;

/// A pool, and what must be checked against other sections.
#[derive(Debug)]
pub(super) struct Pool {
    /// Its header.
    pub(super) place: Place,
    /// As the file writes it.
    pub(super) name: String,
    pub(super) backends: Vec<Setting<Backend>>,
    pub(super) fallback: Option<Setting<Name>>,
    /// `None` if its name is none.
    pub(super) model: Option<model::Pool>,
}

pub(super) fn read(section: &mut Section<'_>, written: &str) -> Pool {
    let name = super::name(section, written);
    let strategy = section.setting("balance", Strategy::LeastConnections, |value| value.word(&STRATEGIES, &[]));
    let backends = backends(section);
    let connect_timeout = section.setting("connect_timeout", CONNECT_TIMEOUT, Value::duration);
    let limits = limits::read(section);
    let retries = section.setting("retries", RETRIES, |value| value.whole(0..=RETRIES_MAX));
    let retry_backoff = section.setting("retry_backoff", RETRY_BACKOFF, Value::duration_or_zero);
    let (breaker, max_ejected, failing) = section.section("breaker", breaker::read);
    let requests = http::of_pool(section);
    let slow_start = section.setting("slow_start", None, Value::duration_or_off);
    let send_proxy = send_proxy(section);
    let tls = section.optional("tls", tls::of_pool).flatten();
    let last_resort = section.setting("last_resort", false, Value::flag);
    let fallback = section.setting("fallback", None, |value| value.parse(str::parse::<Name>).map(Some));
    let queue = section.optional("queue", queue::read);
    let health = section.optional("health", health::read);
    let discovery = section.section("discovery", discovery::read);
    if strategy.value == Strategy::FewestPlayers && !has_players(health.as_ref()) {
        let message = "fewest_players needs a health check that reads the number of players";
        section.add(Problem::error(&strategy.place, message).hint("add health = { type = \"minecraft\" }"));
    }

    let model = name.map(|name| model::Pool {
        name,
        strategy: strategy.value,
        backends: backends.iter().map(|setting| setting.value.clone()).collect(),
        connect_timeout: connect_timeout.value,
        request_timeout: limits.request_timeout,
        idle_timeout: limits.idle_timeout,
        max_lifetime: limits.max_lifetime,
        half_close_timeout: limits.half_close_timeout,
        liveness: limits.liveness,
        retries: retries.value,
        retry_backoff: retry_backoff.value,
        breaker,
        requests: model::Requests { failing, ..requests },
        max_ejected,
        send_proxy,
        tls,
        slow_start: slow_start.value,
        last_resort: last_resort.value,
        fallback: fallback.value.clone(),
        queue,
        health: health.flatten().map(|health| model::Health { introduced: send_proxy, ..health }),
        discovery,
    });
    let fallback = fallback.value.clone().map(|name| fallback.with(name));
    Pool { place: section.place.clone(), name: written.into(), backends, fallback, model }
}

/// Both keys.
fn send_proxy(section: &mut Section<'_>) -> Option<Version> {
    let version = section.setting("send_proxy", None, |value| value.word(&SEND_PROXY, &[]));
    let checksum = section.setting("send_proxy_checksum", false, Value::flag);
    let is_v2 = matches!(version.value, Some(Version::V2 { .. }));
    if checksum.value && !is_v2 && !version.is_refused() {
        let message = "only version 2 has a checksum";
        section.add(Problem::warning(&checksum.place, message).hint(r#"send_proxy = "v2""#));
    }
    if is_v2 { Some(Version::V2 { checksum: checksum.value }) } else { version.value }
}

/// Whether the number of players is read, or the section that should say so was refused for another reason.
fn has_players(health: Option<&Option<model::Health>>) -> bool {
    health.is_some_and(|health| health.as_ref().is_none_or(|health| health.check == model::Check::Minecraft))
}

/// The list, with what can be said about it as a whole.
fn backends(section: &mut Section<'_>) -> Vec<Setting<Backend>> {
    let example = r#"["10.0.0.11:25565"]"#;
    let Some(value) = section.required("backends", example) else {
        return Vec::new();
    };
    let Some(list) = value.list(example) else {
        return Vec::new();
    };
    if list.is_empty() {
        section.add(Problem::error(&value.place, "a pool needs a backend").hint(format!("for example {example}")));
    }
    let mut seen = BTreeSet::new();
    let mut backends = Vec::new();
    for found in list.iter().filter_map(|entry| backend(section, entry)) {
        if !seen.insert(found.value.address.clone()) {
            let message = format!("the backend {} is in the pool twice", found.value.address);
            let hint = "to send it more sessions, write it once with a higher weight";
            section.add(Problem::error(&found.place, message).hint(hint));
        }
        backends.push(found);
    }
    if backends.len() == list.len() {
        all_of(section, &value.place, &backends);
    }
    backends
}

/// `"host:port"` or `{ address = "host:port", ... }`.
fn backend(section: &Section<'_>, value: &Value<'_>) -> Option<Setting<Backend>> {
    let backend = if value.is_table() {
        section.entry("backends", value, long_form)??
    } else {
        let address = value.parse(str::parse::<Address>)?;
        Backend { address, weight: WEIGHT, max_connections: None, backup: false }
    };
    Some(Setting::written(backend, value.place.clone()))
}

fn long_form(section: &mut Section<'_>) -> Option<Backend> {
    let address =
        section.required("address", r#""10.0.0.11:25565""#).and_then(|value| value.parse(str::parse::<Address>));
    let weight = section.setting("weight", WEIGHT, |value| {
        value.whole(0..=u16::MAX.into()).and_then(|weight| u16::try_from(weight).ok())
    });
    let max_connections = section.setting("max_connections", None, |value| value.whole(1..=u32::MAX).map(Some));
    let backup = section.setting("backup", false, Value::flag);
    if weight.is_written() && matches!(address, Some(Address::Srv { .. })) {
        let problem = Problem::error(&weight.place, "the weights of an srv: entry are those of its SRV records");
        section.add(problem.hint("leave out weight"));
    }
    let (weight, max_connections, backup) = (weight.value, max_connections.value, backup.value);
    Some(Backend { address: address?, weight, max_connections, backup })
}

/// Weights and backups: what no backend shows alone.
fn all_of(section: &Section<'_>, list: &Place, backends: &[Setting<Backend>]) {
    let resting: Vec<_> = backends.iter().filter(|backend| backend.value.weight == 0).collect();
    if !resting.is_empty() && resting.len() == backends.len() {
        let problem = Problem::warning(list, "every backend has weight 0, so they are used as if each had weight 1");
        section.add(problem.hint("leave out weight = 0"));
    } else {
        for backend in resting {
            let message =
                format!("with weight 0 the backend {} takes sessions only while no other can", backend.value.address);
            section.add(Problem::warning(&backend.place, message));
        }
    }
    if !backends.is_empty() && backends.iter().all(|backend| backend.value.backup) {
        let message = "every backend is a backup, so they are used as if none were";
        section.add(Problem::warning(list, message).hint("leave out backup = true"));
    }
}

const SEND_PROXY: [(&str, Option<Version>); 3] =
    [("off", None), ("v1", Some(Version::V1)), ("v2", Some(Version::V2 { checksum: false }))];

const STRATEGIES: [(&str, Strategy); 5] = [
    ("least_connections", Strategy::LeastConnections),
    ("round_robin", Strategy::RoundRobin),
    ("random_two", Strategy::RandomTwo),
    ("maglev", Strategy::Maglev),
    ("fewest_players", Strategy::FewestPlayers),
];

/// Any number would do, as only the relation counts.
const WEIGHT: u16 = 1;

/// A TCP handshake repeats its first packet after 1 s and after 3 s: both may be lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Three backends down at once is the pool's trouble, not bad luck.
const RETRIES: u32 = 2;

/// With any useful connect timeout, more would hold the client for minutes.
const RETRIES_MAX: u32 = 100;

/// Unseen by a player; enough for a restarting process to listen again, once doubled.
const RETRY_BACKOFF: Duration = Duration::from_millis(50);
