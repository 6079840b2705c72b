//! `GET /health/deep`: what is wrong, in a line each.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::time::Instant;

use super::VERSION;
use crate::admission::level::Level;
use crate::config::model::Material;
use crate::control::state::{Loads, State};
use crate::net::tls::identity::Day;
use crate::pool::Pool;
use crate::snapshot::{Listener, Shown};

/// `GET /health/deep`.
#[derive(Debug, Serialize)]
pub(in crate::control) struct DeepHealth {
    pub(in crate::control) status: Health,
    checks: BTreeMap<String, String>,
    version: &'static str,
    uptime_seconds: u64,
}

/// How well something does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::control) enum Health {
    Ok,
    Degraded,
    Down,
}

impl DeepHealth {
    pub(in crate::control) fn of(state: &State, now: Instant) -> Self {
        let checks = checks(state, now);
        // Only pools can be down.
        let down = checks.values().filter(|check| check.health == Health::Down).count();
        let all_well = checks.values().all(|check| check.health == Health::Ok);
        Self {
            status: match (down == state.snapshot().pools.len(), all_well) {
                (true, _) => Health::Down,
                (false, true) => Health::Ok,
                (false, false) => Health::Degraded,
            },
            checks: checks.into_iter().map(|(name, check)| (name, check.text())).collect(),
            version: VERSION,
            uptime_seconds: state.uptime().as_secs(),
        }
    }
}

/// How each part does, by its name. Of listeners, names, certificates and single backends only those that are not well.
fn checks(state: &State, now: Instant) -> BTreeMap<String, Check> {
    let snapshot = state.snapshot();
    let pools = snapshot.pools.values().map(|pool| (format!("pool:{}", pool.name()), Check::of_pool(pool, now)));
    let others =
        [("config".to_owned(), Check::of_config(&state.loads())), ("service_level".to_owned(), Check::of_level(state))];
    let names = state.names().failing();
    let names = names.into_iter().map(|(name, why)| (format!("dns:{name}"), Check::of_name(why)));
    let certificates = snapshot.certificates().filter_map(|shown| Some((shown.name(), Check::of_certificate(&shown)?)));
    let left_out = snapshot.left_out.iter();
    let left_out = left_out.map(|out| (format!("backend:{}/{}", out.pool, out.key), Check::of_left_out(&out.why)));
    let stale = snapshot.stale_trusts().map(|(name, why)| (name, Check::of_stale(why)));
    let lost =
        snapshot.listeners.iter().filter_map(|(name, its)| Some((format!("listener:{name}"), Check::of_lost(its)?)));
    pools.chain(others).chain(names).chain(left_out).chain(certificates).chain(stale).chain(lost).collect()
}

/// The same as numbers: 0 is well, 1 degraded, 2 down.
pub(in crate::control) fn scores(state: &State, now: Instant) -> impl Iterator<Item = (String, u64)> {
    checks(state, now).into_iter().map(|(name, check)| (name, check.health as u64))
}

/// One line of the deep health.
struct Check {
    health: Health,
    why: String,
}

impl Check {
    fn of_pool(pool: &Pool, now: Instant) -> Self {
        let (eligible, all) = (pool.eligible(now), pool.members().len());
        let health = match eligible {
            0 => Health::Down,
            _ if eligible < all => Health::Degraded,
            _ => Health::Ok,
        };
        Self { health, why: format!("{eligible} of {all} backends eligible") }
    }

    fn of_name(why: String) -> Self {
        Self { health: Health::Degraded, why: format!("{why}; the last good answer stands") }
    }

    fn of_left_out(why: impl Display) -> Self {
        Self { health: Health::Degraded, why: format!("left out: {why}") }
    }

    /// `None` if all is well with it.
    fn of_certificate(shown: &Shown<'_>) -> Option<Self> {
        let Material { content, stale } = &shown.certificate.identity;
        let not_after = content.as_ref()?.not_after();
        let ends = match not_after - unix_seconds() {
            ..=0 => Some(format!("ended on {}", Day(not_after))),
            1..EXPIRY_NEAR => Some(format!("ends on {}", Day(not_after))),
            _ => None,
        };
        let stale = stale.as_ref().map(|why| format!("{why}; what was read before stands"));
        let why = stale.into_iter().chain(ends).collect::<Vec<_>>().join(", and ");
        (!why.is_empty()).then_some(Self { health: Health::Degraded, why })
    }

    fn of_stale(why: &str) -> Self {
        Self { health: Health::Degraded, why: format!("{why}; what was read before stands") }
    }

    /// `None` if all of its sockets listen.
    fn of_lost(listener: &Listener) -> Option<Self> {
        let lost: Vec<_> = listener.counts.lost().iter().map(ToString::to_string).collect();
        let why = || format!("{}: the socket was shut down from outside; a reload opens it again", lost.join(", "));
        (!lost.is_empty()).then(|| Self { health: Health::Degraded, why: why() })
    }

    fn of_config(loads: &Loads) -> Self {
        match &loads.last.error {
            None => Self { health: Health::Ok, why: String::new() },
            Some(error) => Self { health: Health::Degraded, why: format!("last reload failed: {error}") },
        }
    }

    fn of_level(state: &State) -> Self {
        let admission = state.admission();
        let level = admission.level();
        let health = if level == Level::Full { Health::Ok } else { Health::Degraded };
        let (active, capacity) = (admission.active(), admission.capacity());
        Self { health, why: format!("{}, {active} of {capacity} sessions", level.as_str()) }
    }

    fn text(self) -> String {
        match self.health {
            Health::Ok => "ok".to_owned(),
            Health::Degraded => format!("degraded: {}", self.why),
            Health::Down => format!("down: {}", self.why),
        }
    }
}

/// Certificates of a week are renewed at half of it; one that is left with less than this has been forgotten.
const EXPIRY_NEAR: i64 = 2 * 24 * 3600;

fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
