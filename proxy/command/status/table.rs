//! The status as a person reads it.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

/// All of it. `verdict` is what `/readyz` says.
pub(super) fn of(status: &Value, verdict: &str) -> String {
    let mut page = String::new();
    let listeners = rows(&status["listeners"]).map(listener).collect();
    let backends = rows(&status["pools"])
        .flat_map(|pool| rows(&pool["backends"]).map(|backend| self::backend(&pool["name"], backend)))
        .collect();
    page.push_str(&summary(status, verdict));
    page.push('\n');
    table(&mut page, ["LISTENER", "ADDRESS", "MODE", "POOL", "SESSIONS", "TOTAL"], listeners);
    page.push('\n');
    table(&mut page, ["POOL", "BACKEND", "HEALTH", "CIRCUIT", "SESSIONS", "TOTAL", "FAILED", "TAKES NEW"], backends);
    page
}

fn summary(status: &Value, verdict: &str) -> String {
    let up = Duration::from_secs(status["uptime_seconds"].as_u64().unwrap_or_default());
    let text = |key: &str| cell(&status[key]);
    let mut page = format!("portti {}: {verdict}, up {}\n", text("version"), humantime::format_duration(up));
    let (active, room, level) = (text("sessions_active"), text("max_connections"), text("service_level"));
    // Writing to a text cannot fail.
    let _ = writeln!(page, "sessions: {active} of {room}, level {level}");
    if let Some(drain) = status.get("drain") {
        let _ = writeln!(page, "draining: {} s until those that are left are ended", cell(&drain["seconds_left"]));
    }
    let config = &status["config"];
    let _ = writeln!(page, "config: {}, generation {}", cell(&config["path"]), cell(&config["generation"]));
    if let Some(problem) = config["last_reload"]["error"].as_str() {
        let _ = writeln!(page, "the last reload was refused, what ran before goes on:\n{}", problem.trim_end());
    }
    for key in rows(&config["last_reload"]["needs_restart"]) {
        let _ = writeln!(page, "{} needs a restart", cell(key));
    }
    page
}

fn listener(listener: &Value) -> [String; 6] {
    let address = match &listener["bind"] {
        Value::Array(several) => several.iter().map(cell).collect::<Vec<_>>().join(","),
        one => cell(one),
    };
    let of = |key: &str| cell(&listener[key]);
    [of("name"), address, of("mode"), of("pool"), of("sessions_active"), of("sessions_total")]
}

fn backend(pool: &Value, backend: &Value) -> [String; 8] {
    let of = |key: &str| cell(&backend[key]);
    let takes_new = if backend["eligible"] == true { "yes" } else { "no" };
    [
        cell(pool),
        of("address"),
        of("health"),
        of("circuit"),
        of("sessions_active"),
        of("sessions_total"),
        of("failures_total"),
        takes_new.to_owned(),
    ]
}

/// Columns as wide as their widest cell; texts to the left, numbers to the right.
fn table<const N: usize>(page: &mut String, head: [&str; N], rows: Vec<[String; N]>) {
    let all: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| all.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    for row in all {
        let mut line = String::new();
        for (cell, width) in row.into_iter().zip(widths) {
            let is_number = cell.parse::<u64>().is_ok();
            let _ = if is_number { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:width$}  ") };
        }
        page.push_str(line.trim_end());
        page.push('\n');
    }
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text without its quotes; what is missing is a dash.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_has_what_a_person_looks_for() {
        let status = json!({
            "version": "0.1.0", "uptime_seconds": 3725, "service_level": "full", "sessions_active": 12,
            "max_connections": 10000, "drain": {"sessions_left": 12, "seconds_left": 20},
            "config": {"path": "portti.toml", "generation": 3,
                       "last_reload": {"error": "portti.toml:3: no such pool\n", "needs_restart": ["admin.bind"]}},
            "listeners": [
                {"name": "game", "mode": "tcp", "bind": ["0.0.0.0:1", "[::]:1"], "pool": "game", "sessions_active": 12, "sessions_total": 4711},
                {"name": "tls", "mode": "tcp", "bind": "0.0.0.0:2", "sessions_active": 0, "sessions_total": 0},
            ],
            "pools": [{"name": "game", "backends": [
                {"address": "10.0.0.1:7", "health": "down", "circuit": "open", "eligible": false,
                 "sessions_active": 12, "sessions_total": 4711, "failures_total": 5},
            ]}],
        });
        let expected = "\
portti 0.1.0: draining, up 1h 2m 5s
sessions: 12 of 10000, level full
draining: 20 s until those that are left are ended
config: portti.toml, generation 3
the last reload was refused, what ran before goes on:
portti.toml:3: no such pool
admin.bind needs a restart

LISTENER  ADDRESS           MODE  POOL  SESSIONS  TOTAL
game      0.0.0.0:1,[::]:1  tcp   game        12   4711
tls       0.0.0.0:2         tcp   -            0      0

POOL  BACKEND     HEALTH  CIRCUIT  SESSIONS  TOTAL  FAILED  TAKES NEW
game  10.0.0.1:7  down    open           12   4711       5  no
";
        assert_eq!(of(&status, "draining"), expected);
    }

    #[test]
    fn an_older_or_newer_status_leaves_holes_and_nothing_worse() {
        assert!(of(&json!({}), "ready").starts_with("portti -: ready, up 0s\n"));
    }
}
