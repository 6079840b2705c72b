//! What concerns the process as a whole: its config, and its end.

use hyper::body::Body;
use hyper::{Request as HttpRequest, StatusCode};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::input;
use super::reply::{self, Outcome, Refusal};
use crate::config::model::LogLevel;
use crate::control::Request;
use crate::control::state::State;
use crate::control::view::{EffectiveConfig, Empty, LogStatus, Reloaded};

/// What runs, key by key.
pub(super) fn config(state: &State) -> Outcome {
    Ok(reply::json(StatusCode::OK, &EffectiveConfig::of(state)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelOrder {
    #[serde(deserialize_with = "input::said")]
    level: Option<String>,
}

/// Sets how much is logged, or leaves it to the file again.
pub(super) async fn set_log_level<B>(request: HttpRequest<B>, state: &State) -> Outcome
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let LevelOrder { level } = input::order(request).await?;
    let named = |word: String| {
        LogLevel::named(&word).ok_or_else(|| {
            let words = LogLevel::ALL.map(LogLevel::as_str).join(", ");
            Refusal::bad_request(format!("there is no level {word:?}; there are: {words}"))
        })
    };
    let level = level.map(named).transpose()?;
    state.telemetry().set_level_by_hand(level);
    let log = LogStatus::of(state);
    tracing::info!(level = log.level(), by = log.by(), "log level set");
    Ok(reply::json(StatusCode::OK, &log))
}

/// Reads the config file again.
pub(super) async fn reload(state: &State) -> Outcome {
    let (answer, answered) = oneshot::channel();
    ask(state, Request::Reload(Some(answer))).await?;
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
