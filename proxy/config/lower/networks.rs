//! Lists of networks.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::raw::{Section, Setting};
use crate::config::scalar::Explain;

/// The list below `key`; empty where it is absent.
pub(super) fn read(section: &mut Section<'_>, key: &'static str) -> Setting<Vec<IpNet>> {
    section.setting(key, Vec::new(), |value| {
        value.each(r#"["203.0.113.0/24", "192.0.2.7"]"#, |entry| entry.parse(network))
    })
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
