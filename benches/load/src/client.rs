//! The client: one workload on one address.

mod bulk;
mod burst;
mod cps;
mod cycle;
mod flood;
mod game;
mod idle;
mod ping_pong;
mod wait;
mod wrk;

use std::io::{self, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cpu::CpuSet;
use crate::net;
use crate::record::Plan;

/// How long the event loops wait at most, so that they notice in time that the interval is over.
const TURN: Duration = Duration::from_millis(10);

/// What to do to which address.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    workload: Workload,
    /// The address under test.
    #[arg(long)]
    target: SocketAddrV4,
    /// The address speaks TLS: of ping-pong, cps and wait.
    #[arg(long)]
    tls: bool,
    /// Seconds of work before measuring.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds to measure.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// CPUs whose busy time is counted, such as "0,1".
    #[arg(long)]
    cpus: CpuSet,
}

#[derive(Debug, Subcommand)]
enum Workload {
    /// No workload: waits until the address serves.
    Wait {
        /// Which of the backend's ports is behind it.
        #[arg(long)]
        port: wait::Port,
        /// Seconds to keep trying.
        #[arg(long, default_value_t = 10.0)]
        patience: f64,
    },
    /// Each connection sends a message, waits for it to come back, and sends the next.
    PingPong {
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        size: usize,
        /// The messages go by WebSocket. Not with --tls.
        #[arg(long)]
        web_socket: bool,
    },
    /// Requests, by the program wrk.
    Wrk(wrk::Options),
    /// Reads as fast as it can.
    BulkDown {
        #[arg(long)]
        connections: usize,
    },
    /// Writes as fast as it can.
    BulkUp {
        #[arg(long)]
        connections: usize,
    },
    /// Connects, does one round trip, closes, begins anew.
    Cps {
        /// Connections under way at once.
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        size: usize,
    },
    /// Players that send at a fixed rate, whatever comes back.
    Game {
        #[arg(long)]
        players: u32,
        #[arg(long)]
        size: usize,
        /// Messages a second of each player.
        #[arg(long)]
        rate: f64,
    },
    /// Opens sessions with one round trip each and holds them; goes to the next count at each line on standard input.
    Idle {
        /// Sessions to hold, in rising order.
        #[arg(long, value_delimiter = ',')]
        sessions: Vec<u32>,
    },
    /// One address that connects again and again, and says nothing.
    Flood {
        /// Connections a second.
        #[arg(long)]
        rate: f64,
    },
    /// Opens all connections at once, with one round trip each.
    Burst {
        #[arg(long)]
        connections: u32,
        #[arg(long)]
        size: usize,
    },
}

/// Runs the workload and prints its result.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    net::raise_descriptor_limit()?;
    let target = options.target;
    let plan = Plan {
        warm_up: Duration::from_secs_f64(options.warm_up),
        interval: Duration::from_secs_f64(options.seconds),
        cpus: options.cpus.clone(),
    };
    let recorder = match options.workload {
        Workload::Wait { port, patience } => {
            return wait::run((target, options.tls), port, Duration::from_secs_f64(patience));
        }
        Workload::PingPong { connections, size, web_socket: false } => {
            ping_pong::run((target, options.tls), &plan, connections, size)
        }
        Workload::PingPong { connections, size, web_socket: true } => {
            ping_pong::run_by_web_socket(target, &plan, connections, size)
        }
        Workload::Wrk(ref options) => return writeln!(io::stdout(), "{}", wrk::run(target, &plan, options)?),
        Workload::BulkDown { connections } => bulk::run(target, &plan, bulk::Direction::Down, connections),
        Workload::BulkUp { connections } => bulk::run(target, &plan, bulk::Direction::Up, connections),
        Workload::Cps { connections, size } => cps::run((target, options.tls), &plan, connections, size),
        Workload::Game { players, size, rate } => game::run(target, &plan, game::Pace { players, rate }, size),
        Workload::Idle { ref sessions } => return idle::run(target, sessions),
        Workload::Flood { rate } => flood::run(target, &plan, rate),
        Workload::Burst { connections, size } => burst::run(target, &plan, connections, size),
    }?;
    writeln!(io::stdout(), "{}", recorder.result())
}

/// Connections that stay for the whole workload.
fn connect_all(target: SocketAddrV4, count: usize) -> io::Result<Vec<TcpStream>> {
    let connect = |number| {
        let stream = net::connect(target, number)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    (0..u32::try_from(count).unwrap_or(u32::MAX)).map(connect).collect()
}
