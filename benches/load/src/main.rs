//! The two ends of the benchmark: the backend that a proxy stands in front of, and the client that loads it.
//!
//! Both are one thread around epoll, so that what they cost is small, steady, and the same for every contestant.

mod backend;
mod channel;
mod client;
mod cpu;
mod http;
mod net;
mod record;
mod web_socket;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The load generator and the backend of portti's benchmark.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves on a port for each kind of work, and prints where; ends when standard input does.
    Backend(backend::Options),
    /// Puts one workload on an address and prints what it measured, as one line of JSON.
    Client(client::Options),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Backend(options) => backend::run(&options),
        Command::Client(options) => client::run(&options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
