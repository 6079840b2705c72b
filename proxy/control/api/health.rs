//! The three paths of health, and the deep one: for orchestrators and balancers in front.

use hyper::StatusCode;
use tokio::time::Instant;

use super::reply::{self, Answer};
use crate::admission::level::Level;
use crate::control::state::State;
use crate::control::view::{DeepHealth, Health};
use crate::drain::Phase;

pub(super) fn started(state: &State) -> Answer {
    if state.is_listening() { reply::text(StatusCode::OK, "started") } else { unavailable("starting") }
}

/// Whether a load balancer in front should send clients here.
pub(super) fn ready(state: &State, now: Instant) -> Answer {
    let any_eligible = || state.snapshot().pools.values().any(|pool| pool.has_eligible(now));
    if state.phase() != Phase::Running {
        unavailable("draining")
    } else if !state.is_listening() {
        unavailable("starting")
    } else if state.admission().level() == Level::Overloaded {
        unavailable("overloaded")
    } else if !any_eligible() {
        unavailable("no pool has an eligible backend")
    } else {
        reply::text(StatusCode::OK, "ready")
    }
}

pub(super) fn deep(state: &State, now: Instant) -> Answer {
    let health = DeepHealth::of(state, now);
    let down = health.status == Health::Down;
    reply::json(if down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, &health)
}

fn unavailable(why: &str) -> Answer {
    reply::text(StatusCode::SERVICE_UNAVAILABLE, why)
}
