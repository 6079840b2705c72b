//! The keys of listeners with `mode = "http"`.

use std::borrow::Cow;
use std::time::Duration;

use super::Problem;
use super::admission::LEVELS;
use crate::config::model::{Http, HttpRoute, PlayerKey, Protocol, Requests};
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::{Name, normal_path};

/// What was read, and what must be checked against other sections.
#[derive(Debug)]
pub(super) struct Read {
    /// The file has routes, however wrong.
    pub(super) routes_are_written: bool,
    pub(super) pools: Vec<Setting<Name>>,
    pub(super) model: Http,
    /// Keys that have no meaning in another mode.
    written: Option<crate::config::problem::Place>,
}

pub(super) fn read(section: &mut Section<'_>) -> Read {
    let header = section.setting("header_timeout", HEADER_TIMEOUT, Value::duration);
    let keepalive = section.setting("keepalive_timeout", KEEPALIVE_TIMEOUT, Value::duration);
    let send = section.setting("send_timeout", Some(SEND_TIMEOUT), Value::duration_or_off);
    let body = section.setting("body_timeout", Some(BODY_TIMEOUT), Value::duration_or_off);
    let forwarded = section.setting("forwarded", false, Value::flag);
    let via = section.setting("via", None, |value| via(value));
    let reconnect_key = section.setting("reconnect_key", None, |value| player_key(value));
    let path_normalize = section.setting("path_normalize", true, Value::flag);
    let entries = section.setting("routes", Vec::new(), |value| value.list(EXAMPLE));
    let routes_are_written = !entries.value.is_empty() || entries.is_refused();
    let written = [(&header.place, header.is_written()), (&keepalive.place, keepalive.is_written())]
        .into_iter()
        .chain([(&send.place, send.is_written()), (&body.place, body.is_written())])
        .chain([(&forwarded.place, forwarded.is_written()), (&entries.place, entries.is_written())])
        .chain([(&path_normalize.place, path_normalize.is_written())])
        .chain([(&via.place, via.is_written()), (&reconnect_key.place, reconnect_key.is_written())])
        .find_map(|(place, is_written)| is_written.then(|| place.clone()));
    let (mut pools, mut routes) = (Vec::new(), Vec::new());
    for entry in &entries.value {
        let Some((pool, route)) = section.entry("routes", entry, |section| route(section, path_normalize.value)) else {
            continue;
        };
        routes.extend(route);
        pools.extend(pool);
    }
    let model = Http {
        header_timeout: header.value,
        keepalive_timeout: keepalive.value,
        send_timeout: send.value,
        body_timeout: body.value,
        forwarded: forwarded.value,
        via: via.value,
        reconnect_key: reconnect_key.value,
        path_normalize: path_normalize.value,
        routes,
    };
    Read { routes_are_written, pools, model, written }
}

impl Read {
    /// Refuses keys that only this mode has.
    pub(super) fn refuse_in_other_modes(&self, section: &Section<'_>) {
        if let Some(place) = &self.written {
            let problem = Problem::error(place, "only a listener that speaks HTTP has this key");
            section.add(problem.hint(r#"mode = "http""#));
        }
    }
}

fn route(section: &mut Section<'_>, normalize: bool) -> (Option<Setting<Name>>, Option<HttpRoute>) {
    let hosts = section.setting("host", Vec::new(), |value| super::sni::hosts(value));
    let path = section.setting("path", "/".to_owned(), |value| path(value, normalize));
    let methods = section.setting("methods", Vec::new(), |value| methods(value));
    let pool = super::listener::pool(section);
    let shed_at = section.setting("shed_at", None, |value| value.word(&LEVELS, &[]).map(Some));
    let is_refused = hosts.is_refused() || path.is_refused() || methods.is_refused();
    let model = pool.as_ref().filter(|_| !is_refused).map(|pool| HttpRoute {
        hosts: hosts.value,
        path: path.value,
        methods: methods.value,
        pool: pool.value.clone(),
        shed_at: shed_at.value,
    });
    (pool, model)
}

/// The keys of a pool that concern requests, but for what its breaker takes for a failure.
pub(super) fn of_pool(section: &mut Section<'_>) -> Requests {
    let protocol = section.setting("protocol", Protocol::Http1, |value| value.word(&PROTOCOLS, &[]));
    let connections = section.setting("warm_connections", WARM_CONNECTIONS, |value| value.whole(0..=WARM_MAX));
    let timeout = section.setting("warm_timeout", WARM_TIMEOUT, Value::duration);
    let links = section.setting("h2_connections", H2_CONNECTIONS, |value| value.whole(1..=H2_CONNECTIONS_MAX));
    Requests {
        protocol: protocol.value,
        h2_connections: links.value,
        warm_connections: connections.value,
        warm_timeout: timeout.value,
        failing: Vec::new(),
    }
}

/// What a proxy may be called (RFC 9110, 7.6.3): a host, or any other token.
fn via(value: &Value<'_>) -> Option<Option<String>> {
    if value.is_off() {
        return Some(None);
    }
    let name = value.any_text()?;
    if !is_token(name) {
        value.report(Problem::error(&value.place, "a name in Via has no spaces or commas").hint(r#""portti""#));
        return None;
    }
    Some(Some(name.to_owned()))
}

/// `"header:NAME"` or `"cookie:NAME"`.
fn player_key(value: &Value<'_>) -> Option<Option<PlayerKey>> {
    if value.is_off() {
        return Some(None);
    }
    let text = value.any_text()?;
    let key = match text.split_once(':') {
        Some(("header", name)) if is_token(name) => Some(PlayerKey::Header(name.to_ascii_lowercase())),
        Some(("cookie", name)) if is_token(name) => Some(PlayerKey::Cookie(name.to_owned())),
        _ => None,
    };
    if key.is_none() {
        let problem = Problem::error(&value.place, "players are known by a header or a cookie");
        value.report(problem.hint(r#""header:x-player" or "cookie:session""#));
    }
    key.map(Some)
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&byte))
}

/// A path, in the form in which it is compared.
fn path(value: &Value<'_>, normalize: bool) -> Option<String> {
    let path = value.any_text()?;
    let is_path =
        path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#');
    if !is_path {
        let problem = Problem::error(&value.place, "a path begins with \"/\" and has no spaces, \"?\" or \"#\"");
        value.report(problem.hint(r#"for example "/rooms""#));
    }
    let path = Some(path).filter(|_| is_path)?;
    if !normalize {
        return Some(path.to_owned());
    }
    let normal = normal_path(path);
    if normal.is_none() {
        let message =
            "no request has this path: \"%\" stands before two hexadecimal digits, and \"..\" ends at the root";
        value.report(Problem::error(&value.place, message).hint("write what is meant, \"%25\" for a percent sign"));
    }
    normal.map(Cow::into_owned)
}

fn methods(value: &Value<'_>) -> Option<Vec<String>> {
    value.each(r#"["GET", "POST"]"#, |entry| {
        let method = entry.any_text()?;
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if !is_method {
            entry
                .report(Problem::error(&entry.place, "a method is a word in capital letters").hint(r#""GET", "POST""#));
        }
        is_method.then(|| method.to_owned())
    })
}

const EXAMPLE: &str = r#"[{ path = "/rooms", pool = "lobby" }]"#;

const PROTOCOLS: [(&str, Protocol); 2] = [("http1", Protocol::Http1), ("h2", Protocol::Http2)];

/// As many requests as one worker has under way at a busy backend.
const WARM_CONNECTIONS: u32 = 32;

/// A thousand backends with as many each would need all descriptors.
const WARM_MAX: u32 = 10_000;

/// Each takes as many requests at once as the backend says, a hundred as a rule: three thousand for one worker.
const H2_CONNECTIONS: u32 = 32;

/// A server that takes one request at a time on each needs no more than warm connections do.
const H2_CONNECTIONS_MAX: u32 = 10_000;

/// Servers close after a minute or two of silence; this side should be first.
const WARM_TIMEOUT: Duration = Duration::from_secs(60);

/// A head is one packet; two lost ones are made up for.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A network that was lost for a minute is lost: what peers wait by default.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// As long as that.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Browsers give up after a minute or two of silence, and mind being closed upon before.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(75);
