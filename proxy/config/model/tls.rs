//! What is encrypted, and where it goes.

use crate::config::scalar::{Hosts, Name};

/// One of `[[listeners.NAME.sni]]`: where clients go that ask for one of these hosts by one of these protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The host that the client asks for is among these; empty is any, or none.
    pub hosts: Vec<Hosts>,
    /// The client offers one of these protocols (ALPN); empty is any, or none. Never both empty.
    pub protocols: Vec<String>,
    /// Where they go: one of [`Config::pools`](super::Config::pools).
    pub pool: Name,
}

impl Route {
    /// Whether a client that asks for this goes there.
    pub fn takes<'a>(&self, host: Option<&str>, mut offered: impl Iterator<Item = &'a [u8]>) -> bool {
        let is_asked_for = |hosts: &Hosts| host.is_some_and(|host| hosts.contain(host));
        let is_ours = |protocol: &[u8]| self.protocols.iter().any(|ours| ours.as_bytes() == protocol);
        (self.hosts.is_empty() || self.hosts.iter().any(is_asked_for))
            && (self.protocols.is_empty() || offered.any(is_ours))
    }
}
