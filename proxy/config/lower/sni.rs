//! `[[listeners.NAME.sni]]`.

use super::Problem;
use crate::config::model::Route;
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::{Hosts, Name};

/// The routes of a listener, and what must be checked against other sections.
#[derive(Debug)]
pub(super) struct Routes {
    /// The file has some, however wrong.
    pub(super) are_written: bool,
    pub(super) pools: Vec<Setting<Name>>,
    pub(super) model: Vec<Route>,
}

pub(super) fn read(section: &mut Section<'_>) -> Routes {
    let entries = section.setting("sni", Vec::new(), |value| value.list(EXAMPLE));
    let are_written = !entries.value.is_empty() || entries.is_refused();
    let mut routes = Routes { are_written, pools: Vec::new(), model: Vec::new() };
    for entry in &entries.value {
        let Some((pool, asked)) = section.entry("sni", entry, route) else { continue };
        if let (Some(pool), Some((hosts, protocols))) = (&pool, asked) {
            if let Some(host) = hosts.iter().find(|host| is_taken(&routes.model, host)) {
                let message = format!("{host} goes to an earlier entry already, which is asked first");
                section.add(Problem::warning(&entry.place, message));
            }
            routes.model.push(Route { hosts, protocols, pool: pool.value.clone() });
        }
        routes.pools.extend(pool);
    }
    routes
}

/// Whether nothing is left of a host, because an earlier entry takes whoever asks for it.
fn is_taken(earlier: &[Route], host: &Hosts) -> bool {
    earlier.iter().any(|route| route.protocols.is_empty() && (route.hosts.is_empty() || route.hosts.contains(host)))
}

/// Where clients go, and for which hosts and protocols they ask; each `None` if it lacks something.
type Read = (Option<Setting<Name>>, Option<(Vec<Hosts>, Vec<String>)>);

fn route(section: &mut Section<'_>) -> Read {
    let hosts = section.setting("host", Vec::new(), hosts);
    let protocols = section.setting("alpn", Vec::new(), |value| protocols(value));
    let pool = super::listener::pool(section);
    let is_refused = hosts.is_refused() || protocols.is_refused();
    let is_empty = hosts.value.is_empty() && protocols.value.is_empty();
    if is_empty && !is_refused {
        section.missing("host", r#""eu.example.com""#);
    }
    (pool, (!is_empty && !is_refused).then_some((hosts.value, protocols.value)))
}

/// One, or a list.
pub(super) fn hosts(value: &Value<'_>) -> Option<Vec<Hosts>> {
    if value.is_text() {
        return Some(vec![value.parse(str::parse)?]);
    }
    value.each(r#"["eu.example.com", "*.example.com"]"#, |entry| entry.parse(str::parse))
}

/// Names as TLS has them (RFC 7301): 1 to 255 bytes.
pub(super) fn protocols(value: &Value<'_>) -> Option<Vec<String>> {
    value.each(r#"["minecraft"]"#, |entry| {
        let name = entry.any_text()?;
        if name.is_empty() || name.len() > 255 {
            entry.report(Problem::error(&entry.place, "the name of a protocol has 1 to 255 characters"));
            return None;
        }
        Some(name.to_owned())
    })
}

const EXAMPLE: &str = r#"[{ host = "eu.example.com", pool = "eu" }]"#;
