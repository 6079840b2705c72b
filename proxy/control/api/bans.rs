//! Bans: by hand, on all listeners, and by rule, on one.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::body::Body;
use hyper::{Request, StatusCode};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::input;
use super::reply::{self, Answer, Outcome, Refusal};
use crate::admission::acl;
use crate::admission::banned::{Ban, NETWORKS_MAX, TooMany};
use crate::config::scalar::{Explain as _, duration};
use crate::control::hand;
use crate::control::state::State;
use crate::control::view::timestamp;
use crate::snapshot::{Listener, Snapshot};

/// Bytes of a reason: a sentence.
const WHY_MAX: usize = 200;

/// Bans by rule that are listed; a flood may leave a hundred thousand.
const LISTED_MAX: usize = 10_000;

/// Bans that an answer lists which remain after one was lifted: enough to see why.
const REMAINING_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BanOrder {
    network: String,
    #[serde(default)]
    r#for: Option<String>,
    #[serde(default)]
    why: Option<String>,
    #[serde(default = "yes")]
    close: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    network: String,
}

#[derive(Debug, Serialize)]
struct BanStatus {
    network: IpNet,
    until: Option<String>,
    by: &'static str,
    listener: Option<String>,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct BanList {
    bans: Vec<BanStatus>,
    /// Further bans by rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<usize>,
}

/// A ban that was lifted while others hold for some of its addresses.
#[derive(Debug, Serialize)]
struct BanLifted {
    network: IpNet,
    still_banned: Vec<BanStatus>,
}

#[derive(Debug, Serialize)]
struct BanMade {
    #[serde(flatten)]
    ban: BanStatus,
    sessions_closed: usize,
}

/// All bans.
pub(super) fn list(state: &State, now: Instant) -> Answer {
    let banned = state.banned();
    let mut bans: Vec<_> = banned.iter().map(|(network, ban)| by_hand(network, ban)).collect();
    let snapshot = state.snapshot();
    let mut ruled: Vec<_> = snapshot.listeners.values().flat_map(|listener| by_rule(listener, now)).collect();
    let left_out = ruled.len().saturating_sub(LISTED_MAX);
    ruled.truncate(LISTED_MAX);
    bans.append(&mut ruled);
    reply::json(StatusCode::OK, &BanList { bans, left_out: Some(left_out).filter(|&left_out| left_out > 0) })
}

/// Bans a network.
pub(super) async fn ban<B>(request: Request<B>, state: &Rc<State>) -> Outcome
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let order: BanOrder = input::order(request).await?;
    let network = parsed(&order.network)?;
    let ban = Ban { until: order.r#for.as_deref().map(end).transpose()?, why: order.why };
    if ban.why.as_ref().is_some_and(|why| why.len() > WHY_MAX) {
        return Err(Refusal::bad_request(format!("why is longer than {WHY_MAX} bytes")));
    }
    let status = by_hand(network, &ban);
    let (until, why) = (status.until.as_deref().unwrap_or("it is lifted"), ban.why.clone().unwrap_or_default());
    state.change_banned(|banned| banned.ban(network, ban)).map_err(|TooMany| {
        let error = format!("{NETWORKS_MAX} networks are banned by hand: lift some, or use deny_file");
        Refusal::new(StatusCode::CONFLICT, "too_many", error)
    })?;
    let sessions_closed = if order.close { hand::close_of(state, network).await } else { 0 };
    tracing::warn!(%network, until, why, sessions_closed, "banned by hand");
    Ok(reply::json(StatusCode::CREATED, &BanMade { ban: status, sessions_closed }))
}

/// Lifts the ban of a network, and those by rule within it. Answers with what still bans some of its addresses, if anything does.
pub(super) fn lift<B>(request: &Request<B>, state: &State, now: Instant) -> Outcome {
    let Which { network } = input::query(request)?;
    let network = parsed(&network)?;
    let by_hand = state.banned().has(network);
    if by_hand {
        state.change_banned(|banned| banned.lift(network));
    }
    let snapshot = state.snapshot();
    let lifted = |listener: &Arc<Listener>| {
        let per_address = listener.policy.per_address;
        let memory = listener.counts.tally.memory();
        memory.lift_bans(|banned| network.contains(&per_address.whole(banned)), now)
    };
    let by_rule: usize = snapshot.listeners.values().map(lifted).sum();
    let still_banned = bans_of(&network, state, &snapshot, now);
    if !by_hand && by_rule == 0 {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "no_such_ban", no_such_ban(&network, &still_banned)));
    }
    tracing::info!(%network, by_hand, by_rule, still_banned = still_banned.len(), "ban lifted by hand");
    Ok(if still_banned.is_empty() {
        reply::done()
    } else {
        reply::json(StatusCode::OK, &BanLifted { network, still_banned })
    })
}

fn no_such_ban(network: &IpNet, others: &[BanStatus]) -> String {
    match others {
        [] => format!("{network} is not banned; GET /api/v1/bans tells which are"),
        [other, ..] if other.by == "file" => {
            format!("{network} has no ban to lift: {} is denied by the config file", other.network)
        }
        [other, ..] => format!("{network} has no ban of its own; lift that of {}", other.network),
    }
}

/// What bans addresses of a network: by hand, by rule and by the deny lists of the config file, so many at most.
fn bans_of(network: &IpNet, state: &State, snapshot: &Snapshot, now: Instant) -> Vec<BanStatus> {
    let banned = state.banned();
    let banned = banned.iter().filter(|(other, _)| acl::overlap(other, network));
    let by_hand = banned.map(|(other, ban)| by_hand(other, ban));
    let by_rule = snapshot.listeners.values().flat_map(|listener| by_rule(listener, now));
    let by_rule = by_rule.filter(|ban| acl::overlap(&ban.network, network));
    let by_file = snapshot.listeners.values().filter_map(|listener| by_file(listener, network));
    by_hand.chain(by_rule).chain(by_file).take(REMAINING_MAX).collect()
}

fn by_file(listener: &Listener, network: &IpNet) -> Option<BanStatus> {
    let network = listener.policy.denied_of(network)?;
    Some(BanStatus { network, until: None, by: "file", listener: Some(listener.name.to_string()), why: None })
}

fn parsed(network: &str) -> Result<IpNet, Refusal> {
    acl::network(network).map_err(|error| Refusal::bad_request(format!("{network:?}: {error}; {}", error.hint())))
}

fn end(lasts: &str) -> Result<SystemTime, Refusal> {
    let wrong = |why: String| Refusal::bad_request(format!("for: {lasts:?}: {why}"));
    let lasts = duration::parse(lasts).map_err(|error| wrong(error.to_string()))?;
    if lasts == Duration::ZERO {
        return Err(wrong("over before it begins".to_owned()));
    }
    Ok(SystemTime::now() + lasts)
}

fn by_hand(network: IpNet, ban: &Ban) -> BanStatus {
    BanStatus { network, until: ban.until.map(timestamp), by: "hand", listener: None, why: ban.why.clone() }
}

fn by_rule(listener: &Listener, now: Instant) -> Vec<BanStatus> {
    let per_address = listener.policy.per_address;
    let wall = SystemTime::now();
    let bans = listener.counts.tally.memory().bans_by_rule(now);
    let status = |(address, until): (_, Instant)| BanStatus {
        network: per_address.whole(address),
        until: Some(timestamp(wall + until.saturating_duration_since(now))),
        by: "rule",
        listener: Some(listener.name.to_string()),
        why: None,
    };
    bans.into_iter().map(status).collect()
}
