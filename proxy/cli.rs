//! The `portti` command: what a person types, and what comes back.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{self, Start};
use crate::command::status;
use crate::config::{self, Loaded};
use crate::control::reload::log_warnings;
use crate::{demo, telemetry};

/// It could not start or run.
const FAILED: u8 = 1;
/// The config, or the command line, is not usable. Clap ends with the same code.
const BAD_CONFIG: u8 = 2;

/// A reverse proxy and load balancer that stands in front of game servers.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until SIGTERM or SIGINT, which drain it; a second one ends it at once. SIGHUP reloads.
    Run {
        /// The config file. It is watched, and reloaded when it changes.
        #[arg(long, short, value_name = "FILE", default_value = "portti.toml")]
        config: PathBuf,
    },
    /// Check a config file and say all that is wrong with it.
    Check {
        /// The config file.
        #[arg(value_name = "FILE", default_value = "portti.toml")]
        config: PathBuf,
    },
    /// Ask a running portti how it is. The exit code is 0 when it is ready, else 1.
    Status(status::Ask),
    /// Run the example config with small game servers and players, and tell what goes on. Ctrl-C ends it.
    Demo,
}

/// Does what the command line says. The exit code is 0 when done, 1 when it could not start or run, 2 when the config or
/// the command line is not usable.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config } => run(config),
        Command::Check { config } => check(&config),
        Command::Status(ask) => status::run(&ask),
        Command::Demo => demo::run(),
    }
}

fn run(path: PathBuf) -> ExitCode {
    let checked = config::read(&path).and_then(|content| Ok((config::check(&path, &content)?, content)));
    let (Loaded { config, warnings }, content) = match checked {
        Ok(checked) => checked,
        Err(problem) => return fail(BAD_CONFIG, problem),
    };
    let telemetry = telemetry::start(&config.log);
    log_warnings(&path, &warnings);
    let running = match app::start(Start { path, content, config, telemetry, owns_process: true }) {
        Ok(running) => running,
        Err(error) => return fail(FAILED, format_args!("portti: {error}")),
    };
    match running.wait() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_lost) => fail(FAILED, "portti: a worker thread was lost; the log says why"),
    }
}

fn check(path: &Path) -> ExitCode {
    match config::load(path) {
        Ok(Loaded { config, warnings }) => {
            say(io::stderr(), &warnings);
            let backends: usize = config.pools.iter().map(|pool| pool.backends.len()).sum();
            let (listeners, pools) = (config.listeners.len(), config.pools.len());
            let file = path.display();
            say(
                io::stdout(),
                format_args!("{file}: ok (listeners: {listeners}, pools: {pools}, backends: {backends})\n"),
            );
            ExitCode::SUCCESS
        }
        Err(problem) => fail(BAD_CONFIG, problem),
    }
}

fn fail(code: u8, problem: impl Display) -> ExitCode {
    say(io::stderr(), format_args!("{problem}\n"));
    ExitCode::from(code)
}

/// Writes to a person, who may have gone.
fn say(mut to: impl io::Write, what: impl Display) {
    let _gone = write!(to, "{what}");
}
