//! What the program needs to know, once a config file has been read, checked and completed.
//!
//! No field here means "use the default", no text stands for a choice, and every reference holds: a listener's pool
//! exists, a pool has backends. `lower` is the only maker of these types.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::scalar::{Address, Name};
use crate::pool::balance::Strategy;
use crate::pool::breaker;

/// One version of the config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Limits of the process as a whole.
    pub server: Server,
    /// Where the admin server listens; `None` is `bind = "off"`.
    pub admin: Option<SocketAddr>,
    /// What is logged, and how.
    pub log: Log,
    /// At least one, ordered by name.
    pub listeners: Vec<Listener>,
    /// At least one, ordered by name.
    pub pools: Vec<Pool>,
}

/// `[server]`: limits of the process as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Worker threads. Fixed at start.
    pub workers: NonZeroUsize,
    /// Live sessions over all listeners.
    pub max_connections: usize,
    /// After SIGTERM: how long sessions may go on once the listeners have closed.
    pub drain_timeout: Duration,
    /// After SIGTERM: how long `/readyz` answers 503 before the listeners close.
    pub shutdown_delay: Duration,
}

/// `[log]`: what is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// The shape of a line. Fixed at start.
    pub format: LogFormat,
    /// Whether each finished session leaves a line.
    pub access: bool,
}

/// How severe a log line must be to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What operators must act on.
    Error,
    /// What operators should know.
    Warn,
    /// What changed. The default.
    Info,
    /// Why something was decided.
    Debug,
    /// Everything.
    Trace,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON. The default.
    Auto,
    /// One object a line.
    Json,
    /// For people.
    Text,
}

/// `[listeners.NAME]`: addresses that clients connect to, and where their sessions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The section's name.
    pub name: Name,
    /// At least one, none twice, in the file's order.
    pub bind: Vec<SocketAddr>,
    /// What is spoken on it.
    pub mode: Mode,
    /// The pool that its sessions go to: one of [`Config::pools`].
    pub pool: Name,
    /// Whether another process may listen on the same addresses.
    pub reuse_port: bool,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes, passed on as they come.
    Tcp,
}

/// `[pools.NAME]`: backends that can stand in for each other, and how to treat them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The section's name.
    pub name: Name,
    /// How a backend is chosen.
    pub strategy: Strategy,
    /// At least one, no address twice, at least one with a weight, in the file's order.
    pub backends: Vec<Backend>,
    /// How long one connect may take.
    pub connect_timeout: Duration,
    /// The longest silence of a backend that has been sent bytes and has not answered yet; `None` is `"off"`.
    pub request_timeout: Option<Duration>,
    /// The longest silence in both directions; `None` is `"off"`.
    pub idle_timeout: Option<Duration>,
    /// How long a session may last; `None` is `"off"`.
    pub max_lifetime: Option<Duration>,
    /// Further backends tried when a connect fails.
    pub retries: u32,
    /// The wait before the first retry; doubles with each.
    pub retry_backoff: Duration,
    /// When a backend is left alone, and for how long.
    pub breaker: breaker::Rule,
}

/// One entry of `backends`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Where it listens.
    pub address: Address,
    /// Its share of new sessions relative to the pool's other backends; 0 takes none.
    pub weight: u16,
    /// Live sessions it may have through this proxy; `None` is without limit.
    pub max_connections: Option<u32>,
    /// Used only while no other backend is eligible.
    pub backup: bool,
}
