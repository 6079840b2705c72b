//! What the program needs to know, once a config file has been read, checked and completed.
//!
//! No field here means "use the default", no text stands for a choice, and every reference holds: a listener's pool
//! exists, a pool has backends. `lower` is the only maker of these types.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

mod admin;
mod ejection;
mod http;
mod messages;
mod tls;

pub use self::admin::{AdminServer, Token, TokenError};
pub use self::ejection::EjectionLimit;
pub use self::http::{Http, HttpRoute, PlayerKey, Protocol, Requests};
pub use self::messages::{Language, Messages, Occasion};
pub use self::tls::{Certificate, ClientAuth, Encryption, Material, Route, Termination, TlsVersion, Trust};
use super::scalar::{Address, Endpoint, Expect, Name, Rate, Share};
use crate::admission::acl::Networks;
use crate::admission::addresses::PerAddress;
use crate::admission::level::{self, Level};
use crate::admission::{ban, pace, reconnect};
use crate::net::proxy_protocol::Version;
use crate::pool::balance::Strategy;
use crate::pool::{breaker, health};
use crate::relay::Liveness;

/// One version of the config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Limits of the process as a whole.
    pub server: Server,
    /// The admin server, and who may use it.
    pub admin: AdminServer,
    /// What is logged, and how.
    pub log: Log,
    /// Where spans go.
    pub tracing: Tracing,
    /// How host names of backends are looked up.
    pub dns: Dns,
    /// What outlives the process.
    pub state: State,
    /// At least one, ordered by name.
    pub listeners: Vec<Listener>,
    /// At least one, ordered by name.
    pub pools: Vec<Pool>,
}

/// `[state]`: what outlives the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it is kept; `None` is nowhere.
    pub file: Option<PathBuf>,
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
    /// After SIGTERM: how fast the sessions that are left at half time are ended, at most; `None` is all at the end.
    pub drain_pace: Option<Rate>,
    /// After SIGTERM: how long `/readyz` answers 503 before the listeners close.
    pub shutdown_delay: Duration,
    /// How full the house is called what.
    pub levels: level::Shares,
    /// Who counts as reconnecting.
    pub reconnect: reconnect::Rule,
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

impl LogLevel {
    /// Every level, the most severe first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The level that has this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
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

/// `[tracing]`: spans of requests and sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// The collector that takes them; `None` is `otlp = "off"`.
    pub otlp: Option<Endpoint>,
    /// Which of the traces that begin here are kept.
    pub sample: Share,
}

/// `[dns]`: how host names of backends are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Whom to ask; empty is the system's choice.
    pub servers: Vec<SocketAddr>,
    /// How long one answer may take.
    pub timeout: Duration,
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
    /// What is done with requests, if requests are what is spoken.
    pub http: Option<Http>,
    /// The pool that its sessions go to: one of [`Config::pools`]. `None` only where there are `routes`.
    pub pool: Option<Name>,
    /// Where TLS clients go instead, by what they ask for: the first that fits.
    pub routes: Vec<Route>,
    /// Clients speak TLS, and it ends here; `None` is that bytes are passed on as they come.
    pub tls: Option<Termination>,
    /// Whether another process may listen on the same addresses.
    pub reuse_port: bool,
    /// A part of the clients goes to another pool.
    pub rollout: Option<Rollout>,
    /// Which balancers in front of it tell who their clients are; `None` is none.
    pub accept_proxy: Option<AcceptProxy>,
    /// How long a client may take with what must be known before a backend is chosen.
    pub preread_timeout: Duration,
    /// Whom it lets in.
    pub admission: Admission,
    /// What it says to those who may not stay; `None` is nothing.
    pub messages: Option<Arc<Messages>>,
}

impl Listener {
    /// The pools that its sessions and requests go to, as far as it names them itself.
    pub fn pools(&self) -> impl Iterator<Item = &Name> {
        let routes = self.routes.iter().map(|route| &route.pool);
        let requests = self.http.iter().flat_map(|http| &http.routes).map(|route| &route.pool);
        let rollout = self.rollout.iter().map(|rollout| &rollout.pool);
        self.pool.iter().chain(routes).chain(requests).chain(rollout)
    }
}

/// `accept_proxy` of a listener: balancers that speak the PROXY protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptProxy {
    /// Where they are: at least one network.
    pub from: Vec<IpNet>,
    /// Whether connections from elsewhere are refused; else their bytes are data.
    pub required: bool,
}

/// Whom a listener lets in: keys of `[listeners.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// From this level on, newcomers are shed.
    pub shed_at: Level,
    /// Only `staff` may come in.
    pub maintenance: bool,
    /// Who may come in during maintenance.
    pub staff: Vec<IpNet>,
    /// Whom limits by address do not concern.
    pub trusted: Vec<IpNet>,
    /// Who may, if there are any.
    pub allow: Vec<IpNet>,
    /// Who may not.
    pub deny: Vec<IpNet>,
    /// A file of further networks that may not.
    pub deny_file: Option<PathBuf>,
    /// What it holds.
    pub deny_list: Arc<Networks>,
    /// Whether networks that are denied may be as wide as a slip would make them.
    pub deny_wide_networks: bool,
    /// What one address may have.
    pub per_address: PerAddress,
    /// How fast clients are let in; `None` is `"off"`.
    pub arrivals: Option<pace::Rule>,
    /// How fast TLS handshakes are begun; `None` is `"off"`.
    pub handshakes: Option<pace::Rule>,
    /// How many live sessions it may have.
    pub slots: SlotLimits,
    /// What lists, maintenance and limits by address would refuse is counted, and let in.
    pub dry_run: bool,
    /// When they ban an address; `None` is `"off"`.
    pub ban: Option<ban::Rule>,
}

/// How many live sessions a listener may have: `max_connections` and `reserved` of `[listeners.NAME]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotLimits {
    /// Live sessions; `None` is as many as the proxy may have.
    pub max_connections: Option<usize>,
    /// So many of them can only be those of staff and trusted clients.
    pub reserved: usize,
}

/// `[listeners.NAME.rollout]`: the part of the clients that goes to another pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Where they go: one of [`Config::pools`].
    pub pool: Name,
    /// How many of all clients, chosen by their address.
    pub share: Share,
    /// These go in any case.
    pub clients: Vec<IpNet>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes, passed on as they come.
    Tcp,
    /// Requests.
    Http,
}

/// `[pools.NAME]`: backends that can stand in for each other, and how to treat them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The section's name.
    pub name: Name,
    /// How a backend is chosen.
    pub strategy: Strategy,
    /// At least one, no address twice, in the file's order. A host name may stand for any
    /// number of backends.
    pub backends: Vec<Backend>,
    /// How long one connect may take.
    pub connect_timeout: Duration,
    /// The longest time from the first byte that a backend is sent to its own first byte; `None` is `"off"`.
    pub request_timeout: Option<Duration>,
    /// The longest silence in both directions; `None` is `"off"`.
    pub idle_timeout: Option<Duration>,
    /// How long a session may last; `None` is `"off"`.
    pub max_lifetime: Option<Duration>,
    /// The longest silence of one side after the other's end was passed on to it; `None` is `"off"`.
    pub half_close_timeout: Option<Duration>,
    /// When a peer that does not answer counts as gone: `tcp_user_timeout` and `keepalive`.
    pub liveness: Liveness,
    /// Further backends tried when a connect fails.
    pub retries: u32,
    /// The wait before the first retry; doubles with each.
    pub retry_backoff: Duration,
    /// When a backend is left alone, and for how long.
    pub breaker: breaker::Rule,
    /// What concerns requests alone.
    pub requests: Requests,
    /// How many of the backends may be out at once, by circuit or health; further bad ones stay in.
    pub max_ejected: EjectionLimit,
    /// How backends are told who their clients are; `None` is not at all.
    pub send_proxy: Option<Version>,
    /// Backends are spoken to by TLS; `None` is as clients speak.
    pub tls: Option<Encryption>,
    /// Over how long a backend that comes up takes on its weight; `None` is at once.
    pub slow_start: Option<Duration>,
    /// When no backend is eligible, those that nobody has taken out by hand are tried anyway.
    pub last_resort: bool,
    /// Where sessions go when this pool has no place for them: one of [`Config::pools`]. No chain of these is a loop.
    pub fallback: Option<Name>,
    /// Where sessions wait when there is no place for them; `None` is `"off"`.
    pub queue: Option<Queue>,
    /// How backends are checked; `None` is not at all.
    pub health: Option<Health>,
    /// How names of backends are followed.
    pub discovery: Discovery,
}

/// `[pools.NAME.discovery]`: how names of backends are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discovery {
    /// How long backends that an edit removes stay while names that it brings have no answer yet.
    pub resolve_grace: Duration,
}

/// `[pools.NAME.queue]`: where sessions wait for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait.
    pub size: NonZeroU32,
    /// How long each may wait.
    pub timeout: Duration,
}

/// `[pools.NAME.health]`: how backends are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is done to find out.
    pub check: Check,
    /// From the start of one check to that of the next; spread by chance.
    pub interval: Duration,
    /// How long a check may take, from connect to verdict.
    pub timeout: Duration,
    /// When results change the verdict on a backend.
    pub rule: health::Rule,
    /// Where to connect to, if not to the backend's own port.
    pub port: Option<u16>,
    /// As the pool's `send_proxy`: checks begin with a header too, which says that they come from nobody.
    pub introduced: Option<Version>,
    /// What becomes of the sessions of a backend that goes down.
    pub on_down: OnDown,
}

/// What a health check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Connects.
    Tcp,
    /// Sends, and waits for an answer.
    Exchange {
        /// What is sent first; may be empty.
        send: Vec<u8>,
        /// What the answer must look like.
        expect: Expect,
    },
    /// Asks for a page.
    Http {
        /// With a slash in front.
        path: String,
        /// What is well: at least one.
        status: Vec<u16>,
    },
    /// Asks a Minecraft server (Java edition) for its status, as the game's list of servers does.
    Minecraft,
}

/// What becomes of the sessions of a backend that goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDown {
    /// They go on. The default.
    Keep,
    /// They are ended.
    Close,
}

/// One entry of `backends`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Where it listens, or under which name to find out.
    pub address: Address,
    /// Its share of new sessions relative to the pool's other backends; with 0 it is used only while no other can be.
    pub weight: u16,
    /// Live sessions it may have through this proxy; `None` is without limit.
    pub max_connections: Option<u32>,
    /// Used only while no other backend is eligible.
    pub backup: bool,
}
