//! Requests by wrk, which many know, instead of by this program: it is run once to warm up, then once between two samples.

use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::record::Plan;

/// Where wrk is, and how it is used.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The program.
    #[arg(long)]
    program: PathBuf,
    /// The script that prints what it has measured: benches/load/wrk.lua.
    #[arg(long)]
    script: PathBuf,
    #[arg(long)]
    connections: usize,
}

/// Asks for the same again and again, on connections that are kept. The result is as [`crate::record::Recorder`] has it.
pub(super) fn run(target: SocketAddrV4, plan: &Plan, options: &Options) -> io::Result<Value> {
    request(target, plan.warm_up, options)?;
    let from = plan.cpus.sample()?;
    let printed = request(target, plan.interval, options)?;
    let to = plan.cpus.sample()?;
    result(&printed, plan.cpus.busy(&from, &to))
}

fn request(target: SocketAddrV4, time: Duration, options: &Options) -> io::Result<String> {
    let mut command = Command::new(&options.program);
    // One thread, as the client is in every workload.
    command.args(["--threads", "1", "--connections", &options.connections.to_string()]);
    command.args(["--duration", &format!("{}s", whole_seconds(time))]);
    command.arg("--script").arg(&options.script).arg(format!("http://{target}/"));
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("wrk ended with {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// wrk knows no parts of seconds.
fn whole_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

/// What wrk's last line says, and what follows from it.
fn result(printed: &str, busy: f64) -> io::Result<Value> {
    let mut result: Value = serde_json::from_str(printed.lines().next_back().unwrap_or_default())?;
    let number = |key: &str| result[key].as_f64().unwrap_or_default();
    let [ops, bytes] = [number("ops"), number("bytes")].map(|count| count / number("seconds"));
    result["ops_per_second"] = json!(ops);
    result["bytes_per_second"] = json!(bytes);
    result["busy_seconds"] = json!(busy);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        let result =
            result("Running 3s test\n  1 threads\n{\"ops\":600,\"seconds\":3.0,\"bytes\":6000}\n", 1.5).unwrap();
        assert_eq!(
            (result["ops_per_second"].as_f64(), result["bytes_per_second"].as_f64()),
            (Some(200.0), Some(2000.0))
        );
        assert_eq!((result["ops"].as_u64(), result["busy_seconds"].as_f64()), (Some(600), Some(1.5)));
        assert!(super::result("unable to connect\n", 0.0).is_err());
    }

    #[test]
    fn seconds_are_whole_and_at_least_one() {
        let rounded = [0, 600, 2000, 2500].map(|time| whole_seconds(Duration::from_millis(time)));
        assert_eq!(rounded, [1, 1, 2, 3]);
    }
}
