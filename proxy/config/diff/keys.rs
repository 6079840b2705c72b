//! The keys of each section, with what the file would write for their values.
//!
//! The structs are taken apart field by field, so that a new one cannot be forgotten here.

use crate::admission::addresses::PerAddress;
use crate::admission::level::Shares;
use crate::admission::{ban, pace, reconnect};
use crate::config::model::{
    AcceptProxy, AdminServer, Admission, Backend, Certificate, Check, ClientAuth, Config, Discovery, Dns, Encryption,
    Health, Http, HttpRoute, Listener, Log, LogFormat, Material, Messages, Mode, Occasion, OnDown, PlayerKey, Pool,
    Protocol, Queue, Requests, Rollout, Route, Server, SlotLimits, State, Termination, TlsVersion, Tracing, Trust,
};
use crate::config::scalar::duration::{Shown, ShownOrOff};
use crate::config::scalar::{Endpoint, Name, Words};
use crate::net::proxy_protocol::Version;
use crate::pool::breaker::{FailureRate, Rule};
use crate::pool::health;
use crate::relay::Liveness;

/// Keys and what the file would write for them.
pub(super) type Keys = Vec<(&'static str, String)>;

/// `[server]`, `[admin]`, `[log]`, `[tracing]`, `[dns]` and `[state]`.
pub(super) fn process(config: &Config) -> Keys {
    let Config { server, admin, log, tracing, dns, state, listeners: _, pools: _ } = config;
    let Server { workers, max_connections, drain_timeout, drain_pace, shutdown_delay, levels, reconnect } = server;
    let Shares { degraded, critical, overloaded } = levels;
    let reconnect::Rule { min_session, window } = reconnect;
    let AdminServer { bind, token_file, token: _, hosts } = admin;
    let Log { level, format, access } = log;
    let Tracing { otlp, sample } = tracing;
    let Dns { servers, timeout } = dns;
    let State { file } = state;
    vec![
        ("server.workers", workers.to_string()),
        ("server.max_connections", max_connections.to_string()),
        ("server.drain_timeout", Shown(*drain_timeout).to_string()),
        ("server.drain_pace", drain_pace.map_or_else(|| OFF.into(), |pace| pace.to_string())),
        ("server.shutdown_delay", Shown(*shutdown_delay).to_string()),
        ("server.levels.degraded", degraded.to_string()),
        ("server.levels.critical", critical.to_string()),
        ("server.levels.overloaded", overloaded.to_string()),
        ("server.reconnect.min_session", Shown(*min_session).to_string()),
        ("server.reconnect.window", Shown(*window).to_string()),
        ("admin.bind", bind.map_or_else(|| OFF.into(), |address| address.to_string())),
        ("admin.token_file", token_file.as_ref().map_or_else(|| "none".into(), |file| file.display().to_string())),
        ("admin.hosts", list(hosts)),
        ("log.level", level.as_str().into()),
        ("log.format", format_word(*format).into()),
        ("log.access", access.to_string()),
        ("tracing.otlp", otlp.as_ref().map_or_else(|| OFF.into(), Endpoint::to_string)),
        ("tracing.sample", sample.to_string()),
        ("dns.servers", list(servers)),
        ("dns.timeout", Shown(*timeout).to_string()),
        ("state.file", file.as_ref().map_or_else(|| OFF.into(), |file| file.display().to_string())),
    ]
}

/// All but its addresses.
pub(super) fn listener(listener: &Listener) -> Keys {
    let Listener {
        name: _,
        bind: _,
        mode,
        http,
        pool,
        routes,
        tls,
        reuse_port,
        rollout,
        accept_proxy,
        preread_timeout,
        admission,
        messages,
    } = listener;
    let mode = match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
    };
    let pool = pool.as_ref().map_or_else(|| "none".into(), Name::to_string);
    let routes: Vec<_> = routes.iter().map(route).collect();
    let mut keys =
        vec![("mode", mode.into()), ("pool", pool), ("sni", list(&routes)), ("reuse_port", reuse_port.to_string())];
    keys.extend(part(&["rollout.pool", "rollout.percent", "rollout.clients"], rollout.as_ref(), |rollout| {
        let Rollout { pool, share, clients } = rollout;
        vec![pool.to_string(), share.to_string(), list(clients)]
    }));
    keys.extend(part(&["accept_proxy.from", "accept_proxy.required"], accept_proxy.as_ref(), |proxies| {
        let AcceptProxy { from, required } = proxies;
        vec![list(from), required.to_string()]
    }));
    keys.extend(part(&HTTP, http.as_ref(), self::http));
    keys.extend(part(&TERMINATION, tls.as_ref(), termination));
    keys.push(("preread_timeout", Shown(*preread_timeout).to_string()));
    keys.extend(self::admission(admission));
    keys.extend(self::messages(messages.as_deref()));
    keys
}

fn route(route: &Route) -> String {
    let Route { hosts, protocols, pool } = route;
    let hosts = (!hosts.is_empty()).then(|| list(hosts));
    let protocols = (!protocols.is_empty()).then(|| format!("alpn {}", list(protocols)));
    format!("{} -> {pool}", hosts.into_iter().chain(protocols).collect::<Vec<_>>().join(" "))
}

fn messages(messages: Option<&Messages>) -> Keys {
    let language = messages.map_or("none", |messages| messages.language.as_str());
    let retry_after = messages.map(|messages| messages.retry_after);
    let said =
        |occasion| messages.and_then(|messages| messages.on(occasion)).map_or_else(|| OFF.into(), Words::to_string);
    let mut keys =
        vec![("messages.protocol", language.to_owned()), ("messages.retry_after", ShownOrOff(retry_after).to_string())];
    keys.extend(MESSAGES.into_iter().zip(Occasion::ALL.map(said)));
    keys
}

/// In the order of [`Occasion::ALL`].
const MESSAGES: [&str; Occasion::ALL.len()] = [
    "messages.denied",
    "messages.maintenance",
    "messages.rate_limited",
    "messages.per_ip_limit",
    "messages.shed",
    "messages.at_capacity",
    "messages.queue_full",
    "messages.queue_timeout",
    "messages.no_backend",
    "messages.connect_failed",
    "messages.drain",
];

fn admission(admission: &Admission) -> Keys {
    let Admission {
        shed_at,
        maintenance,
        staff,
        trusted,
        allow,
        deny,
        deny_file,
        deny_list,
        deny_wide_networks,
        per_address,
        arrivals,
        handshakes,
        slots,
        dry_run,
        ban,
    } = admission;
    let PerAddress { max_connections, rate, prefix_v4, prefix_v6 } = per_address;
    let SlotLimits { max_connections: all, reserved } = slots;
    let or_off = |number: Option<u32>| number.map_or_else(|| OFF.into(), |number| number.to_string());
    let (rate, burst) = (rate.map(|limit| limit.rate), rate.map(|limit| limit.burst));
    let mut keys = vec![
        ("shed_at", shed_at.as_str().into()),
        ("maintenance", maintenance.to_string()),
        ("staff", list(staff)),
        ("trusted", list(trusted)),
        ("allow", list(allow)),
        ("deny", list(deny)),
        ("deny_file", deny_file.as_ref().map_or_else(|| OFF.into(), |path| format!("{path:?} ({deny_list})"))),
        ("deny_wide_networks", deny_wide_networks.to_string()),
        ("max_connections", all.map_or_else(|| OFF.into(), |all| all.to_string())),
        ("reserved", reserved.to_string()),
        ("max_connections_per_ip", or_off(*max_connections)),
        ("rate_per_ip", rate.map_or_else(|| OFF.into(), |rate| rate.to_string())),
        ("burst_per_ip", or_off(burst)),
        ("ip_prefix_v4", prefix_v4.to_string()),
        ("ip_prefix_v6", prefix_v6.to_string()),
        ("dry_run", dry_run.to_string()),
    ];
    keys.extend(part(&["accept_rate", "accept_burst"], arrivals.as_ref(), |rule| {
        vec![rule.limit.rate.to_string(), rule.limit.burst.to_string()]
    }));
    keys.extend(part(&["handshake_rate"], handshakes.as_ref(), |rule| vec![rule.limit.rate.to_string()]));
    keys.extend(part(&["max_waiting", "wait_timeout"], arrivals.as_ref().or(handshakes.as_ref()), |rule| {
        let pace::Rule { limit: _, max_waiting, wait_timeout } = rule;
        vec![max_waiting.to_string(), Shown(*wait_timeout).to_string()]
    }));
    keys.extend(part(&["ban.after", "ban.within", "ban.for"], ban.as_ref(), |ban| {
        let ban::Rule { after, within, lasts } = ban;
        vec![after.to_string(), Shown(*within).to_string(), Shown(*lasts).to_string()]
    }));
    keys
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
        half_close_timeout,
        liveness: Liveness { user_timeout, keepalive },
        retries,
        retry_backoff,
        breaker,
        requests,
        max_ejected,
        send_proxy,
        tls,
        slow_start,
        last_resort,
        fallback,
        queue,
        health,
        discovery,
    } = pool;
    let Discovery { resolve_grace } = discovery;
    let Rule { failures, open_for, max_open_for, probes, failure_rate, counts } = breaker;
    let Requests { protocol, warm_connections, warm_timeout, h2_connections, failing } = requests;
    let mut keys = vec![
        ("balance", strategy.as_str().into()),
        ("connect_timeout", Shown(*connect_timeout).to_string()),
        ("request_timeout", ShownOrOff(*request_timeout).to_string()),
        ("idle_timeout", ShownOrOff(*idle_timeout).to_string()),
        ("max_lifetime", ShownOrOff(*max_lifetime).to_string()),
        ("half_close_timeout", ShownOrOff(*half_close_timeout).to_string()),
        ("tcp_user_timeout", ShownOrOff(*user_timeout).to_string()),
        ("keepalive", ShownOrOff(*keepalive).to_string()),
        ("retries", retries.to_string()),
        ("retry_backoff", Shown(*retry_backoff).to_string()),
        ("breaker.failures", failures.to_string()),
        ("breaker.open_for", Shown(*open_for).to_string()),
        ("breaker.max_open_for", Shown(*max_open_for).to_string()),
        ("breaker.probes", probes.to_string()),
        ("breaker.max_ejected", max_ejected.to_string()),
        ("breaker.counts", list(&counts.words())),
        ("breaker.status", list(failing)),
        ("protocol", if *protocol == Protocol::Http2 { "h2" } else { "http1" }.into()),
        ("warm_connections", warm_connections.to_string()),
        ("warm_timeout", Shown(*warm_timeout).to_string()),
        ("h2_connections", h2_connections.to_string()),
        ("send_proxy", send_proxy_word(*send_proxy).into()),
        ("slow_start", ShownOrOff(*slow_start).to_string()),
        ("last_resort", last_resort.to_string()),
        ("discovery.resolve_grace", Shown(*resolve_grace).to_string()),
        ("fallback", fallback.as_ref().map_or_else(|| "none".into(), Name::to_string)),
    ];
    let rate = ["breaker.failure_rate", "breaker.window", "breaker.min_sessions"];
    keys.extend(part(&rate, failure_rate.as_ref(), |rate| {
        let FailureRate { share, window, min_sessions } = rate;
        vec![share.to_string(), Shown(*window).to_string(), min_sessions.to_string()]
    }));
    keys.extend(part(&["queue.size", "queue.timeout"], queue.as_ref(), |queue| {
        let Queue { size, timeout } = queue;
        vec![size.to_string(), Shown(*timeout).to_string()]
    }));
    keys.extend(part(&ENCRYPTION, tls.as_ref(), encryption));
    keys.extend(part(&HEALTH, health.as_ref(), health_values));
    keys
}

/// The keys of a section that may be absent.
fn part<T>(keys: &[&'static str], section: Option<&T>, values: impl FnOnce(&T) -> Vec<String>) -> Keys {
    let values = section.map_or_else(|| vec![OFF.to_owned(); keys.len()], values);
    debug_assert_eq!(keys.len(), values.len(), "{keys:?}");
    keys.iter().copied().zip(values).collect()
}

const HTTP: [&str; 9] = [
    "header_timeout",
    "keepalive_timeout",
    "send_timeout",
    "body_timeout",
    "forwarded",
    "via",
    "reconnect_key",
    "path_normalize",
    "routes",
];

fn http(http: &Http) -> Vec<String> {
    let Http {
        header_timeout,
        keepalive_timeout,
        send_timeout,
        body_timeout,
        forwarded,
        via,
        reconnect_key,
        path_normalize,
        routes,
    } = http;
    let route = |route: &HttpRoute| {
        let HttpRoute { hosts, path, methods, pool, shed_at } = route;
        let shed_at = shed_at.map_or_else(String::new, |level| format!(" (shed_at {})", level.as_str()));
        format!("{} {} {path} -> {pool}{shed_at}", list(hosts), list(methods))
    };
    let player = match reconnect_key {
        None => OFF.to_owned(),
        Some(PlayerKey::Header(name)) => format!("header:{name}"),
        Some(PlayerKey::Cookie(name)) => format!("cookie:{name}"),
    };
    let routes: Vec<_> = routes.iter().map(route).collect();
    let (header, keepalive) = (Shown(*header_timeout).to_string(), Shown(*keepalive_timeout).to_string());
    let (send, body) = (ShownOrOff(*send_timeout).to_string(), ShownOrOff(*body_timeout).to_string());
    let via = via.clone().unwrap_or_else(|| OFF.into());
    let normalize = path_normalize.to_string();
    vec![header, keepalive, send, body, forwarded.to_string(), via, player, normalize, list(&routes)]
}

const TERMINATION: [&str; 6] =
    ["tls.certificates", "tls.client_auth", "tls.client_ca", "tls.alpn", "tls.min_version", "tls.handshake_timeout"];

fn termination(tls: &Termination) -> Vec<String> {
    let Termination { certificates, client_auth, protocols, min_version, handshake_timeout } = tls;
    let mode = match client_auth {
        ClientAuth::Off => OFF,
        ClientAuth::Optional(_) => "optional",
        ClientAuth::Required(_) => "required",
    };
    let version = match min_version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    };
    let certificates: Vec<_> = certificates.iter().map(certificate).collect();
    vec![
        list(&certificates),
        mode.into(),
        client_auth.trust().map_or_else(|| OFF.into(), trust),
        list(protocols),
        version.into(),
        Shown(*handshake_timeout).to_string(),
    ]
}

const ENCRYPTION: [&str; 4] = ["tls.enabled", "tls.ca", "tls.server_name", "tls.client_cert"];

fn encryption(tls: &Encryption) -> Vec<String> {
    let Encryption { trust, server_name, certificate } = tls;
    vec![
        "true".into(),
        trust.as_ref().map_or_else(|| "not verified".into(), self::trust),
        server_name.clone().unwrap_or_else(|| "the backend's".into()),
        certificate.as_ref().map_or_else(|| OFF.into(), self::certificate),
    ]
}

/// The file, and something that changes with what it holds.
fn certificate(certificate: &Certificate) -> String {
    let Certificate { cert, key: _, identity: Material { content, stale: _ } } = certificate;
    let content = content.as_ref().map_or_else(|| "unread".into(), |identity| identity.to_string());
    format!("{cert:?} ({content})")
}

fn trust(trust: &Trust) -> String {
    let Trust { file, authorities: Material { content, stale: _ } } = trust;
    let file = file.as_ref().map_or_else(|| "the system's".into(), |file| format!("{file:?}"));
    let content = content.as_ref().map_or_else(|| "unread".into(), |authorities| authorities.to_string());
    format!("{file} ({content})")
}

const HEALTH: [&str; 11] = [
    "health.type",
    "health.send",
    "health.expect",
    "health.path",
    "health.status",
    "health.interval",
    "health.timeout",
    "health.rise",
    "health.fall",
    "health.port",
    "health.on_down",
];

fn health_values(health: &Health) -> Vec<String> {
    let Health { check, interval, timeout, rule, port, introduced: _, on_down } = health;
    let health::Rule { rise, fall } = rule;
    // As where there is no check at all, so that only keys that the check has are told.
    let none = || OFF.to_owned();
    let [kind, send, expect, path, status] = match check {
        Check::Tcp => ["tcp".into(), none(), none(), none(), none()],
        Check::Minecraft => ["minecraft".into(), none(), none(), none(), none()],
        Check::Exchange { send, expect } => {
            ["exchange".into(), format!("\"{}\"", send.escape_ascii()), expect.to_string(), none(), none()]
        }
        Check::Http { path, status } => ["http".into(), none(), none(), path.clone(), list(status)],
    };
    let on_down = match on_down {
        OnDown::Keep => "keep",
        OnDown::Close => "close",
    };
    let port = port.map_or_else(|| "the backend's".into(), |port| port.to_string());
    let (interval, timeout) = (Shown(*interval).to_string(), Shown(*timeout).to_string());
    let (rise, fall) = (rise.to_string(), fall.to_string());
    vec![kind, send, expect, path, status, interval, timeout, rise, fall, port, on_down.into()]
}

fn list<T: ToString>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// For what is absent as a whole, and for keys that a check of this type does not have.
const OFF: &str = "off";

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
fn format_word(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Auto => "auto",
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    }
}

/// The file's words for it, both keys in one.
fn send_proxy_word(version: Option<Version>) -> &'static str {
    match version {
        None => OFF,
        Some(Version::V1) => "v1",
        Some(Version::V2 { checksum: false }) => "v2",
        Some(Version::V2 { checksum: true }) => "v2 with checksum",
    }
}
