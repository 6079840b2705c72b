//! Whom listeners let in: `[server.levels]`, `[server.reconnect]`, and keys of `[listeners.NAME]`.

use std::sync::Arc;
use std::time::Duration;

use super::slots::{self, Slots};
use super::{Problem, networks};
use crate::admission::addresses::PerAddress;
use crate::admission::ban;
use crate::admission::level::{Level, Shares};
use crate::admission::pace;
use crate::admission::rate::Limit;
use crate::admission::reconnect::Rule;
use crate::config::model::Admission;
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::Rate;

pub(super) fn levels(section: &mut Section<'_>) -> Shares {
    let defaults = Shares::default();
    let degraded = section.setting("degraded", defaults.degraded, Value::share);
    let critical = section.setting("critical", defaults.critical, Value::share);
    let overloaded = section.setting("overloaded", defaults.overloaded, Value::share);
    for (lower, upper, names) in
        [(&degraded, &critical, ["degraded", "critical"]), (&critical, &overloaded, ["critical", "overloaded"])]
    {
        if lower.value > upper.value && !(lower.is_refused() || upper.is_refused()) {
            let message = format!("{} ({}) begins above {} ({})", names[0], lower.value, names[1], upper.value);
            section.add(
                Problem::error(lower.blamed(upper), message).hint("each begins where the one before does, or above"),
            );
        }
    }
    Shares { degraded: degraded.value, critical: critical.value, overloaded: overloaded.value }
}

pub(super) fn reconnect(section: &mut Section<'_>) -> Rule {
    let defaults = Rule::default();
    let min_session = section.setting("min_session", defaults.min_session, Value::duration_or_zero);
    let window = section.setting("window", defaults.window, Value::duration);
    Rule { min_session: min_session.value, window: window.value }
}

/// The keys of a listener.
pub(super) fn of_listener(section: &mut Section<'_>) -> (Admission, Slots, bool) {
    let shed_at = section.setting("shed_at", Level::Overloaded, |value| value.word(&LEVELS, &[]));
    let maintenance = section.setting("maintenance", false, Value::flag);
    let staff = networks::read(section, "staff");
    let trusted = networks::read(section, "trusted");
    let allow = networks::read(section, "allow");
    let wide = section.setting("deny_wide_networks", false, Value::flag);
    let deny = networks::read_narrow(section, "deny", wide.value);
    let deny_file = section.setting("deny_file", None, |value| value.file().map(Some));
    let slots = slots::read(section, !(staff.value.is_empty() && trusted.value.is_empty()));
    let (per_address, is_limited) = per_address(section);
    let (arrivals, handshakes) = paces(section);
    let dry_run = section.setting("dry_run", false, Value::flag);
    let ban = section.optional("ban", ban);
    if maintenance.value {
        section.add(Problem::warning(&maintenance.place, "nobody but staff may come in"));
    }
    let is_limited_per_address = is_limited || !allow.value.is_empty();
    let model = Admission {
        shed_at: shed_at.value,
        maintenance: maintenance.value,
        staff: staff.value,
        trusted: trusted.value,
        allow: allow.value,
        deny: deny.value,
        deny_file: deny_file.value,
        deny_list: Arc::default(),
        deny_wide_networks: wide.value,
        per_address,
        arrivals,
        handshakes,
        slots: slots.model(),
        dry_run: dry_run.value,
        ban,
    };
    (model, slots, is_limited_per_address)
}

fn ban(section: &mut Section<'_>) -> ban::Rule {
    let after = section.setting("after", BAN_AFTER, |value| value.whole(1..=BURST_MAX));
    let within = section.setting("within", BAN_WITHIN, Value::duration);
    let lasts = section.setting("for", BAN_FOR, Value::duration);
    ban::Rule { after: after.value, within: within.value, lasts: lasts.value }
}

/// What one address may have, and whether the file says so, be it that there is no limit.
fn per_address(section: &mut Section<'_>) -> (PerAddress, bool) {
    let max_connections = section.setting("max_connections_per_ip", None, |value| {
        if value.is_off() { Some(None) } else { value.whole(1..=u32::MAX).map(Some) }
    });
    let rate = section.setting("rate_per_ip", None, |value| {
        if value.is_off() { Some(None) } else { value.parse(str::parse::<Rate>).map(Some) }
    });
    let burst = section.setting("burst_per_ip", None, |value| value.whole(1..=BURST_MAX).map(Some));
    let prefix = |section: &mut Section<'_>, key, most: u8| {
        section.setting(key, if most == 32 { 32 } else { 64 }, |value| {
            value.whole(1..=most.into()).and_then(|bits| u8::try_from(bits).ok())
        })
    };
    let (prefix_v4, prefix_v6) = (prefix(section, "ip_prefix_v4", 32), prefix(section, "ip_prefix_v6", 128));
    if burst.is_written() && rate.value.is_none() && !rate.is_refused() {
        let message = "burst_per_ip is without effect while rate_per_ip is off";
        section.add(Problem::warning(&burst.place, message).hint(r#"for example rate_per_ip = "10/s""#));
    }
    let limits = PerAddress {
        max_connections: max_connections.value,
        rate: rate.value.map(|rate| Limit { rate, burst: burst.value.unwrap_or_else(|| rate.a_second()) }),
        prefix_v4: prefix_v4.value,
        prefix_v6: prefix_v6.value,
    };
    (limits, max_connections.is_written() || rate.is_written())
}

/// `accept_rate` and `handshake_rate`, and how clients wait for either.
fn paces(section: &mut Section<'_>) -> (Option<pace::Rule>, Option<pace::Rule>) {
    let rate = |value: &Value<'_>| if value.is_off() { Some(None) } else { value.parse(str::parse::<Rate>).map(Some) };
    let accept_rate = section.setting("accept_rate", None, rate);
    let burst = section.setting("accept_burst", None, |value| value.whole(1..=BURST_MAX).map(Some));
    let handshake_rate = section.setting("handshake_rate", None, rate);
    let max_waiting = section.setting("max_waiting", MAX_WAITING, |value| value.whole(0..=WAITING_MAX));
    let wait_timeout = section.setting("wait_timeout", WAIT_TIMEOUT, Value::duration);
    let is_off = |rate: &Setting<Option<Rate>>| rate.value.is_none() && !rate.is_refused();
    let nobody_waits = is_off(&accept_rate) && is_off(&handshake_rate);
    let keys = [
        ("accept_burst", burst.is_written(), &burst.place, is_off(&accept_rate)),
        ("max_waiting", max_waiting.is_written(), &max_waiting.place, nobody_waits),
        ("wait_timeout", wait_timeout.is_written(), &wait_timeout.place, nobody_waits),
    ];
    for (key, is_written, place, is_idle) in keys {
        if is_written && is_idle {
            let message = format!("{key} is without effect while accept_rate is off");
            section.add(Problem::warning(place, message).hint(r#"for example accept_rate = "200/s""#));
        }
    }
    let rule = |rate: Rate, burst: Option<u32>| pace::Rule {
        limit: Limit { rate, burst: burst.unwrap_or_else(|| rate.a_second()) },
        max_waiting: usize::try_from(max_waiting.value).unwrap_or(usize::MAX),
        wait_timeout: wait_timeout.value,
    };
    (accept_rate.value.map(|rate| rule(rate, burst.value)), handshake_rate.value.map(|rate| rule(rate, None)))
}

/// Levels at which a listener may begin to shed: at `full` it would let nobody in.
pub(super) const LEVELS: [(&str, Level); 3] =
    [("degraded", Level::Degraded), ("critical", Level::Critical), ("overloaded", Level::Overloaded)];

/// More often than a player who cannot believe it.
const BAN_AFTER: u32 = 20;

/// A flood is there within a minute; a player's evening is longer.
const BAN_WITHIN: Duration = Duration::from_secs(60);

/// Long enough for a flood to give up, short enough for whoever gets the address next.
const BAN_FOR: Duration = Duration::from_secs(600);

/// Ten seconds of a rate of 200, which is as long as they wait.
const MAX_WAITING: u32 = 2000;

/// More than any process has descriptors for.
const WAITING_MAX: u32 = 1_000_000;

/// What players and games wait for a connection before they give up is rarely less.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// More at once is no limit.
const BURST_MAX: u32 = 1_000_000;
