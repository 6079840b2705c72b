//! The `portti` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    portti::cli::main()
}
