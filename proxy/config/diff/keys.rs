//! The keys of each section, with what the file would write for their values.
//!
//! The structs are taken apart field by field, so that a new one cannot be forgotten here.

use crate::config::model::{Backend, Config, Listener, Log, LogFormat, LogLevel, Mode, Pool, Server};
use crate::config::scalar::duration::{Shown, ShownOrOff};
use crate::pool::balance::Strategy;
use crate::pool::breaker::Rule;

/// Keys and what the file would write for them.
pub(super) type Keys = Vec<(&'static str, String)>;

/// `[server]`, `[admin]` and `[log]`.
pub(super) fn process(config: &Config) -> Keys {
    let Config { server, admin, log, listeners: _, pools: _ } = config;
    let Server { workers, max_connections, drain_timeout, shutdown_delay } = server;
    let Log { level, format, access } = log;
    vec![
        ("server.workers", workers.to_string()),
        ("server.max_connections", max_connections.to_string()),
        ("server.drain_timeout", Shown(*drain_timeout).to_string()),
        ("server.shutdown_delay", Shown(*shutdown_delay).to_string()),
        ("admin.bind", admin.map_or_else(|| "off".into(), |address| address.to_string())),
        ("log.level", level_word(*level).into()),
        ("log.format", format_word(*format).into()),
        ("log.access", access.to_string()),
    ]
}

/// All but its addresses.
pub(super) fn listener(listener: &Listener) -> Keys {
    let Listener { name: _, bind: _, mode, pool, reuse_port } = listener;
    let mode = match mode {
        Mode::Tcp => "tcp",
    };
    vec![("mode", mode.into()), ("pool", pool.to_string()), ("reuse_port", reuse_port.to_string())]
}

/// All but its backends.
pub(super) fn pool(pool: &Pool) -> Keys {
    let Pool {
        name: _,
        strategy,
        backends: _,
        connect_timeout,
        request_timeout,
        idle_timeout,
        max_lifetime,
        retries,
        retry_backoff,
        breaker,
    } = pool;
    let Rule { failures, open_for, max_open_for, probes } = breaker;
    vec![
        ("balance", strategy_word(*strategy).into()),
        ("connect_timeout", Shown(*connect_timeout).to_string()),
        ("request_timeout", ShownOrOff(*request_timeout).to_string()),
        ("idle_timeout", ShownOrOff(*idle_timeout).to_string()),
        ("max_lifetime", ShownOrOff(*max_lifetime).to_string()),
        ("retries", retries.to_string()),
        ("retry_backoff", Shown(*retry_backoff).to_string()),
        ("breaker.failures", failures.to_string()),
        ("breaker.open_for", Shown(*open_for).to_string()),
        ("breaker.max_open_for", Shown(*max_open_for).to_string()),
        ("breaker.probes", probes.to_string()),
    ]
}

/// All but its address.
pub(super) fn backend(backend: &Backend) -> Keys {
    let Backend { address: _, weight, max_connections, backup } = backend;
    vec![
        ("weight", weight.to_string()),
        ("max_connections", max_connections.map_or_else(|| "no limit".into(), |limit| limit.to_string())),
        ("backup", backup.to_string()),
    ]
}

/// The file's word for it.
fn level_word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

/// The file's word for it.
fn format_word(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Auto => "auto",
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    }
}

/// The file's word for it.
fn strategy_word(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::LeastConnections => "least_connections",
        Strategy::RoundRobin => "round_robin",
    }
}
