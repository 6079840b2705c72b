//! `[pools.NAME.breaker]`.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Problem;
use crate::config::model::EjectionLimit;
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::Share;
use crate::config::scalar::duration::Shown;
use crate::pool::breaker::{Counted, FailureRate, Kind, Rule};

/// The rule of each backend's circuit, how many backends may be out at once, and which answers to requests are failures.
pub(super) fn read(section: &mut Section<'_>) -> (Rule, EjectionLimit, Vec<u16>) {
    let failures =
        section.setting("failures", FAILURES, |value| value.whole(1..=FAILURES_MAX).and_then(NonZeroU32::new));
    let open_for = section.setting("open_for", OPEN_FOR, Value::duration);
    let max_open_for = section.setting("max_open_for", MAX_OPEN_FOR, Value::duration);
    let probes = section.setting("probes", PROBES, |value| value.whole(1..=PROBES_MAX).and_then(NonZeroU32::new));
    let max_ejected =
        section.renamed("max_out", "max_ejected", EjectionLimit::Half, |value| value.share().map(EjectionLimit::Share));
    let status = section.setting("status", Vec::new(), |value| value.each("[502, 503, 504]", failing));
    let counts = counts(section, &status);
    if open_for.value > max_open_for.value && !(open_for.is_refused() || max_open_for.is_refused()) {
        let longest = Shown(max_open_for.value);
        let message = format!("open_for ({}) is longer than max_open_for ({longest})", Shown(open_for.value));
        let problem = Problem::error(open_for.blamed(&max_open_for), message);
        section.add(problem.hint("openings grow from open_for to max_open_for"));
    }
    let rule = Rule {
        failures: failures.value,
        open_for: open_for.value,
        max_open_for: max_open_for.value,
        probes: probes.value,
        failure_rate: failure_rate(section),
        counts,
    };
    (rule, max_ejected.value, status.value)
}

/// Which failures count.
fn counts(section: &mut Section<'_>, status: &Setting<Vec<u16>>) -> Counted {
    let words = Kind::ALL.map(|kind| (kind.as_str(), kind));
    let counts = section.setting("counts", Counted::ALL, |value| {
        value
            .each(r#"["connect", "reset", "timeout"]"#, |value| value.word(&words, &[]))
            .map(|kinds| Counted::new(&kinds))
    });
    if counts.value == Counted::new(&[]) && status.value.is_empty() && !status.is_refused() {
        let problem = Problem::warning(&counts.place, "no failure is counted, so no circuit ever opens");
        section.add(problem.hint("name a kind, or statuses of answers in status"));
    }
    counts.value
}

/// A status that is a server's fault. What it says of clients says nothing of the server.
fn failing(value: &Value<'_>) -> Option<u16> {
    value.whole(500..=599).and_then(|status| u16::try_from(status).ok())
}

fn failure_rate(section: &mut Section<'_>) -> Option<FailureRate> {
    let share = section
        .setting("failure_rate", None, |value| if value.is_off() { Some(None) } else { value.share().map(Some) });
    let window = section.setting("window", WINDOW, Value::duration);
    let min_sessions =
        section.setting("min_sessions", MIN_SESSIONS, |value| value.whole(1..=FAILURES_MAX).and_then(NonZeroU32::new));
    let Some(found) = share.value else {
        if !share.is_refused() {
            needless(section, "window", &window);
            needless(section, "min_sessions", &min_sessions);
        }
        return None;
    };
    if found == Share::NONE {
        let problem = Problem::error(&share.place, "a failure rate of 0% would open the circuit for nothing");
        section.add(problem.hint(r#"write "off" for none"#));
    }
    Some(FailureRate { share: found, window: window.value, min_sessions: min_sessions.value })
}

fn needless<T>(section: &Section<'_>, key: &str, setting: &Setting<T>) {
    if setting.is_written() {
        let message = format!("{key} is without effect while failure_rate is off");
        section.add(Problem::warning(&setting.place, message).hint(r#"for example failure_rate = "50%""#));
    }
}

/// A single failure may be the client's or the network's fault; five in a row are the backend's.
const FAILURES: NonZeroU32 = NonZeroU32::new(5).expect("5 is not 0");

/// A circuit that needs more will never open.
const FAILURES_MAX: u32 = 1_000_000;

/// About a game server's restart.
const OPEN_FOR: Duration = Duration::from_secs(30);

/// The longest that a repaired backend has to wait for its next probe.
const MAX_OPEN_FOR: Duration = Duration::from_secs(300);

/// One player at a time is put at risk.
const PROBES: NonZeroU32 = NonZeroU32::MIN;

/// More probes than this are simply traffic.
const PROBES_MAX: u32 = 1000;

/// Long enough to have seen a few dozen players come, short enough to forget what has been mended.
const WINDOW: Duration = Duration::from_secs(30);

/// Half of three players proves nothing.
const MIN_SESSIONS: NonZeroU32 = NonZeroU32::new(20).expect("20 is not 0");
