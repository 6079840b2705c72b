//! `portti log-level`: how much is logged, until it is set again or the process ends.

use std::io;
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::admin::Admin;
use super::ask::{Body, path};
use super::say;
use super::table::cell;
use super::trouble::Trouble;

/// Sets the level of the log by hand.
#[derive(Debug, Args)]
pub(crate) struct LogLevel {
    /// `error`, `warn`, `info`, `debug`, `trace`; or `file` for what the config file says.
    #[arg(value_name = "LEVEL")]
    level: String,
    #[command(flatten)]
    admin: Admin,
}

impl LogLevel {
    /// Sets it.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let level = if self.level == "file" { Value::Null } else { self.level.as_str().into() };
        let body = Body::Json(json!({"level": level}));
        let now = self.admin.client()?.ask(Method::POST, &path(&["log"]), body).await?;
        say(io::stdout(), format_args!("the log's level is {}, set by {}\n", cell(&now["level"]), by(&now["by"])));
        Ok(ExitCode::SUCCESS)
    }
}

/// Whose word it is.
fn by(by: &Value) -> String {
    match by.as_str() {
        Some("file") => "the file".to_owned(),
        Some("RUST_LOG") => "RUST_LOG".to_owned(),
        _ => "hand".to_owned(),
    }
}
