//! `portti status`: what a running portti says of itself, for a person, a script or a health check.

use std::io;
use std::process::ExitCode;

use clap::Args;
use hyper::StatusCode;

use super::admin::Admin;
use super::ask::{Client, path};
use super::say;
use super::trouble::Trouble;

mod page;
mod verdict;

/// What to ask, and how to tell.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    admin: Admin,
    /// Print nothing: the exit code is 0 when it is ready (/readyz), else 1.
    #[arg(long, short)]
    quiet: bool,
    /// Print /api/v1/status as it comes.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Ask only whether it lives (/healthz): for checks that end what fails them. A full house or a drain is no reason to.
    #[arg(long, conflicts_with = "json")]
    live: bool,
}

impl Status {
    /// Asks, and tells.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let told = match self.admin.client() {
            Ok(client) => self.told(&client).await,
            Err(trouble) => Err(trouble),
        };
        match told {
            Ok((good, words)) => {
                if !self.quiet {
                    say(io::stdout(), words);
                }
                Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Err(_) if self.quiet => Ok(ExitCode::FAILURE),
            Err(trouble) => Err(trouble),
        }
    }

    /// Whether all is well, and what to print.
    async fn told(&self, client: &Client) -> Result<(bool, String), Trouble> {
        let verdict = client.look(if self.live { "/healthz" } else { "/readyz" }).await?;
        let good = verdict.status == StatusCode::OK;
        if self.quiet || self.live {
            return Ok((good, verdict.body));
        }
        let answer = client.look(&path(&["status"])).await?;
        if self.json && answer.status == StatusCode::OK {
            return Ok((good, format!("{}\n", answer.body.trim_end())));
        }
        let status = client.json(answer)?;
        let health = client.look("/health/deep").await?;
        // Another version may answer something else.
        let health = serde_json::from_str(&health.body).unwrap_or_default();
        let words = verdict.body.trim_end();
        let words = if good { verdict::of(words, &health) } else { words.to_owned() };
        Ok((good, page::of(&status, &words)))
    }
}
