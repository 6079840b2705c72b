//! The `portti` command: what a person types, and what comes back.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_blocking;

use crate::app::{self, Start, StartError};
use crate::command::ban::{Ban, Bans, Unban};
use crate::command::config::Config;
use crate::command::listener::Listener;
use crate::command::log_level::LogLevel;
use crate::command::manual::{Completions, Manual};
use crate::command::reload::Reload;
use crate::command::sessions::Sessions;
use crate::command::state::{Ready, TakeOut};
use crate::command::status::Status;
#[cfg(feature = "top")]
use crate::command::top::Top;
use crate::command::trouble::BAD_CONFIG;
use crate::command::weight::Weight;
use crate::command::{self, say};
use crate::config::{self, LoadError, Loaded, model};
use crate::control::names::{self, Unresolved};
use crate::control::reload::log_warnings;
use crate::signal::Signals;
use crate::{demo, descriptors, telemetry};

/// It could not start or run.
const FAILED: u8 = 1;

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
        /// Do not look whether names of backends resolve from here, which takes up to 2 s.
        #[arg(long)]
        no_dns: bool,
    },
    /// Ask a running portti how it is. The exit code is 0 when it is ready, else 1.
    Status(Status),
    /// Watch a running portti in the terminal, and take its backends out and in.
    #[cfg(feature = "top")]
    Top(Top),
    /// List who is connected, or end one session.
    Sessions(Sessions),
    /// Let no new sessions come to a backend; those that it has go on.
    Drain(TakeOut),
    /// Take a backend out to work on it: no new sessions, no health checks.
    Maintenance(TakeOut),
    /// Let a backend take sessions again.
    Ready(Ready),
    /// Set how many of its pool's sessions a backend gets.
    Weight(Weight),
    /// Let only staff in at a listener, or everybody.
    Listener(Listener),
    /// Let nobody in from an address or a network, at any listener.
    Ban(Ban),
    /// Lift a ban.
    Unban(Unban),
    /// List who is banned.
    Bans(Bans),
    /// Apply the config file now. The exit code is 2, and all that is wrong with it is told, if it is refused.
    Reload(Reload),
    /// Preview an edit of the config file, or show what runs.
    #[command(subcommand)]
    Config(Config),
    /// Set how much is logged.
    LogLevel(LogLevel),
    /// Run the example config with small game servers and players, and tell what goes on. Ctrl-C ends it.
    Demo,
    /// Print the script with which a shell completes portti's commands.
    Completions(Completions),
    /// Print or write the pages for man(1).
    Man(Manual),
}

/// Does what the command line says. The exit code is 0 when done, 1 when it could not start or run, 2 when the config or
/// the command line is not usable.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config } => run(config),
        Command::Check { config, no_dns } => check(&config, !no_dns),
        Command::Status(command) => command::run(command.run()),
        #[cfg(feature = "top")]
        Command::Top(command) => command::run(command.run()),
        Command::Sessions(command) => command::run(command.run()),
        Command::Drain(command) => command::run(command.run("drain")),
        Command::Maintenance(command) => command::run(command.run("maintenance")),
        Command::Ready(command) => command::run(command.run()),
        Command::Weight(command) => command::run(command.run()),
        Command::Listener(command) => command::run(command.run()),
        Command::Ban(command) => command::run(command.run()),
        Command::Unban(command) => command::run(command.run()),
        Command::Bans(command) => command::run(command.run()),
        Command::Reload(command) => command::run(command.run()),
        Command::Config(command) => command::run(command.run()),
        Command::LogLevel(command) => command::run(command.run()),
        Command::Demo => demo::run(),
        Command::Completions(command) => command.run(Arguments::command()),
        Command::Man(command) => command.run(Arguments::command()),
    }
}

fn run(path: PathBuf) -> ExitCode {
    let (signals, read) = match read(&path) {
        Ok(Some(read)) => read,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => return fail(FAILED, format_args!("portti: {}", StartError::System(error))),
    };
    let (content, Loaded { config, warnings }) = match read {
        Ok(read) => read,
        Err(problem) => return fail(BAD_CONFIG, problem),
    };
    let telemetry = match telemetry::start(&config.log) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(FAILED, format_args!("portti: {}", StartError::System(error))),
    };
    log_warnings(&path, &warnings);
    let running = match app::start(Start { path, content, config, telemetry, signals: Some(signals) }) {
        Ok(running) => running,
        Err(StartError::Stopped) => return ExitCode::SUCCESS,
        Err(error) => return fail(FAILED, format_args!("portti: {error}")),
    };
    match running.wait() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_lost) => fail(FAILED, "portti: a worker thread was lost; the log says why"),
    }
}

/// What was read of a config file, and what that means.
type Checked = Result<(Vec<u8>, Loaded), LoadError>;

/// Listens to signals, and then reads the config file. `None` if a signal has asked the process to end meanwhile, which a disk that
/// hangs does not prevent.
fn read(path: &Path) -> io::Result<Option<(Signals, Checked)>> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let path = path.to_owned();
    let read = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let reading = spawn_blocking(move || {
            let content = config::read(&path)?;
            let loaded = config::check(&path, &content)?;
            Ok((content, loaded))
        });
        tokio::select! {
            () = signals.shutdown() => Ok(None),
            read = reading => Ok(Some((signals, read.map_err(io::Error::other)?))),
        }
    });
    runtime.shutdown_background();
    read
}

fn check(path: &Path, with_names: bool) -> ExitCode {
    match config::load(path) {
        Ok(Loaded { config, warnings }) => {
            if !warnings.is_empty() {
                say(io::stderr(), format_args!("{warnings}\n"));
            }
            if let Some(shortage) = descriptors::shortage(&config, descriptors::hard_limit()) {
                say(io::stderr(), format_args!("warning: here, {shortage}\n"));
            }
            for name in if with_names { unresolved(&config) } else { Vec::new() } {
                say(io::stderr(), format_args!("warning: {name}\n"));
            }
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

/// Names of backends that do not resolve from here.
fn unresolved(config: &model::Config) -> Vec<Unresolved> {
    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => {
            let unresolved = runtime.block_on(names::unresolved(config, names::CHECK_PATIENCE));
            runtime.shutdown_background();
            unresolved
        }
        // What cannot be found out is no problem of the file.
        Err(_refused) => Vec::new(),
    }
}

fn fail(code: u8, problem: impl Display) -> ExitCode {
    say(io::stderr(), format_args!("{problem}\n"));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests;
