//! How a portti is that takes newcomers: ready, or what of it is not well.

use serde_json::Value;

/// Checks that are named on the line.
const NAMED: usize = 3;

/// `ready` is what `/readyz` says, which one pool that takes newcomers is enough for; `health` is what `/health/deep` says.
pub(super) fn of(ready: &str, health: &Value) -> String {
    let Some(status) = health["status"].as_str().filter(|&status| status != "ok") else { return ready.to_owned() };
    let checks = health["checks"].as_object().into_iter().flatten();
    let mut bad: Vec<_> = checks.filter_map(|(name, check)| Some((name, check.as_str()?))).collect();
    bad.retain(|(_, check)| *check != "ok");
    // What is down first.
    bad.sort_by_key(|(_, check)| !check.starts_with("down"));
    let mut words: Vec<_> = bad.iter().take(NAMED).map(|(name, check)| in_words(name, check)).collect();
    if bad.len() > NAMED {
        words.push(format!("{} more, see /health/deep", bad.len() - NAMED));
    }
    if words.is_empty() { status.to_owned() } else { format!("{status}: {}", words.join("; ")) }
}

/// A check as `/health/deep` has it, without what the line begins with anyway.
fn in_words(name: &str, check: &str) -> String {
    let check = check.lines().next().unwrap_or_default();
    format!("{name} {}", check.strip_prefix("degraded: ").unwrap_or(check))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_well_is_called_ready() {
        let of = |status: &str, checks: Value| of("ready", &json!({"status": status, "checks": checks}));
        assert_eq!(of("ok", json!({"pool:game": "ok"})), "ready");
        let dead = json!({
            "config": "degraded: last reload failed: error: no such pool\n --> portti.toml:3",
            "pool:game": "down: 0 of 2 backends eligible",
            "pool:lobby": "ok",
        });
        let expected =
            "degraded: pool:game down: 0 of 2 backends eligible; config last reload failed: error: no such pool";
        assert_eq!(of("degraded", dead), expected);
        let many: serde_json::Map<_, _> =
            (0..5).map(|number| (format!("pool:{number}"), json!("degraded: 1 of 2 backends eligible"))).collect();
        let words = of("degraded", Value::Object(many));
        assert!(words.ends_with("; pool:2 1 of 2 backends eligible; 2 more, see /health/deep"), "{words}");
    }

    #[test]
    fn another_version_leaves_what_is_known() {
        assert_eq!(of("ready", &Value::Null), "ready");
        assert_eq!(of("ready", &json!({"status": "degraded"})), "degraded");
    }
}
