//! Why a backend takes nobody new: what a person looks for first.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::super::table::{cell, counts, rows};

/// A line for each backend that is out, behind an empty one; nothing if there is none.
pub(super) fn of(status: &Value) -> String {
    let mut lines = String::new();
    for pool in rows(&status["pools"]) {
        for backend in rows(&pool["backends"]).filter(|backend| backend["eligible"] == false) {
            let (pool, address) = (cell(&pool["name"]), cell(&backend["address"]));
            // Writing to a text cannot fail.
            let _ = writeln!(lines, "{pool} {address} takes nobody new: {}", reasons(backend).join("; "));
        }
    }
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn reasons(backend: &Value) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(admin) = backend["admin"].as_str().filter(|&admin| admin != "ready") {
        reasons.push(format!("{admin} by hand"));
    }
    if backend["health"] == "down" {
        reasons.push(format!("its health check fails ({})", cell(&backend["last_check"]["error"])));
    }
    if let Some(circuit) = backend["circuit"].as_str().filter(|&circuit| circuit != "closed") {
        reasons.push(format!("its circuit is {circuit}"));
    }
    let failures = counts(&backend["failures"]);
    if !failures.is_empty() {
        reasons.push(format!("failures so far: {failures}"));
    }
    let last = &backend["last_event"];
    if last["text"].is_string() {
        reasons.push(format!("last: {} {}", cell(&last["at"]), cell(&last["text"])));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sick_backend_says_all_that_ails_it() {
        let sick = json!({
            "address": "a:1", "eligible": false, "admin": "ready", "health": "down", "circuit": "open",
            "last_check": {"error": "timed out"}, "failures": {"connect_failed": 5, "request_timeout": 0},
            "last_event": {"at": "12:00", "level": "warn", "text": "circuit opened"},
        });
        let healthy = json!({"address": "b:1", "eligible": true, "failures": {"connect_failed": 1}});
        let status = json!({"pools": [{"name": "game", "backends": [sick, healthy]}]});
        let expected = "\ngame a:1 takes nobody new: its health check fails (timed out); its circuit is open; failures so far: \
                        connect_failed 5; last: 12:00 circuit opened\n";
        assert_eq!(of(&status), expected);
        assert_eq!(of(&json!({"pools": []})), "");
    }
}
