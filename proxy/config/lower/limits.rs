//! What bounds the sessions of a pool in time: the keys of `[pools.NAME]` that can be off.

use std::time::Duration;

use super::Problem;
use crate::config::raw::{Section, Value};
use crate::config::scalar::duration::Shown;
use crate::relay::Liveness;

/// The limits that can be off.
pub(super) struct Limits {
    pub(super) request_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) half_close_timeout: Option<Duration>,
    pub(super) liveness: Liveness,
}

pub(super) fn read(section: &mut Section<'_>) -> Limits {
    let request = section.setting("request_timeout", Some(REQUEST_TIMEOUT), Value::duration_or_off);
    let idle = section.setting("idle_timeout", Some(IDLE_TIMEOUT), Value::duration_or_off);
    let lifetime = section.setting("max_lifetime", None, Value::duration_or_off);
    let half_close = section.setting("half_close_timeout", Some(HALF_CLOSE_TIMEOUT), Value::duration_or_off);
    if idle.value.is_none() && lifetime.value.is_none() && !lifetime.is_refused() {
        let message = "without idle_timeout and max_lifetime, a client that vanished may hold its session for hours";
        section.add(Problem::warning(idle.blamed(&lifetime), message).hint("set one of them"));
    }
    if let (Some(idle_limit), Some(request_limit)) = (idle.value, request.value)
        && idle_limit < request_limit
        && !(idle.is_refused() || request.is_refused())
    {
        let (idle_limit, request_limit) = (Shown(idle_limit), Shown(request_limit));
        let message =
            format!("idle_timeout ({idle_limit}) ends a session before request_timeout ({request_limit}) can");
        section.add(Problem::warning(idle.blamed(&request), message).hint("let idle_timeout be the longer one"));
    }
    Limits {
        request_timeout: request.value,
        idle_timeout: idle.value,
        max_lifetime: lifetime.value,
        half_close_timeout: half_close.value,
        liveness: liveness(section),
    }
}

/// When peers that do not answer count as gone. Unless the file says more, probes begin at half of `tcp_user_timeout` at the latest.
fn liveness(section: &mut Section<'_>) -> Liveness {
    let user_timeout = section.setting("tcp_user_timeout", Some(TCP_USER_TIMEOUT), Value::duration_or_off);
    let usual = user_timeout.value.map_or(KEEPALIVE, |timeout| KEEPALIVE.min(timeout / 2));
    let keepalive = section.setting("keepalive", Some(usual), Value::duration_or_off);
    if let (Some(silence), Some(limit)) = (keepalive.value, user_timeout.value)
        && silence >= limit
        && !(keepalive.is_refused() || user_timeout.is_refused())
    {
        let (silence, limit) = (Shown(silence), Shown(limit));
        let message = format!(
            "with a tcp_user_timeout ({limit}) that is not longer than keepalive ({silence}), one lost probe ends a silent session"
        );
        let problem = Problem::warning(keepalive.blamed(&user_timeout), message);
        section.add(problem.hint("let tcp_user_timeout be twice as long, or more"));
    }
    Liveness { user_timeout: user_timeout.value, keepalive: keepalive.value }
}

/// Longer than a game server needs to load a world, shorter than a player waits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Games send keepalives every few seconds; this only collects what died in silence.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Who has heard the end and has something left to say says it at once, or computes for as long as a request may take.
const HALF_CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A player who lost the network tries to come back within that.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(120);

/// Probes have as long again to be answered, or to get lost four times.
const KEEPALIVE: Duration = Duration::from_secs(60);
