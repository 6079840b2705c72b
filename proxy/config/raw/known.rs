//! Names that people may give to a key: nearly right ones, and those that it has elsewhere.
//!
//! A key that is renamed gets a line in [`OTHER_NAMES`], so that old files are answered with the new name, or is read by
//! `Section::renamed`, so that they go on working.

/// The known word that `word` was probably meant to be.
pub(in crate::config) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_MAX {
        return None;
    }
    let word = word.to_ascii_lowercase();
    known
        .take(KNOWN_MAX)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What a key of the section `pattern` is called here, in quotes.
pub(super) fn other_name(pattern: &str, name: &str) -> Option<&'static str> {
    let (_, names) = OTHER_NAMES.iter().find(|(section, _)| *section == pattern)?;
    names.iter().find(|(others, _)| others.contains(&name)).map(|(_, called)| *called)
}

/// For each section: names, and what stands for them here.
type OtherNames = (&'static str, &'static [(&'static [&'static str], &'static str)]);

/// By section: names from other proxies and from habit, and what they are called here.
const OTHER_NAMES: &[OtherNames] = &[
    (
        "",
        &[
            (&["listener", "listen", "frontend", "frontends", "entrypoints"], r#""listeners""#),
            (&["pool", "backend", "backends", "upstream", "upstreams", "clusters", "servers"], r#""pools""#),
            (&["global", "main", "process"], r#""server""#),
            (&["logging", "logs"], r#""log""#),
            (&["api", "metrics", "stats"], r#""admin""#),
            (&["trace", "traces", "otel", "opentelemetry", "telemetry"], r#""tracing""#),
            (&["resolver", "resolvers", "nameservers"], r#""dns""#),
            (&["checkpoint", "persistence", "server_state"], r#""state""#),
        ],
    ),
    (
        "server",
        &[
            (&["threads", "worker_threads", "worker_processes", "nbthread"], r#""workers""#),
            (&["max_conns", "maxconn", "max_sessions", "worker_connections"], r#""max_connections""#),
            (&["shutdown_timeout", "grace_period", "graceful_timeout"], r#""drain_timeout""#),
        ],
    ),
    ("admin", &[(&["listen", "address", "addr"], r#""bind""#)]),
    ("log", &[(&["access_log", "access_logs"], r#""access""#), (&["verbosity", "severity"], r#""level""#)]),
    (
        "tracing",
        &[
            (&["endpoint", "url", "collector", "address", "exporter"], r#""otlp""#),
            (&["sampling", "sample_rate", "sampler", "ratio", "rate"], r#""sample""#),
        ],
    ),
    ("state", &[(&["path", "server_state_file", "location"], r#""file""#)]),
    ("dns", &[(&["nameservers", "resolvers", "addresses"], r#""servers""#)]),
    (
        "listeners.*",
        &[
            (&["listen", "address", "addresses", "addr", "port"], r#""bind""#),
            (&["backend", "upstream", "default_backend", "proxy_pass"], r#""pool""#),
            (&["protocol", "type", "proto"], r#""mode""#),
            (&["reuseport", "so_reuseport"], r#""reuse_port""#),
            (&["canary", "split", "traffic_split"], r#""rollout""#),
            (&["message", "texts", "errors", "kick_messages"], r#""messages""#),
            (&["client_header_timeout", "timeout_http_request", "request_headers_timeout"], r#""header_timeout""#),
            (&["timeout_http_keep_alive", "keep_alive_timeout"], r#""keepalive_timeout""#),
            (&["client_body_timeout", "request_body_timeout"], r#""body_timeout""#),
            (&["timeout_client", "write_timeout", "stream_idle_timeout"], r#""send_timeout""#),
            (&["normalize_path", "normalize_uri", "merge_slashes"], r#""path_normalize""#),
            (&["connection_rate", "max_connection_rate", "connect_rate"], r#""accept_rate""#),
            (&["ssl_rate", "maxsslrate", "tls_rate", "max_handshakes", "ssl_handshake_rate"], r#""handshake_rate""#),
            (&["max_conns", "maxconn", "max_sessions", "connection_limit"], r#""max_connections""#),
            (&["reserved_connections", "reserve", "maxconn_reserved"], r#""reserved""#),
            (&["limit_conn", "conn_limit", "max_connections_per_client"], r#""max_connections_per_ip""#),
            (&["limit_req", "rate_limit", "connections_per_second"], r#""rate_per_ip""#),
        ],
    ),
    ("listeners.*.messages", &[(&["language", "type", "kind", "mode"], r#""protocol""#), (&["motd"], r#""default""#)]),
    (
        "listeners.*.rollout",
        &[
            (&["weight", "share", "percentage"], r#""percent""#),
            (&["backend", "upstream", "to"], r#""pool""#),
            (&["networks", "allow", "source", "sources", "cidrs"], r#""clients""#),
        ],
    ),
    (
        "pools.*",
        &[
            (&["servers", "upstreams", "endpoints", "members", "targets"], r#""backends""#),
            (&["algorithm", "strategy", "policy", "lb_policy", "load_balancing"], r#""balance""#),
            (&["timeout"], r#""connect_timeout", "request_timeout" or "idle_timeout""#),
            (&["response_timeout", "first_byte_timeout"], r#""request_timeout""#),
            (&["timeout_connect", "proxy_connect_timeout"], r#""connect_timeout""#),
            (&["read_timeout", "proxy_timeout"], r#""idle_timeout""#),
            (&["lifetime", "max_age", "max_duration"], r#""max_lifetime""#),
            (
                &[
                    "timeout_client_fin",
                    "timeout_server_fin",
                    "client_fin",
                    "server_fin",
                    "delayed_close_timeout",
                    "linger_timeout",
                ],
                r#""half_close_timeout""#,
            ),
            (&["tcp_ut", "user_timeout"], r#""tcp_user_timeout""#),
            (
                &["tcp_keepalive", "so_keepalive", "clitcpka", "srvtcpka", "proxy_socket_keepalive", "keepalive_time"],
                r#""keepalive""#,
            ),
            (&["max_retries", "tries"], r#""retries""#),
            (&["backoff"], r#""retry_backoff""#),
            (&["circuit_breaker", "outlier_detection"], r#""breaker""#),
            (&["check", "checks", "health_check", "health_checks", "healthcheck"], r#""health""#),
            (&["slowstart", "warmup", "slow_start_window"], r#""slow_start""#),
            (&["backup_pool", "failover"], r#""fallback""#),
            (&["keepalive", "max_idle_connections", "pool_max_conn"], r#""warm_connections""#),
            (&["http2_connections", "max_h2_connections", "max_connection_pools"], r#""h2_connections""#),
        ],
    ),
    (
        "pools.*.backends[]",
        &[
            (&["addr", "host", "server", "url", "ip", "name"], r#""address""#),
            (&["max_conns", "maxconn", "max_sessions"], r#""max_connections""#),
        ],
    ),
    (
        "pools.*.breaker",
        &[
            (&["threshold", "max_failures", "max_fails", "failure_threshold"], r#""failures""#),
            (&["timeout", "open_timeout", "fail_timeout", "cooldown"], r#""open_for""#),
            (&["half_open_max", "half_open_requests"], r#""probes""#),
            (&["max_ejection_percent", "max_ejected_percent"], r#""max_ejected""#),
            (&["failure_types", "errors", "conditions", "error_types", "observe", "fail_on"], r#""counts""#),
            (&["failure_percentage", "error_rate"], r#""failure_rate""#),
            (&["min_requests", "minimum_requests", "request_volume"], r#""min_sessions""#),
        ],
    ),
    (
        "pools.*.queue",
        &[(&["length", "max_length", "maxqueue", "max_size"], r#""size""#), (&["max_wait", "wait"], r#""timeout""#)],
    ),
    (
        "pools.*.health",
        &[
            (&["kind", "protocol", "mode", "check"], r#""type""#),
            (&["inter", "period"], r#""interval""#),
            (&["healthy_threshold", "success_threshold", "passes"], r#""rise""#),
            (&["unhealthy_threshold", "failure_threshold", "fails"], r#""fall""#),
            (&["uri", "url"], r#""path""#),
            (&["statuses", "expect_status", "expected_statuses"], r#""status""#),
            (&["match", "receive", "response"], r#""expect""#),
            (&["request", "payload"], r#""send""#),
        ],
    ),
];

/// No key is as long; what is compared is bounded.
const WORD_MAX: usize = 64;

/// Sections have few keys; among thousands of pools the first must do.
const KNOWN_MAX: usize = 256;
