//! Numbers of the API as a person reads them; what is missing is a dash.

use std::time::Duration;

use serde_json::Value;

/// Units of bytes, each 1024 times the one before it. The dashboard has the same.
const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// Bytes, to three digits.
pub(super) fn bytes(value: &Value) -> String {
    let Some(bytes) = value.as_u64() else { return "-".to_owned() };
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let digits = if amount < 9.95 { 1 } else { 0 };
    format!("{amount:.digits$} {}", UNITS[unit])
}

/// Milliseconds of a session's life: `4h 3m`.
pub(super) fn age(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |millis| span(Duration::from_millis(millis)))
}

/// The two largest units of a time: nobody who waits an hour counts its seconds.
pub(super) fn span(time: Duration) -> String {
    let whole = humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Milliseconds, to a tenth where that says anything, or a hundredth.
pub(super) fn millis(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(millis) if millis < 0.995 => format!("{millis:.2} ms"),
        Some(millis) if millis < 99.95 => format!("{millis:.1} ms"),
        Some(millis) => format!("{millis:.0} ms"),
    }
}

/// Microseconds of a round trip, as milliseconds.
pub(super) fn micros(value: &Value) -> String {
    millis(&value.as_f64().map_or(Value::Null, |micros| (micros / 1000.0).into()))
}

/// So many of them.
pub(super) fn count(number: u64, of: &str) -> String {
    if number == 1 { format!("1 {of}") } else { format!("{number} {of}s") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_units_that_people_use() {
        let all = [0, 1023, 1024, 1536, 10 * 1024, 1_048_575, 5_368_709_120_u64].map(|number| bytes(&json!(number)));
        assert_eq!(all, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10 KiB", "1.0 MiB", "5.0 GiB"]);
        assert_eq!([0, 999, 61_000, 3_725_000].map(|millis| age(&json!(millis))), ["0s", "0s", "1m 1s", "1h 2m"]);
        assert_eq!([0.04, 1.0, 12.34].map(|number| millis(&json!(number))), ["0.04 ms", "1.0 ms", "12.3 ms"]);
        assert_eq!(millis(&json!(250.6)), "251 ms");
        assert_eq!(micros(&json!(18_500)), "18.5 ms");
        assert_eq!([count(1, "session"), count(2, "session")], ["1 session", "2 sessions"]);
    }

    #[test]
    fn the_dashboard_has_the_same_units_of_bytes() {
        let page = include_str!("../control/dashboard.html");
        let units = UNITS.map(|unit| format!("'{unit}'")).join(", ");
        let function = page.split("function bytes(n) {").nth(1).unwrap().split("\n}").next().unwrap();
        for part in [&format!("[{units}]"), "n < 1024", "n /= 1024", "n >= 999.5", "n < 9.95 ? 1 : 0"] {
            assert!(function.contains(part), "{part}");
        }
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        assert_eq!([bytes, age, millis, micros].map(|unit| unit(&Value::Null)), ["-"; 4]);
    }
}
