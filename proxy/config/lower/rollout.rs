//! `[listeners.NAME.rollout]`.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Problem;
use crate::config::model;
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::{Explain, Name, Share};

/// A rollout, and what must be checked against other sections.
#[derive(Debug)]
pub(super) struct Rollout {
    pub(super) pool: Setting<Name>,
    pub(super) model: model::Rollout,
}

/// `None` if it is not written, or lacks its pool.
pub(super) fn read(section: &mut Section<'_>) -> Option<Rollout> {
    let pool = super::listener::pool(section);
    let percent = section.setting("percent", Share::NONE, Value::percent);
    let clients = section.setting("clients", Vec::new(), |value| clients(value));
    let nobody = percent.value == Share::NONE && clients.value.is_empty();
    if section.is_written() && nobody && !(percent.is_refused() || clients.is_refused()) {
        let message = "the rollout takes no client";
        section.add(Problem::warning(&section.place, message).hint("for example percent = 10"));
    }
    let pool = pool?;
    let model = model::Rollout { pool: pool.value.clone(), share: percent.value, clients: clients.value };
    Some(Rollout { pool, model })
}

fn clients(value: &Value<'_>) -> Option<Vec<IpNet>> {
    value.each(r#"["203.0.113.0/24", "192.0.2.7"]"#, |entry| entry.parse(network))
}

/// A network, or one address. What lies beyond the prefix does not matter.
fn network(text: &str) -> Result<IpNet, NoNetwork> {
    // An IPv4 address mapped into IPv6 is one of IPv4, as clients' addresses are.
    let address = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let network = text.parse::<IpNet>().or_else(|_no_prefix| address());
    network.map(|network| network.trunc()).map_err(|_neither| NoNetwork)
}

/// A text that is neither a network nor an address.
struct NoNetwork;

impl fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither a network nor an IP address")
    }
}

impl Explain for NoNetwork {
    fn hint(&self) -> String {
        r#"for example "203.0.113.0/24", "2001:db8::/32" or "192.0.2.7""#.to_owned()
    }
}
