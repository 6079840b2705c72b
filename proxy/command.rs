//! The commands that talk to a running portti, by its admin address.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use tokio::runtime::Builder;

mod admin;
pub(crate) mod ask;
mod backend;
pub(crate) mod ban;
pub(crate) mod config;
#[cfg(test)]
mod fake;
pub(crate) mod listener;
pub(crate) mod log_level;
pub(crate) mod manual;
pub(crate) mod reload;
pub(crate) mod sessions;
pub(crate) mod state;
pub(crate) mod status;
mod table;
#[cfg(feature = "top")]
pub(crate) mod top;
pub(crate) mod trouble;
mod units;
mod wait;
pub(crate) mod weight;

use self::trouble::Trouble;

/// Does what a command asks, and tells why it could not.
pub(crate) fn run(command: impl Future<Output = Result<ExitCode, Trouble>>) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Trouble::Io(error)),
    };
    let outcome = runtime.block_on(command);
    // A name that is being looked up keeps nobody waiting.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|trouble| fail(&trouble))
}

fn fail(trouble: &Trouble) -> ExitCode {
    say(io::stderr(), format_args!("{trouble}\n"));
    trouble.exit_code()
}

/// Writes to a person, who may have gone.
pub(crate) fn say(mut to: impl Write, what: impl Display) {
    let _gone = write!(to, "{what}");
}
