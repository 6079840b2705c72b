//! What an edit of the config file would do, told and not done.

use std::path::PathBuf;

use hyper::body::Body;
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::input;
use super::reply::{self, Outcome, Refusal};
use crate::config::diff::Change;
use crate::config::{self, scalar::Name};
use crate::control::preview::{self, Consequence, Preview};
use crate::control::state::State;

/// What stands for the edit in messages where it has no name.
const NAMELESS: &str = "edit";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    /// Where whoever asks has it, for messages; it is not read here.
    #[serde(default)]
    file: Option<String>,
}

#[derive(Debug, Serialize)]
struct Diff {
    changes: Vec<ChangeStatus>,
    listeners_opened: Vec<String>,
    listeners_closed: Vec<String>,
    backends_added: Vec<String>,
    backends_drained: Vec<String>,
    sessions_affected: u64,
    warnings: String,
}

#[derive(Debug, Serialize)]
struct ChangeStatus {
    text: String,
    kind: &'static str,
    sessions: u64,
    effect: &'static str,
    needs_restart: bool,
}

/// Looks at an edit.
pub(super) async fn diff<B>(request: Request<B>, state: &State) -> Outcome
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Named { file } = input::query(&request)?;
    let text = input::text(request, "application/toml", config::SIZE_MAX).await?;
    match preview::of(state, PathBuf::from(file.as_deref().unwrap_or(NAMELESS)), text).await {
        Ok(preview) => Ok(reply::json(StatusCode::OK, &Diff::of(preview))),
        Err(problem) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "config_refused", problem.to_string())),
    }
}

impl Diff {
    fn of(preview: Preview) -> Self {
        Self {
            changes: preview.changes.iter().map(ChangeStatus::of).collect(),
            listeners_opened: texts(&preview.opened),
            listeners_closed: texts(&preview.closed),
            backends_added: texts(&preview.added),
            backends_drained: texts(&preview.drained),
            sessions_affected: preview.affected,
            warnings: preview.warnings,
        }
    }
}

impl ChangeStatus {
    fn of(consequence: &Consequence) -> Self {
        let Consequence { change, sessions } = consequence;
        let (kind, effect) = words(change);
        Self { text: change.to_string(), kind, sessions: *sessions, effect, needs_restart: change.needs_restart() }
    }
}

/// What it is called, and what becomes of the live sessions that it touches: they go on, and nobody new comes. No change ends any.
fn words(change: &Change) -> (&'static str, &'static str) {
    match change {
        Change::ListenerAdded(_) => ("listener_added", "none"),
        Change::ListenerRemoved(_) => ("listener_removed", "drain"),
        Change::BindAdded(..) => ("bind_added", "none"),
        Change::BindRemoved(..) => ("bind_removed", "drain"),
        Change::PoolAdded(_) => ("pool_added", "none"),
        Change::PoolRemoved(_) => ("pool_removed", "drain"),
        Change::BackendAdded(..) => ("backend_added", "none"),
        Change::BackendRemoved(..) => ("backend_removed", "drain"),
        Change::Set(_) => ("set", "none"),
    }
}

fn texts<T: ToString>(list: &[(Name, T)]) -> Vec<String> {
    list.iter().map(|(name, what)| format!("{name} {}", what.to_string())).collect()
}
