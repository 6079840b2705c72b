//! The status as a person reads it.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::super::table::{cell, counts, list, rows, table};
use super::super::units::{micros, millis};

mod trouble;

/// All of it. `verdict` is what `/readyz` says.
pub(super) fn of(status: &Value, verdict: &str) -> String {
    let mut page = summary(status, verdict);
    page.push('\n');
    let head = ["LISTENER", "ADDRESS", "MODE", "POOL", "STATE", ">SESSIONS", ">TOTAL"];
    table(&mut page, head, rows(&status["listeners"]).map(listener));
    page.push('\n');
    let head = [
        "POOL",
        "BACKEND",
        "STATE",
        "HEALTH",
        "CIRCUIT",
        ">WEIGHT",
        ">SESSIONS",
        ">TOTAL",
        ">FAILED",
        ">CONNECT",
        ">RTT",
        "TAKES NEW",
    ];
    let backends = rows(&status["pools"])
        .flat_map(|pool| rows(&pool["backends"]).map(|backend| self::backend(&pool["name"], backend)));
    let removed = rows(&status["removed_backends"]).map(|backend| self::backend(&backend["pool"], backend));
    table(&mut page, head, backends.chain(removed));
    page.push_str(&trouble::of(status));
    page
}

fn summary(status: &Value, verdict: &str) -> String {
    let up = Duration::from_secs(status["uptime_seconds"].as_u64().unwrap_or_default());
    let text = |key: &str| cell(&status[key]);
    let mut page = format!("portti {}: {verdict}, up {}\n", text("version"), humantime::format_duration(up));
    let (active, room, level) = (text("sessions_active"), text("max_connections"), text("service_level"));
    // Writing to a text cannot fail.
    let _ = writeln!(page, "sessions: {active} of {room}, level {level}");
    let refused = counts(&status["refused_total"]);
    if !refused.is_empty() {
        let _ = writeln!(page, "refused so far: {refused}");
    }
    if let Some(drain) = status.get("drain") {
        let _ = writeln!(page, "draining: {} s until those that are left are ended", cell(&drain["seconds_left"]));
    }
    page + &process(status)
}

/// What of the process itself is worth a line.
fn process(status: &Value) -> String {
    let (config, log) = (&status["config"], &status["log"]);
    let mut page = format!("config: {}, generation {}\n", cell(&config["path"]), cell(&config["generation"]));
    if let Some(problem) = config["last_reload"]["error"].as_str() {
        let _ = writeln!(page, "the last reload was refused, what ran before goes on:\n{}", problem.trim_end());
    }
    for key in rows(&config["last_reload"]["needs_restart"]) {
        let _ = writeln!(page, "{} needs a restart", cell(key));
    }
    if log["by"].as_str().is_some_and(|by| by != "file") {
        let _ = writeln!(page, "log level: {}, by {}", cell(&log["level"]), cell(&log["by"]));
    }
    page
}

fn listener(listener: &Value) -> [String; 7] {
    let of = |key: &str| cell(&listener[key]);
    let state = listener["maintenance"].as_bool().map(|maintenance| if maintenance { "maintenance" } else { "open" });
    [
        of("name"),
        list(&listener["bind"]),
        of("mode"),
        of("pool"),
        by_hand(state.unwrap_or("-").to_owned(), &listener["maintenance_by"]),
        of("sessions_active"),
        of("sessions_total"),
    ]
}

fn backend(pool: &Value, backend: &Value) -> [String; 12] {
    let of = |key: &str| cell(&backend[key]);
    let takes_new = if backend["eligible"] == true { "yes" } else { "no" };
    let sessions = match backend["max_connections"].as_u64() {
        Some(most) => format!("{}/{most}", of("sessions_active")),
        None => of("sessions_active"),
    };
    [
        cell(pool),
        of("address"),
        if backend["removed"] == true { "removed".to_owned() } else { by_hand(of("admin"), &backend["admin_by"]) },
        of("health"),
        of("circuit"),
        by_hand(of("weight"), &backend["weight_by"]),
        sessions,
        of("sessions_total"),
        of("failures_total"),
        millis(&backend["connect_ms"]["median"]),
        micros(&backend["players_rtt_us"]["median"]),
        takes_new.to_owned(),
    ]
}

/// What was set by hand wins over the file until it is cleared, so it has to be seen.
fn by_hand(what: String, by: &Value) -> String {
    if by == "hand" { what + " by hand" } else { what }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_has_what_a_person_looks_for() {
        let status = json!({
            "version": "0.1.0", "uptime_seconds": 3725, "service_level": "full", "sessions_active": 12,
            "max_connections": 10000, "refused_total": {"denied": 3, "shed": 0}, "log": {"level": "debug", "by": "hand"}, "drain": {"sessions_left": 12, "seconds_left": 20},
            "config": {"path": "portti.toml", "generation": 3,
                       "last_reload": {"error": "portti.toml:3: no such pool\n", "needs_restart": ["admin.bind"]}},
            "listeners": [
                {"name": "game", "mode": "tcp", "bind": ["0.0.0.0:1", "[::]:1"], "pool": "game", "maintenance": true,
                 "maintenance_by": "hand", "sessions_active": 12, "sessions_total": 4711},
                {"name": "tls", "mode": "tcp", "bind": "0.0.0.0:2", "maintenance": false, "maintenance_by": "file",
                 "sessions_active": 0, "sessions_total": 0},
            ],
            "pools": [{"name": "game", "backends": [
                {"address": "10.0.0.1:7", "admin": "ready", "health": "up", "circuit": "closed", "eligible": true, "weight": 5,
                 "weight_by": "hand", "max_connections": 500, "sessions_active": 9, "sessions_total": 4711, "failures_total": 0,
                 "connect_ms": {"median": 0.4, "p99": 3.0}, "players_rtt_us": {"median": 31_000, "p99": 90_000}},
                {"address": "10.0.0.2:7", "admin": "drain", "admin_by": "hand", "health": "up", "circuit": "closed",
                 "eligible": false, "weight": 1, "weight_by": "file", "sessions_active": 3, "sessions_total": 9,
                 "failures_total": 0},
            ]}],
            "removed_backends": [
                {"pool": "old", "address": "10.0.0.3:7", "removed": true, "admin": "drain", "admin_by": "hand", "health": "unknown",
                 "circuit": "closed", "eligible": false, "weight": 0, "weight_by": "file", "sessions_active": 2, "sessions_total": 8,
                 "failures_total": 0},
            ],
        });
        let expected = "\
portti 0.1.0: draining, up 1h 2m 5s
sessions: 12 of 10000, level full
refused so far: denied 3
draining: 20 s until those that are left are ended
config: portti.toml, generation 3
the last reload was refused, what ran before goes on:
portti.toml:3: no such pool
admin.bind needs a restart
log level: debug, by hand

LISTENER  ADDRESS           MODE  POOL  STATE                SESSIONS  TOTAL
game      0.0.0.0:1,[::]:1  tcp   game  maintenance by hand        12   4711
tls       0.0.0.0:2         tcp   -     open                        0      0

POOL  BACKEND     STATE          HEALTH   CIRCUIT     WEIGHT  SESSIONS  TOTAL  FAILED  CONNECT      RTT  TAKES NEW
game  10.0.0.1:7  ready          up       closed   5 by hand     9/500   4711       0  0.40 ms  31.0 ms  yes
game  10.0.0.2:7  drain by hand  up       closed           1         3      9       0        -        -  no
old   10.0.0.3:7  removed        unknown  closed           0         2      8       0        -        -  no

game 10.0.0.2:7 takes nobody new: drain by hand
";
        assert_eq!(of(&status, "draining"), expected);
    }

    #[test]
    fn an_older_or_newer_status_leaves_holes_and_nothing_worse() {
        assert!(of(&json!({}), "ready").starts_with("portti -: ready, up 0s\n"));
    }
}
