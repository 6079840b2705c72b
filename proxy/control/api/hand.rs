//! What is set by hand for backends and listeners.

use std::rc::Rc;
use std::sync::Arc;

use hyper::body::Body;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::input;
use super::process::{ask, ending};
use super::reply::{self, Outcome, Refusal};
use super::routes::Parts;
use crate::config::scalar::Name;
use crate::control::state::State;
use crate::control::view::{BackendStatus, ListenerStatus};
use crate::control::{self, hand};
use crate::drain::Phase;
use crate::pool::admin::{Admin, ByHand};
use crate::pool::{Backend, Member};
use crate::snapshot::Snapshot;
use crate::snapshot::hand::TooMany;

/// A weight by hand, at most. As only the relation to others counts, more would say nothing more.
const WEIGHT_MAX: u16 = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateOrder {
    state: String,
    /// The sessions that it has end, too.
    #[serde(default)]
    close: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightOrder {
    #[serde(deserialize_with = "input::said")]
    weight: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaintenanceOrder {
    #[serde(deserialize_with = "input::said")]
    maintenance: Option<bool>,
}

/// Takes a backend out, or puts it back.
pub(super) async fn set_state<B>(request: Request<B>, parts: &Parts, state: &Rc<State>) -> Outcome
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let order: StateOrder = input::order(request).await?;
    let admin = Admin::named(&order.state).ok_or_else(|| {
        let words = Admin::ALL.map(Admin::as_str).join(", ");
        Refusal::bad_request(format!("there is no state {:?}; there are: {words}", order.state))
    })?;
    let backend = set_backend(state, parts, |hand| ByHand { admin, ..hand }).await?;
    let (pool, its) = (&parts[0], backend.key());
    match admin {
        Admin::Ready => tracing::info!(%pool, backend = %its, "set to ready by hand"),
        Admin::Drain | Admin::Maintenance => tracing::warn!(%pool, backend = %its, "set to {admin} by hand"),
    }
    if order.close && admin != Admin::Ready {
        tracing::warn!(%pool, backend = %its, sessions = backend.active(), "its sessions are ended by hand");
        hand::close_on(state, &backend).await;
    }
    told(state, &backend)
}

/// Sets a backend's weight, or clears it.
pub(super) async fn set_weight<B>(request: Request<B>, parts: &Parts, state: &Rc<State>) -> Outcome
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let WeightOrder { weight } = input::order(request).await?;
    if weight.is_some_and(|weight| weight > WEIGHT_MAX) {
        return Err(Refusal::bad_request(format!("a weight is a number from 0 to {WEIGHT_MAX}, or null")));
    }
    if member(&state.snapshot(), parts).is_err() && removed(&state.snapshot(), parts).is_some() {
        let error = "this backend is no longer in its pool: it takes nobody new, whatever its weight";
        return Err(Refusal::new(StatusCode::CONFLICT, "backend_removed", error));
    }
    let backend = set_backend(state, parts, |hand| ByHand { weight, ..hand }).await?;
    let (pool, its) = (&parts[0], backend.key());
    match weight {
        Some(weight) => tracing::info!(%pool, backend = %its, weight, "weight set by hand"),
        None => tracing::info!(%pool, backend = %its, "weight set by the file again"),
    }
    told(state, &backend)
}

/// Sets a listener's maintenance, or clears it.
pub(super) async fn set_maintenance<B>(request: Request<B>, parts: &Parts, state: &Rc<State>) -> Outcome
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let MaintenanceOrder { maintenance } = input::order(request).await?;
    let name = listener(&state.snapshot(), &parts[0])?;
    is_running(state)?;
    state.hand_mut().set_maintenance(&name, maintenance);
    follow(state).await?;
    match maintenance {
        Some(true) => tracing::warn!(listener = %name, "maintenance begun by hand: only staff comes in"),
        Some(false) => tracing::info!(listener = %name, "maintenance ended by hand"),
        None => tracing::info!(listener = %name, "maintenance set by the file again"),
    }
    let snapshot = state.snapshot();
    let listener = snapshot.listeners.get(&name).ok_or_else(|| no_listener(&snapshot, name.as_str()))?;
    Ok(reply::json(StatusCode::OK, &ListenerStatus::of(&name, listener)))
}

/// Changes what is set for the backend of a path, and has it count.
async fn set_backend(
    state: &State,
    parts: &Parts,
    change: impl FnOnce(ByHand) -> ByHand,
) -> Result<Arc<Backend>, Refusal> {
    let (pool, backend) = {
        let snapshot = state.snapshot();
        let in_pool = member(&snapshot, parts).map(|member| Arc::clone(&member.backend));
        let backend = in_pool.or_else(|refusal| removed(&snapshot, parts).ok_or(refusal))?;
        (backend.pool().clone(), backend)
    };
    is_running(state)?;
    let key = backend.key().to_string();
    let hand = change(state.hand().backend(&pool, &key));
    state.hand_mut().set_backend(&pool, &key, hand).map_err(|TooMany| {
        Refusal::new(StatusCode::CONFLICT, "too_many", "as many backends are set by hand as may be: clear some")
    })?;
    follow(state).await?;
    Ok(backend)
}

async fn follow(state: &State) -> Result<(), Refusal> {
    let (done, followed) = oneshot::channel();
    ask(state, control::Request::FollowHand(done)).await?;
    followed.await.map_err(|_unheard| ending())
}

/// On the way down nobody would hear of it any more.
fn is_running(state: &State) -> Result<(), Refusal> {
    if state.phase() == Phase::Running { Ok(()) } else { Err(ending()) }
}

/// A backend as it stands now.
fn told(state: &State, backend: &Arc<Backend>) -> Outcome {
    let (snapshot, now) = (state.snapshot(), Instant::now());
    let pool = snapshot.pools.get(backend.pool());
    let member = pool.and_then(|pool| pool.members().iter().find(|member| member.backend.key() == backend.key()));
    let status = member
        .map_or_else(|| BackendStatus::of_removed(backend, state, now), |member| BackendStatus::of(member, state, now));
    Ok(reply::json(StatusCode::OK, &status))
}

/// The backend of a path, in its pool.
fn member<'a>(snapshot: &'a Snapshot, parts: &Parts) -> Result<&'a Member, Refusal> {
    let (name, address) = (parts[0].as_str(), parts[1].as_str());
    let pool = snapshot.pools.values().find(|pool| pool.name().as_str() == name);
    let no_pool = || Refusal::no_such("no_such_pool", "pool", name, snapshot.pools.keys().map(Name::as_str));
    let pool = pool.ok_or_else(no_pool)?;
    let keys: Vec<_> = pool.members().iter().map(|member| member.backend.key().to_string()).collect();
    let place = keys
        .iter()
        .position(|key| key == address)
        .ok_or_else(|| Refusal::no_such("no_such_backend", "backend", address, keys.iter().map(String::as_str)))?;
    Ok(&pool.members()[place])
}

/// The backend of a path that has left its pool while sessions were on it.
fn removed(snapshot: &Snapshot, parts: &Parts) -> Option<Arc<Backend>> {
    let (pool, address) = (parts[0].as_str(), parts[1].as_str());
    let is_it = |backend: &Arc<Backend>| backend.pool().as_str() == pool && backend.key().to_string() == address;
    snapshot.backends.removed().into_iter().find(is_it)
}

fn listener(snapshot: &Snapshot, name: &str) -> Result<Name, Refusal> {
    let known = snapshot.listeners.keys().find(|known| known.as_str() == name);
    known.cloned().ok_or_else(|| no_listener(snapshot, name))
}

fn no_listener(snapshot: &Snapshot, name: &str) -> Refusal {
    Refusal::no_such("no_such_listener", "listener", name, snapshot.listeners.keys().map(Name::as_str))
}
