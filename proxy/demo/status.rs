//! What the admin server says, as anybody could read it with curl.

use std::fmt::Display;
use std::net::SocketAddr;

use hyper::StatusCode;
use serde_json::Value;

use super::failure::Failure;
use crate::command::ask::Client;

/// The pool of the story.
pub(super) const POOL: &str = "game";

/// What the story needs of `/api/v1/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) draining: bool,
    pub(super) sessions_active: u64,
    /// How many config files have been applied.
    pub(super) generation: u64,
    /// When a file was last applied or refused.
    pub(super) last_reload_at: String,
    /// Why it was refused.
    pub(super) last_reload_error: Option<String>,
    /// What it changes only after a restart.
    pub(super) needs_restart: Vec<String>,
    /// The backends of the story's pool.
    pub(super) backends: Vec<Backend>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) address: String,
    /// `closed`, `open` or `half_open`.
    pub(super) circuit: String,
    /// Sessions that were connected to it.
    pub(super) sessions_total: u64,
    /// Connects that it refused, and the like.
    pub(super) failures_total: u64,
}

impl Status {
    /// Asks for it.
    pub(super) async fn read(admin: SocketAddr) -> Result<Self, Failure> {
        let failed = |why: &dyn Display| {
            Failure::new(format_args!("http://{admin}/api/v1/status does not answer as it should: {why}"))
        };
        let answer = Client::new(admin.to_string()).look("/api/v1/status").await.map_err(|trouble| failed(&trouble))?;
        if answer.status != StatusCode::OK {
            return Err(failed(&answer.status));
        }
        let value: Value = serde_json::from_str(&answer.body).map_err(|error| failed(&error))?;
        Ok(Self::of(&value))
    }

    /// What is missing counts as nothing; then a wait for it says what was expected.
    fn of(status: &Value) -> Self {
        let reload = &status["config"]["last_reload"];
        let pools = status["pools"].as_array().into_iter().flatten();
        let backends = pools.filter(|pool| pool["name"] == POOL).flat_map(|pool| pool["backends"].as_array());
        Self {
            draining: status["state"] == "draining",
            sessions_active: number(&status["sessions_active"]),
            generation: number(&status["config"]["generation"]),
            last_reload_at: text(&reload["at"]),
            last_reload_error: reload["error"].as_str().map(str::to_owned),
            needs_restart: reload["needs_restart"].as_array().into_iter().flatten().map(text).collect(),
            backends: backends.flatten().map(Backend::of).collect(),
        }
    }

    /// Sessions that were connected to some backend.
    pub(super) fn sessions_total(&self) -> u64 {
        self.backends.iter().map(|backend| backend.sessions_total).sum()
    }

    /// A backend as it stands, if it is there.
    pub(super) fn backend(&self, address: &str) -> Option<&Backend> {
        self.backends.iter().find(|backend| backend.address == address)
    }

    /// The backends that have failed since `before`.
    pub(super) fn failed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a str> {
        let failures = |address| before.backend(address).map_or(0, |backend| backend.failures_total);
        let failed = self.backends.iter().filter(move |backend| backend.failures_total > failures(&backend.address));
        failed.map(|backend| backend.address.as_str())
    }
}

impl Backend {
    fn of(backend: &Value) -> Self {
        Self {
            address: text(&backend["address"]),
            circuit: text(&backend["circuit"]),
            sessions_total: number(&backend["sessions_total"]),
            failures_total: number(&backend["failures_total"]),
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_is_read_by_its_documented_names() {
        let backend = |address, failures| json!({"address": address, "circuit": "open", "sessions_total": 4, "failures_total": failures});
        let status = |failures| {
            Status::of(&json!({
                "state": "draining",
                "sessions_active": 3,
                "config": {"generation": 2, "last_reload": {"at": "now", "error": "why", "needs_restart": ["a.b"]}},
                "pools": [
                    {"name": "lobby", "backends": [backend("c:3", 9)]},
                    {"name": "game", "backends": [backend("a:1", 0), backend("b:2", failures)]},
                ],
            }))
        };
        let (before, after) = (status(1), status(2));
        assert!(after.draining);
        assert_eq!((after.sessions_active, after.generation, after.sessions_total()), (3, 2, 8));
        assert_eq!((after.last_reload_at.as_str(), after.last_reload_error.as_deref()), ("now", Some("why")));
        assert_eq!(after.needs_restart, ["a.b"]);
        assert_eq!(after.backend("b:2").unwrap().circuit, "open");
        assert_eq!(after.failed_since(&before).collect::<Vec<_>>(), ["b:2"]);
        assert_eq!(Status::of(&json!({})), Status::default());
    }
}
