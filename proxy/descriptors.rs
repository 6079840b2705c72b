//! How many file descriptors a config needs, and how many the operating system gives: the limit on open files (RLIMIT_NOFILE).

use std::collections::BTreeSet;
use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::model::{Config, Listener};
use crate::config::scalar::Name;
use crate::session::FAREWELLS;

/// A session's two sockets: the client's and the backend's.
const PER_SESSION: u64 = 2;

/// What a worker's runtime takes: epoll, an eventfd, and a socket pair for signals, rounded up.
const PER_WORKER: u64 = 8;

/// The admin server's listener and its clients, 64 of them at once.
const ADMIN: u64 = 65;

/// Health checks at once.
const CHECKS: u64 = 64;

/// Everything else: name lookups, the log, watches of files, the state file, files that are read for a reload, spans, and some to
/// spare.
const SPARE: u64 = 128;

/// Descriptors that a config may need at once, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// For live sessions: `server.max_connections` of them.
    pub sessions: u64,
    /// For listening sockets: one for each address and worker.
    pub listeners: u64,
    /// For connections to backends that are kept for the next request.
    pub warm: u64,
    /// For everything else.
    pub other: u64,
}

/// The limit on open files is lower than what a config needs. Displays as a sentence that says what to raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    needs: Needs,
    limit: u64,
    max_connections: u64,
}

impl Needs {
    /// What a config needs.
    pub fn of(config: &Config) -> Self {
        let workers = config.server.workers.get() as u64;
        let addresses: usize = config.listeners.iter().map(|listener| listener.bind.len()).sum();
        let speaks = config.listeners.iter().any(|listener| listener.messages.is_some());
        let farewells = if speaks { workers * FAREWELLS as u64 } else { 0 };
        let max_connections = config.server.max_connections as u64;
        Self {
            sessions: max_connections * PER_SESSION,
            listeners: addresses as u64 * workers,
            // A connection that is kept was in use by a request before, and seldom are there more of these than sessions.
            warm: warm(config, workers).min(max_connections),
            other: farewells + workers * PER_WORKER + ADMIN + CHECKS + SPARE,
        }
    }

    /// All of them.
    pub fn total(self) -> u64 {
        let Self { sessions, listeners, warm, other } = self;
        sessions + listeners + warm + other
    }

    /// How many sessions there can be within a limit; 0 where it leaves no room for any.
    fn sessions_within(self, limit: u64) -> u64 {
        let beside = self.total() - self.sessions;
        limit.saturating_sub(beside) / PER_SESSION
    }
}

/// Connections to backends that all workers may keep for the next request.
fn warm(config: &Config, workers: u64) -> u64 {
    let pools = pools_of_requests(config);
    let pools = config.pools.iter().filter(|pool| pools.contains(&pool.name));
    pools.map(|pool| workers * pool.backends.len() as u64 * u64::from(pool.requests.warm_connections)).sum()
}

/// The pools that requests may go to, those that stand in for others included.
fn pools_of_requests(config: &Config) -> BTreeSet<&Name> {
    let mut pools: BTreeSet<&Name> = config.listeners.iter().flat_map(pools_of).collect();
    loop {
        let named = config.pools.iter().filter(|pool| pools.contains(&pool.name));
        let fallbacks: Vec<&Name> = named.filter_map(|pool| pool.fallback.as_ref()).collect();
        let before = pools.len();
        pools.extend(fallbacks);
        if pools.len() == before {
            return pools;
        }
    }
}

fn pools_of(listener: &Listener) -> impl Iterator<Item = &Name> {
    let http = listener.http.as_ref();
    let routes = http.into_iter().flat_map(|http| http.routes.iter().map(|route| &route.pool));
    let others = listener.pool.iter().chain(listener.rollout.iter().map(|rollout| &rollout.pool));
    routes.chain(others.filter(move |_| http.is_some()))
}

/// Raises the soft limit of this process to the hard one, so that a later config may need more than the first. There is no reason for
/// a lower one: nothing here uses `select`, and no other program is started.
fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(?current, ?maximum, %error, "cannot raise the soft limit on open files to the hard one");
    }
}

/// Raises the soft limit to the hard one, and warns where even that is less than the config needs.
pub fn claim(config: &Config) {
    raise_limit();
    warn_of_shortage(config);
}

/// The hard limit, which a proxy started here would raise its own to; `None` is without limit.
pub fn hard_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// The limit that holds for this process now.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Whether a config needs more than the limit allows.
pub fn shortage(config: &Config, limit: Option<u64>) -> Option<Shortage> {
    let (needs, max_connections) = (Needs::of(config), config.server.max_connections as u64);
    let limit = limit.filter(|&limit| limit < needs.total())?;
    Some(Shortage { needs, limit, max_connections })
}

/// Warns in the log where the running config needs more than the limit of this process allows.
pub fn warn_of_shortage(config: &Config) {
    if let Some(shortage) = shortage(config, limit()) {
        tracing::warn!(limit = shortage.limit, needed = shortage.needs.total(), "{shortage}");
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needs, limit, max_connections } = self;
        let Needs { sessions, listeners, warm, other } = needs;
        write!(
            f,
            "server.max_connections is {max_connections}, but the limit on open files is {limit}, which leaves room for about {}: up \
             to {} are needed ({sessions} for sessions, {listeners} for listeners, {warm} for warm connections, {other} for the \
             rest); raise the hard limit (LimitNOFILE= in a systemd unit, ulimit -Hn in a shell, --ulimit nofile= for a container) \
             or lower server.max_connections",
            needs.sessions_within(*limit),
            needs.total(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn config(server: &str, listener: &str, rest: &str) -> Config {
        let text = format!(
            "[server]\nworkers = 2\n{server}\n[listeners.game]\nbind = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\npool = \"game\"\n\
             {listener}\n[pools.game]\nbackends = [\"127.0.0.1:3\", \"127.0.0.1:4\"]\nwarm_connections = 10\n{rest}"
        );
        parse(&text).unwrap().config
    }

    #[test]
    fn sessions_listeners_and_warm_connections_are_counted() {
        let plain = Needs::of(&config("max_connections = 1000", "", ""));
        assert_eq!((plain.sessions, plain.listeners, plain.warm), (2000, 4, 0));
        let more = config("max_connections = 1000", "", "[listeners.more]\nbind = \"127.0.0.1:5\"\npool = \"game\"\n");
        assert_eq!(Needs::of(&more).listeners, 6);
        let http = config(
            "max_connections = 1000",
            "mode = \"http\"",
            "fallback = \"other\"\n[pools.other]\nbackends = [\"127.0.0.1:6\"]\nwarm_connections = 7\n",
        );
        assert_eq!(Needs::of(&http).warm, 2 * (2 * 10 + 7), "of the pool and of the one that stands in for it");
        let small = config("max_connections = 30", "mode = \"http\"", "");
        assert_eq!(Needs::of(&small).warm, 30, "no more than there may be sessions");
        let speaking = Needs::of(&config("", "messages = { protocol = \"text\", default = \"no\" }", ""));
        assert_eq!(speaking.other, plain.other + 2 * FAREWELLS as u64);
    }

    #[test]
    fn a_limit_below_the_needs_is_a_shortage_that_says_what_fits() {
        let config = config("max_connections = 1000", "", "");
        let needed = Needs::of(&config).total();
        assert_eq!((shortage(&config, None), shortage(&config, Some(needed))), (None, None));
        let told = shortage(&config, Some(needed - 200)).unwrap().to_string();
        assert!(told.contains("server.max_connections is 1000") && told.contains("room for about 900"), "{told}");
        assert!(told.contains("LimitNOFILE=") && told.contains("ulimit -Hn"), "{told}");
        assert!(shortage(&config, Some(10)).unwrap().to_string().contains("room for about 0"));
    }
}
