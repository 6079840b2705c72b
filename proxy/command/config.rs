//! `portti config diff` and `config show`: what an edit would do, and what runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use super::admin::Admin;
use super::ask::{Body, path, query};
use super::say;
use super::table::{cell, rows};
use super::trouble::Trouble;
use super::units::count;

/// An edit would end live sessions, or their backends take nobody new.
const SOMEBODY_AFFECTED: u8 = 3;

/// What to do with the config.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say what an edit of the config file would do to a running portti, and do nothing.
    ///
    /// The exit code is 0 if no live session is affected, 3 if one is, 2 if the file would be refused, 1 without an answer.
    Diff(Diff),
    /// Show what runs: every key with its value, defaults included. Secrets are masked.
    Show(Show),
}

/// An edit that is to be looked at.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The edited file. Paths in it begin at the folder of the file that runs.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the answer as it comes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

/// What runs.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Print /api/v1/config as it comes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Config {
    /// Does it.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        match self {
            Self::Diff(diff) => diff.run().await,
            Self::Show(show) => show.run().await,
        }
    }
}

impl Diff {
    async fn run(&self) -> Result<ExitCode, Trouble> {
        let text = read(&self.file)?;
        let name = self.file.display().to_string();
        let path = path(&["config", "diff"]) + &query(&[("file", Some(name))]);
        let diff = self.admin.client()?.ask(Method::POST, &path, Body::Toml(&text)).await?;
        let warnings = diff["warnings"].as_str().unwrap_or_default().trim_end();
        if !warnings.is_empty() {
            say(io::stderr(), format_args!("{warnings}\n\n"));
        }
        say(io::stdout(), if self.json { format!("{diff}\n") } else { changes(&diff) });
        Ok(if affected(&diff) == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOMEBODY_AFFECTED) })
    }
}

impl Show {
    async fn run(&self) -> Result<ExitCode, Trouble> {
        let config = self.admin.client()?.get(&path(&["config"])).await?;
        say(io::stdout(), if self.json { format!("{config}\n") } else { effective(&config) });
        Ok(ExitCode::SUCCESS)
    }
}

fn read(file: &Path) -> Result<String, Trouble> {
    fs::read_to_string(file).map_err(|error| Trouble::Unreadable { file: file.to_owned(), error })
}

fn affected(diff: &Value) -> u64 {
    diff["sessions_affected"].as_u64().unwrap_or_default()
}

/// A line for each change, with the live sessions that it touches, and the sum.
fn changes(diff: &Value) -> String {
    let mut page: String = rows(&diff["changes"]).map(change).collect();
    page += &match (page.is_empty(), affected(diff)) {
        (true, _) => "nothing would change\n".to_owned(),
        (false, 0) => "\nno live session is affected\n".to_owned(),
        (false, sessions) => format!("\naffected: {}\n", count(sessions, "live session")),
    };
    page
}

fn change(change: &Value) -> String {
    let sessions = change["sessions"].as_u64().unwrap_or_default();
    let touched = match change["effect"].as_str() {
        _ if sessions == 0 => String::new(),
        Some("close") => format!(" ({} would end)", count(sessions, "session")),
        Some("drain") => format!(" ({} would go on, and nobody new come)", count(sessions, "session")),
        _ => format!(" ({} now)", count(sessions, "session")),
    };
    format!("{}{touched}\n", cell(&change["text"]))
}

/// As the file would write it, a key on each line.
fn effective(config: &Value) -> String {
    let head = format!("# {}, generation {}\n", cell(&config["path"]), cell(&config["generation"]));
    let keys = config["effective"].as_object().into_iter().flatten();
    keys.fold(head, |page, (key, value)| page + &format!("{key} = {}\n", cell(value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(effect: &str, sessions: u64) -> String {
        change(&json!({"text": "what changes", "effect": effect, "sessions": sessions}))
    }

    #[test]
    fn a_change_is_told_with_the_sessions_that_it_touches() {
        assert_eq!(told("drain", 0), "what changes\n");
        assert_eq!(told("drain", 1), "what changes (1 session would go on, and nobody new come)\n");
        assert_eq!(told("close", 2), "what changes (2 sessions would end)\n");
        assert_eq!(told("none", 2), "what changes (2 sessions now)\n");
    }

    #[test]
    fn the_sum_says_whether_anybody_is_affected() {
        let change = json!({"text": "a", "effect": "none", "sessions": 0});
        let diff = |affected: u64| changes(&json!({"changes": [change], "sessions_affected": affected}));
        assert_eq!(diff(0), "a\n\nno live session is affected\n");
        assert_eq!(diff(3), "a\n\naffected: 3 live sessions\n");
        assert_eq!(changes(&json!({"changes": [], "sessions_affected": 0})), "nothing would change\n");
    }

    #[test]
    fn what_runs_is_told_key_by_key() {
        let config = json!({"path": "portti.toml", "generation": 2,
            "effective": {"server.workers": "2", "pools.game.connect_timeout": "\"5s\""}});
        let expected = "# portti.toml, generation 2\npools.game.connect_timeout = \"5s\"\nserver.workers = 2\n";
        assert_eq!(effective(&config), expected);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_bad_file() {
        let trouble = read(Path::new("does/not/exist.toml")).unwrap_err();
        assert!(trouble.to_string().starts_with("portti: cannot read does/not/exist.toml: "), "{trouble}");
        assert_eq!(trouble.exit_code(), ExitCode::from(2));
    }
}
