//! `portti drain`, `ready` and `maintenance`: whether a backend takes anybody new.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::admin::Admin;
use super::ask::{Body, Client};
use super::backend::Backend;
use super::say;
use super::trouble::Trouble;
use super::units::count;
use super::wait::Wait;

/// A backend that is to take nobody new.
#[derive(Debug, Args)]
pub(crate) struct TakeOut {
    #[command(flatten)]
    backend: Backend,
    /// End the sessions that it has. Without this they go on.
    #[arg(long)]
    close: bool,
    /// Wait until its last session has gone: the exit code is 0 then.
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this, such as 30m: the exit code is 1 then. It goes on taking nobody new.
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    admin: Admin,
}

/// A backend that is to take sessions again.
#[derive(Debug, Args)]
pub(crate) struct Ready {
    #[command(flatten)]
    backend: Backend,
    #[command(flatten)]
    admin: Admin,
}

impl TakeOut {
    /// Sets this state, and waits if asked to.
    pub(crate) async fn run(&self, state: &str) -> Result<ExitCode, Trouble> {
        let client = self.admin.client()?;
        let now = set(&client, &self.backend, &self.order(state)).await?;
        say(io::stdout(), format_args!("{}\n", words(&self.backend, &now)));
        if !self.wait {
            return Ok(ExitCode::SUCCESS);
        }
        Wait::new(&client, &self.backend, self.timeout).run(&now).await
    }

    fn order(&self, state: &str) -> Value {
        if self.close { json!({"state": state, "close": true}) } else { json!({"state": state}) }
    }
}

impl Ready {
    /// Sets it.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let now = set(&self.admin.client()?, &self.backend, &json!({"state": "ready"})).await?;
        say(io::stdout(), format_args!("{}\n", words(&self.backend, &now)));
        Ok(ExitCode::SUCCESS)
    }
}

/// Sets the state; how the backend stands then.
pub(super) async fn set(client: &Client, backend: &Backend, state: &Value) -> Result<Value, Trouble> {
    client.ask(Method::POST, &backend.path("state"), Body::Json(state.clone())).await
}

/// How a backend stands after its state was set.
pub(super) fn words(backend: &Backend, now: &Value) -> String {
    let sessions = count(now["sessions_active"].as_u64().unwrap_or_default(), "session");
    match (now["admin"].as_str(), now["eligible"].as_bool()) {
        (Some("drain"), _) => format!("{backend} takes nobody new; it has {sessions}"),
        (Some("maintenance"), _) => {
            format!("{backend} is in maintenance: it takes nobody new, and is not checked; it has {sessions}")
        }
        _ if now["removed"] == true => {
            format!("{backend} is no longer in its pool: it takes nobody new; it has {sessions}")
        }
        (_, Some(true)) => format!("{backend} takes sessions; it has {sessions}"),
        (_, _) => format!("{backend} is ready, but takes nobody yet: portti status says why; it has {sessions}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::fake;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        out: TakeOut,
    }

    #[test]
    fn an_order_ends_sessions_only_if_it_says_so() {
        let order = |line: &[&str]| Line::parse_from([&["drain", "game", "a:1"], line].concat()).out.order("drain");
        assert_eq!(order(&[]), json!({"state": "drain"}));
        assert_eq!(order(&["--close", "--wait", "--timeout", "30m"]), json!({"state": "drain", "close": true}));
        assert!(Line::try_parse_from(["drain", "game", "a:1", "--timeout", "30m"]).is_err(), "there is no wait");
    }

    fn backend() -> Backend {
        Backend { pool: "game".to_owned(), address: "[::1]:7".to_owned() }
    }

    #[test]
    fn what_was_set_is_told() {
        let told = |now| words(&backend(), &now);
        let cases = [
            (json!({"admin": "drain", "sessions_active": 1}), "takes nobody new; it has 1 session"),
            (json!({"admin": "maintenance", "sessions_active": 0}), "and is not checked; it has 0 sessions"),
            (
                json!({"admin": "ready", "eligible": true, "sessions_active": 2}),
                "[::1]:7 of pool game takes sessions; it has 2 sessions",
            ),
            (
                json!({"admin": "ready", "eligible": false, "removed": true, "sessions_active": 2}),
                "is no longer in its pool: it takes nobody new; it has 2 sessions",
            ),
            (
                json!({"admin": "ready", "eligible": false}),
                "takes nobody yet: portti status says why; it has 0 sessions",
            ),
        ];
        for (now, words) in cases {
            assert!(told(now.clone()).ends_with(words), "{}", told(now));
        }
    }

    #[test]
    fn the_state_is_set_where_the_backend_is() {
        fake::with_answer(json!({"admin": "drain"}), async |client, journal| {
            set(&client, &backend(), &json!({"state": "drain"})).await.unwrap();
            let asked = journal.last();
            assert_eq!(asked.line, "POST /api/v1/pools/game/backends/%5B%3A%3A1%5D%3A7/state");
            assert_eq!(asked.body, r#"{"state":"drain"}"#);
        });
    }
}
