//! Every metric of the proxy's own. `docs/metrics.md` explains them to operators; a test holds the two together.

use super::Kind;

/// One metric of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// The whole name, prefix and unit included.
    pub name: &'static str,
    /// How its samples are to be read.
    pub kind: Kind,
    /// The labels of each of its samples, in order.
    pub labels: &'static [&'static str],
    /// What it counts, in a sentence.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Definition {
    Definition { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Definition {
    Definition { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Definition {
    Definition { name, kind: Kind::Histogram, labels, help }
}

const LISTENER: &[&str] = &["listener"];
const POOL: &[&str] = &["pool"];
const BACKEND: &[&str] = &["pool", "backend"];

/// Live sessions.
pub const SESSIONS_ACTIVE: Definition = gauge("portti_sessions_active", LISTENER, "Live sessions.");
/// Ended sessions.
pub const SESSIONS: Definition = counter(
    "portti_sessions_total",
    &["listener", "reason"],
    "Sessions that have ended, refused ones included, by reason.",
);
/// Session length.
pub const SESSION_DURATION: Definition =
    histogram("portti_session_duration_seconds", LISTENER, "How long admitted sessions lasted.");
/// Bytes.
pub const BYTES: Definition =
    counter("portti_bytes_total", &["listener", "direction"], "Bytes passed: up from clients, down from backends.");
/// Dry run.
pub const DRY_RUN: Definition = counter(
    "portti_dry_run_refusals_total",
    &["listener", "reason"],
    "Clients that a listener with dry_run has let in and would have refused, by reason.",
);
/// Bans.
pub const BANS: Definition = counter(
    "portti_bans_total",
    LISTENER,
    "Addresses that were banned for a while because they were refused too often.",
);
/// Bans by hand.
pub const BANS_BY_HAND: Definition =
    gauge("portti_bans_by_hand", &[], "Networks that are banned by hand, on all listeners.");
/// Bans now.
pub const BANNED: Definition = gauge("portti_banned_addresses", LISTENER, "Addresses that are banned now.");
/// Doors that are closed to all but staff.
pub const MAINTENANCE: Definition =
    gauge("portti_listener_maintenance", LISTENER, "Whether only staff comes in, by the file or by hand: 1, else 0.");
/// Connection limits of listeners.
pub const LISTENER_MAX_CONNECTIONS: Definition = gauge(
    "portti_listener_max_connections",
    LISTENER,
    "Live sessions that the listener may have, where it has a limit of its own.",
);
/// Their reserved slots.
pub const LISTENER_RESERVED: Definition = gauge(
    "portti_listener_reserved_connections",
    LISTENER,
    "Connection slots that are kept for staff and trusted clients, where there are any.",
);
/// And those that are taken.
pub const LISTENER_RESERVED_ACTIVE: Definition =
    gauge("portti_listener_reserved_connections_active", LISTENER, "Live sessions in reserved slots.");
/// Arrivals.
pub const ARRIVALS_WAITING: Definition =
    gauge("portti_arrivals_waiting", LISTENER, "Clients that wait until accept_rate lets them in.");
/// Their waiting time.
pub const ARRIVAL_WAIT: Definition =
    histogram("portti_arrival_wait_seconds", LISTENER, "How long clients waited that accept_rate then let in.");
/// Handshakes that wait.
pub const HANDSHAKES_WAITING: Definition = gauge(
    "portti_handshakes_waiting",
    LISTENER,
    "Clients that wait until handshake_rate lets their TLS handshakes begin.",
);
/// Their waiting time.
pub const HANDSHAKE_WAIT: Definition = histogram(
    "portti_handshake_wait_seconds",
    LISTENER,
    "How long clients waited whose TLS handshakes handshake_rate then let begin.",
);
/// Failed accepts.
pub const ACCEPT_ERRORS: Definition = counter(
    "portti_accept_errors_total",
    &["listener", "kind"],
    "Accepts that failed: of one connection, for want of descriptors or memory, or of a socket that does not listen any more.",
);
/// Answered requests.
pub const REQUESTS: Definition = counter(
    "portti_requests_total",
    &["listener", "pool", "code_class"],
    "Requests, by the class of their answers' status; none where there was no answer.",
);
/// Their time.
pub const REQUEST_DURATION: Definition = histogram(
    "portti_request_duration_seconds",
    &["listener", "pool"],
    "How long requests took, from their heads to the ends of their answers.",
);
/// Own answers.
pub const REQUESTS_REFUSED: Definition = counter(
    "portti_requests_refused_total",
    &["listener", "reason"],
    "Requests that were answered by the proxy itself, by the reason in the answer.",
);
/// Requests under way.
pub const REQUESTS_IN_FLIGHT: Definition =
    gauge("portti_requests_in_flight", LISTENER, "Requests whose answers are not over yet.");
/// The end of a certificate.
pub const CERTIFICATE_NOT_AFTER: Definition = gauge(
    "portti_certificate_not_after_seconds",
    &["listener", "pool", "cert"],
    "When a certificate ends, in seconds since 1970; of the listener or the pool that shows it.",
);
/// Live sessions of a backend.
pub const BACKEND_SESSIONS_ACTIVE: Definition =
    gauge("portti_backend_sessions_active", BACKEND, "Live sessions of a backend, those that are connecting included.");
/// Sessions of a backend.
pub const BACKEND_SESSIONS: Definition =
    counter("portti_backend_sessions_total", BACKEND, "Sessions that were connected to a backend.");
/// Connect time.
pub const BACKEND_CONNECT: Definition =
    histogram("portti_backend_connect_seconds", POOL, "How long successful connects to backends took.");
/// Failures.
pub const BACKEND_FAILURES: Definition = counter(
    "portti_backend_failures_total",
    &["pool", "backend", "reason"],
    "Failures of sessions by a backend, by reason. Not all of them count for its circuit.",
);
/// Circuit.
pub const BACKEND_CIRCUIT: Definition =
    gauge("portti_backend_circuit_state", BACKEND, "Circuit of a backend: 0 closed, 1 open, 2 half open.");
/// Circuit transitions.
pub const BACKEND_TRANSITIONS: Definition = counter(
    "portti_backend_circuit_transitions_total",
    &["pool", "backend", "to"],
    "Changes of a backend's circuit, by the state that was entered.",
);
/// Eligibility.
pub const BACKEND_ELIGIBLE: Definition =
    gauge("portti_backend_eligible", BACKEND, "Whether a backend may be chosen now: 1 or 0.");
/// Administrative state.
pub const BACKEND_ADMIN: Definition =
    gauge("portti_backend_admin_state", BACKEND, "What a backend was told by hand: 0 ready, 1 drain, 2 maintenance.");
/// Weight.
pub const BACKEND_WEIGHT: Definition =
    gauge("portti_backend_weight", BACKEND, "A backend's share of new sessions relative to the others of its pool.");
/// Retries.
pub const CONNECT_RETRIES: Definition = counter(
    "portti_connect_retries_total",
    POOL,
    "Connects that were tried again, on the next backend where there is one.",
);
/// Health.
pub const BACKEND_UP: Definition = gauge(
    "portti_backend_up",
    BACKEND,
    "What health checks say of a backend: 1 up, 0 down. Absent before the first result.",
);
/// Health checks.
pub const HEALTH_CHECKS: Definition =
    counter("portti_health_checks_total", &["pool", "backend", "result"], "Health checks, by result: ok or failed.");
/// Players.
pub const BACKEND_PLAYERS: Definition =
    gauge("portti_backend_players", BACKEND, "Players on a backend, as its last health check read them.");
/// Panic.
pub const POOL_PANIC: Definition = gauge(
    "portti_pool_panic",
    POOL,
    "Bad backends that take sessions all the same, because as many are out as breaker.max_ejected allows.",
);
/// Queue.
pub const QUEUE_DEPTH: Definition = gauge("portti_queue_depth", POOL, "Sessions that wait for a place at a backend.");
/// Waiting time.
pub const QUEUE_WAIT: Definition =
    histogram("portti_queue_wait_seconds", POOL, "How long sessions waited in the queue that then got a place.");
/// Service level.
pub const SERVICE_LEVEL: Definition = gauge(
    "portti_service_level",
    &[],
    "How much of max_connections is in use: 0 full service, 1 degraded, 2 critical, 3 overloaded.",
);
/// Draining.
pub const DRAINING: Definition = gauge("portti_draining", &[], "Whether the process is shutting down: 1 or 0.");
/// Reloads.
pub const CONFIG_RELOADS: Definition = counter(
    "portti_config_reloads_total",
    &["result"],
    "Reloads of the config file since the start, by result: ok or error.",
);
/// Last reload.
pub const CONFIG_LAST_OK: Definition =
    gauge("portti_config_last_reload_successful", &[], "Whether the file as it was last read is what runs: 1 or 0.");
/// Last good reload.
pub const CONFIG_LAST_AT: Definition = gauge(
    "portti_config_last_reload_timestamp_seconds",
    &[],
    "When the config that runs was applied, in seconds since 1970.",
);
/// Its bound.
pub const MAX_CONNECTIONS: Definition =
    gauge("portti_max_connections", &[], "Live sessions that there may be (server.max_connections).");
/// The deep health.
pub const HEALTH: Definition =
    gauge("portti_health", &["check"], "What /health/deep says of each check: 0 ok, 1 degraded, 2 down.");
/// Log lines.
pub const LOG_DROPPED: Definition = counter(
    "portti_log_lines_dropped_total",
    &[],
    "Log lines lost because standard error did not take them fast enough.",
);
/// Repeated log lines.
pub const LOG_LEFT_OUT: Definition = counter(
    "portti_log_lines_left_out_total",
    &[],
    "Log lines left out because the same had been said less than a second before.",
);
/// The admin server.
pub const ADMIN_REQUESTS: Definition = counter(
    "portti_admin_requests_total",
    &["path", "code"],
    "Requests to the admin server, by the path as the API has it and the status of the answer.",
);
/// State file.
pub const STATE_WRITES: Definition =
    counter("portti_state_writes_total", &["result"], "Writes of the state file, by result: ok or failed.");
/// Exported spans.
pub const SPANS_EXPORTED: Definition =
    counter("portti_spans_exported_total", &[], "Spans that the collector of traces has taken.");
/// Spans that are lost.
pub const SPANS_DROPPED: Definition =
    counter("portti_spans_dropped_total", &["reason"], "Spans left out, by reason: queue_full or export_failed.");
/// Build.
pub const BUILD_INFO: Definition = gauge("portti_build_info", &["version"], "Always 1; tells the version.");

/// All of them, in the order in which a scrape shows them.
pub const ALL: &[Definition] = &[
    SESSIONS_ACTIVE,
    SESSIONS,
    SESSION_DURATION,
    BYTES,
    DRY_RUN,
    BANS,
    BANNED,
    BANS_BY_HAND,
    MAINTENANCE,
    LISTENER_MAX_CONNECTIONS,
    LISTENER_RESERVED,
    LISTENER_RESERVED_ACTIVE,
    ARRIVALS_WAITING,
    ARRIVAL_WAIT,
    HANDSHAKES_WAITING,
    HANDSHAKE_WAIT,
    ACCEPT_ERRORS,
    REQUESTS,
    REQUEST_DURATION,
    REQUESTS_REFUSED,
    REQUESTS_IN_FLIGHT,
    CERTIFICATE_NOT_AFTER,
    BACKEND_SESSIONS_ACTIVE,
    BACKEND_SESSIONS,
    BACKEND_CONNECT,
    BACKEND_FAILURES,
    BACKEND_CIRCUIT,
    BACKEND_TRANSITIONS,
    BACKEND_ELIGIBLE,
    BACKEND_ADMIN,
    BACKEND_WEIGHT,
    BACKEND_UP,
    HEALTH_CHECKS,
    BACKEND_PLAYERS,
    CONNECT_RETRIES,
    POOL_PANIC,
    QUEUE_DEPTH,
    QUEUE_WAIT,
    SERVICE_LEVEL,
    DRAINING,
    CONFIG_RELOADS,
    CONFIG_LAST_OK,
    CONFIG_LAST_AT,
    MAX_CONNECTIONS,
    HEALTH,
    LOG_DROPPED,
    LOG_LEFT_OUT,
    ADMIN_REQUESTS,
    STATE_WRITES,
    SPANS_EXPORTED,
    SPANS_DROPPED,
    BUILD_INFO,
];
