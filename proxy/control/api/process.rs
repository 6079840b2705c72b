//! What concerns the process as a whole: its config, and its end.

use hyper::StatusCode;
use tokio::sync::oneshot;

use super::reply::{self, Outcome, Refusal};
use crate::control::Request;
use crate::control::state::State;
use crate::control::view::{EffectiveConfig, Empty, Reloaded};

/// What runs, key by key.
pub(super) fn config(state: &State) -> Outcome {
    Ok(reply::json(StatusCode::OK, &EffectiveConfig::of(state)))
}

/// Reads the config file again.
pub(super) async fn reload(state: &State) -> Outcome {
    let (answer, answered) = oneshot::channel();
    ask(state, Request::Reload(answer)).await?;
    match answered.await {
        Ok(Ok(())) => Ok(reply::json(StatusCode::OK, &Reloaded::of(state))),
        Ok(Err(problem)) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "config_refused", problem)),
        Err(_unheard) => Err(ending()),
    }
}

/// Begins the way down, as SIGTERM does.
pub(super) async fn drain(state: &State) -> Outcome {
    tracing::info!("asked to drain by the admin API");
    ask(state, Request::Shutdown).await?;
    Ok(reply::json(StatusCode::ACCEPTED, &Empty {}))
}

/// Has the control thread do something.
pub(super) async fn ask(state: &State, request: Request) -> Result<(), Refusal> {
    let requests = state.requests().ok_or_else(ending)?;
    requests.send(request).await.map_err(|_closed| ending())
}

/// It is too late for that.
pub(super) fn ending() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "the process is on its way down")
}
