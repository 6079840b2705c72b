//! `portti listener`: whom a listener lets in.

use std::io;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use hyper::Method;
use serde_json::{Value, json};

use super::admin::Admin;
use super::ask::{Body, path};
use super::say;
use super::trouble::Trouble;

/// Closes a door to all but staff, by hand.
#[derive(Debug, Args)]
pub(crate) struct Listener {
    /// The listener's name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Whom it lets in. Who plays, plays on.
    #[arg(value_enum, value_name = "STATE")]
    state: State,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    /// Only `staff`.
    Maintenance,
    /// Everybody, whatever the file says.
    Open,
    /// Whom the file says.
    File,
}

impl Listener {
    /// Sets it.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let maintenance = match self.state {
            State::Maintenance => Some(true),
            State::Open => Some(false),
            State::File => None,
        };
        let (path, body) = (path(&["listeners", &self.name, "maintenance"]), json!({"maintenance": maintenance}));
        let now = self.admin.client()?.ask(Method::POST, &path, Body::Json(body)).await?;
        say(io::stdout(), format_args!("listener {} {}\n", self.name, words(&now)));
        Ok(ExitCode::SUCCESS)
    }
}

fn words(now: &Value) -> String {
    let whom = if now["maintenance"] == true { "lets only staff in" } else { "is open" };
    let by = if now["maintenance_by"] == "hand" { "by hand" } else { "as the file says" };
    format!("{whom}, {by}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_whom_it_lets_in_and_who_says_so() {
        assert_eq!(words(&json!({"maintenance": true, "maintenance_by": "hand"})), "lets only staff in, by hand");
        assert_eq!(words(&json!({"maintenance": false, "maintenance_by": "file"})), "is open, as the file says");
    }
}
