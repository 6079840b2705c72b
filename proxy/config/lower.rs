//! From what the file says to what the program needs: every value read, every default filled in, every reference
//! checked. One function a section; none stops at a problem.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::model::{Config, Log, LogFormat, LogLevel, Server};
use super::problem::{Place, Problem};
use super::raw::{Section, Value};
use super::scalar::{self, Explain as _, Name, Rate};

mod accept_proxy;
mod addresses;
mod admin;
mod admission;
mod breaker;
mod discovery;
mod dns;
mod health;
mod http;
mod limits;
mod listener;
mod loops;
mod messages;
mod networks;
mod pool;
mod public;
mod queue;
mod references;
mod rollout;
mod slots;
mod sni;
mod state;
mod tls;
mod tracing;

/// The whole file. What it returns is of use only if no error was reported.
pub(super) fn config(root: &mut Section<'_>) -> Config {
    let server = root.section("server", server);
    let admin = root.section("admin", admin::read);
    let log = root.section("log", log);
    let tracing = root.section("tracing", tracing::read);
    let dns = root.section("dns", dns::read);
    let state = root.section("state", state::read);
    let listeners = root.sections("listeners", listener::read);
    let pools = root.sections("pools", pool::read);

    let (no_listeners, no_pools) = (root.lacks("listeners"), root.lacks("pools"));
    if no_listeners || no_pools {
        root.report.add_unless_damaged(nothing_to_do(no_listeners, no_pools));
    }
    addresses::check(root.report, admin.bind.as_ref(), &listeners);
    references::check(root.report, &listeners, &pools);
    slots::check(root.report, server.max_connections, &listeners);
    public::check(root.report, &listeners);
    Config {
        server,
        admin: admin.server,
        log,
        tracing,
        dns,
        state,
        listeners: listeners.into_iter().filter_map(|listener| listener.model).collect(),
        pools: pools.into_iter().filter_map(|pool| pool.model).collect(),
    }
}

fn nothing_to_do(no_listeners: bool, no_pools: bool) -> Problem {
    let message = match (no_listeners, no_pools) {
        (true, true) => "the file has no listeners and no pools",
        (true, false) => "the file has no listeners",
        (false, _) => "the file has no pools",
    };
    Problem::error(&Place::default(), message).hint(LEAST_FILE)
}

fn server(section: &mut Section<'_>) -> Server {
    let workers = section.setting("workers", one_per_core(), |value| {
        value.whole(1..=WORKERS_MAX).and_then(|workers| NonZeroUsize::new(workers as usize))
    });
    let max_connections = section.setting("max_connections", MAX_CONNECTIONS, |value| value.whole(1..=CONNECTIONS_MAX));
    let drain_timeout = section.setting("drain_timeout", DRAIN_TIMEOUT, Value::duration_or_zero);
    let shutdown_delay = section.setting("shutdown_delay", SHUTDOWN_DELAY, Value::duration_or_zero);
    if drain_timeout.value.is_zero() {
        let message = "on SIGTERM every session is cut at once";
        section.add(Problem::warning(&drain_timeout.place, message).hint(r#"for example "30s""#));
    }
    let drain_pace = section.setting("drain_pace", None, |value| {
        if value.is_off() { Some(None) } else { value.parse(str::parse::<Rate>).map(Some) }
    });
    Server {
        workers: workers.value,
        max_connections: max_connections.value as usize,
        drain_timeout: drain_timeout.value,
        drain_pace: drain_pace.value,
        shutdown_delay: shutdown_delay.value,
        levels: section.section("levels", admission::levels),
        reconnect: section.section("reconnect", admission::reconnect),
    }
}

fn log(section: &mut Section<'_>) -> Log {
    let level = section
        .setting("level", LogLevel::Info, |value| value.word(&LogLevel::ALL.map(|level| (level.as_str(), level)), &[]));
    let format = section.setting("format", LogFormat::Auto, |value| value.word(&FORMATS, &[]));
    let access = section.setting("access", true, Value::flag);
    Log { level: level.value, format: format.value, access: access.value }
}

/// The name in a section's header.
fn name(section: &Section<'_>, written: &str) -> Option<Name> {
    let refuse = |error: scalar::NameError| {
        section.add(Problem::error(&section.place, error.to_string()).hint(error.hint()));
    };
    written.parse().map_err(refuse).ok()
}

/// One for each core that the process may use: a worker never waits for another, so more would only share.
fn one_per_core() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

const LEAST_FILE: &str = r#"the least file that works:

[listeners.game]
bind = "0.0.0.0:25565"
pool = "game"

[pools.game]
backends = ["10.0.0.11:25565"]"#;

const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];

/// More than the cores of any machine, few enough that a slip does not start a million threads.
const WORKERS_MAX: u32 = 1024;

/// A session needs two descriptors; the usual hard limit of 20,000 and more leaves room for the rest.
const MAX_CONNECTIONS: u32 = 10_000;

/// Beyond what one machine's memory and descriptors can hold: a slip.
const CONNECTIONS_MAX: u32 = 10_000_000;

/// What orchestrators grant between SIGTERM and SIGKILL.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Only a balancer in front that polls `/readyz` needs one, and only its operator knows how long.
const SHUTDOWN_DELAY: Duration = Duration::ZERO;

#[cfg(test)]
mod tests;
