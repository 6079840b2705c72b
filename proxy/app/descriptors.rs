//! Room for the sessions that the config allows: each holds two descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::model::Config;
use crate::session::FAREWELLS;

/// Descriptors beside those of sessions: the log, runtimes, admin clients, watches, and some to spare.
const SPARE: u64 = 256;

/// Raises the process's soft limit as far as the hard one allows, and warns where that is not enough.
pub(super) fn make_room(config: &Config) {
    let needed = needed(config);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current.filter(|&current| current < needed) else { return };
    let wanted = maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    let limit = if raised.is_ok() { wanted } else { current };
    if limit < needed {
        let max_connections = config.server.max_connections;
        let possible = limit.saturating_sub(needed - sessions(config)) / 2;
        tracing::warn!(
            limit,
            needed,
            "server.max_connections is {max_connections}, but the limit on open files leaves room for about {possible}; \
             raise it (LimitNOFILE= in a systemd unit, ulimit -Hn in a shell) or lower server.max_connections"
        );
    }
}

fn needed(config: &Config) -> u64 {
    let addresses: usize = config.listeners.iter().map(|listener| listener.bind.len()).sum();
    let sockets = addresses * config.server.workers.get();
    let speaks = config.listeners.iter().any(|listener| listener.messages.is_some());
    let spoken_to = if speaks { config.server.workers.get() * FAREWELLS } else { 0 };
    sessions(config) + (sockets + spoken_to) as u64 + SPARE
}

fn sessions(config: &Config) -> u64 {
    config.server.max_connections as u64 * 2
}
