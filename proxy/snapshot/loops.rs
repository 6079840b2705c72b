//! Which addresses may not be backends, and why: those that lead back to this proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

use crate::config::model::{Config, Listener};
use crate::config::scalar::{Address, Name};
use crate::net::local;
use crate::pool::Key;
use crate::pool::discovery::Entry;

/// A backend that its pool goes without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The pool.
    pub pool: Name,
    /// The backend.
    pub key: Key,
    /// Why.
    pub why: Unfit,
}

/// Why an address may not be a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// This listener of the proxy would take the connection, and its sessions would go round.
    OwnListener(Name),
}

/// Says of each address whether it may be a backend.
pub(super) struct Judge<'a> {
    config: &'a Config,
    /// Where each listener is, by port.
    bound: BTreeMap<u16, Vec<(SocketAddr, &'a Name)>>,
}

impl<'a> Judge<'a> {
    /// For a config whose listeners are bound so.
    pub(super) fn new(config: &'a Config, bound: &'a BTreeMap<Name, Vec<SocketAddr>>) -> Self {
        let mut by_port: BTreeMap<u16, Vec<_>> = BTreeMap::new();
        for (name, address) in bound.iter().flat_map(|(name, all)| all.iter().map(move |address| (name, *address))) {
            by_port.entry(address.port()).or_default().push((address, name));
        }
        Self { config, bound: by_port }
    }

    /// Keeps the entries of a pool that may be its backends, and returns the others. What is found by a name may be no listener of this
    /// proxy at all: a name server that answers 0.0.0.0 for what it blocks, for one. An address in the file may, where the way from that
    /// listener does not lead back to the pool.
    pub(super) fn sort_out(&self, pool: &Name, entries: &mut Vec<Entry>) -> Vec<LeftOut> {
        let mut left_out = Vec::new();
        entries.retain(|entry| match self.listener_at(entry.key.address()) {
            Some(listener) if entry.key.name().is_some() || self.leads_to(listener, pool) => {
                let why = Unfit::OwnListener(listener.clone());
                left_out.push(LeftOut { pool: pool.clone(), key: entry.key.clone(), why });
                false
            }
            _ => true,
        });
        left_out
    }

    fn listener_at(&self, address: SocketAddr) -> Option<&'a Name> {
        let there = self.bound.get(&address.port())?;
        there.iter().find(|(bound, _)| local::reaches(address, *bound, local::is_local)).map(|(_, name)| *name)
    }

    /// Whether sessions of a listener can come to a pool, over other listeners of this proxy if need be.
    fn leads_to(&self, listener: &'a Name, pool: &Name) -> bool {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Name> = self.pools_of(listener).collect();
        while let Some(name) = open.pop() {
            if name == pool {
                return true;
            }
            if !seen.insert(name) {
                continue;
            }
            let Some(config) = self.config.pools.iter().find(|config| config.name == *name) else { continue };
            open.extend(&config.fallback);
            for backend in &config.backends {
                if let Address::Socket(address) = &backend.address
                    && let Some(next) = self.listener_at(*address)
                {
                    open.extend(self.pools_of(next));
                }
            }
        }
        false
    }

    fn pools_of(&self, listener: &'a Name) -> impl Iterator<Item = &'a Name> + use<'a> {
        self.config.listeners.iter().filter(move |config| config.name == *listener).flat_map(Listener::pools)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnListener(name) => write!(f, "it is the listener {name} of this proxy"),
        }
    }
}

/// Tells the log of those that were not left out before.
pub(super) fn log_new(left_out: &[LeftOut], before: &[LeftOut]) {
    for new in left_out.iter().filter(|new| !before.contains(new)) {
        let LeftOut { pool, key, why } = new;
        tracing::warn!(%pool, backend = %key, %why, "backend left out: its sessions would go round in a circle");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::pool::discovery::{self, Answers, Found};

    /// What is left of the pool `game`, and what is not.
    fn sorted(text: &str, found: &[&str]) -> (Vec<String>, Vec<String>) {
        let config = config::check("portti.toml".as_ref(), text.as_bytes()).unwrap().config;
        let bound = config.listeners.iter().map(|listener| (listener.name.clone(), listener.bind.clone())).collect();
        let game = &config.pools[0];
        let found =
            found.iter().map(|address| Found { address: address.parse().unwrap(), weight: None, backup: false });
        let answers = Answers([("game.example:25565".parse().unwrap(), found.collect())].into());
        let mut entries = discovery::expand(&game.backends, &answers);
        let left_out = Judge::new(&config, &bound).sort_out(&game.name, &mut entries);
        let left_out = left_out.iter().map(|out| format!("{}: {}", out.key, out.why)).collect();
        (entries.iter().map(|entry| entry.key.to_string()).collect(), left_out)
    }

    #[test]
    fn what_a_name_stands_for_is_no_listener_of_this_proxy() {
        let file = r#"
            [listeners.game]
            bind = "0.0.0.0:25565"
            pool = "game"
            [pools.game]
            backends = ["game.example:25565", "192.0.2.7:25565"]"#;
        let (kept, left_out) = sorted(file, &["0.0.0.0:25565", "[::]:25565", "127.0.0.3:25565", "192.0.2.1:25565"]);
        // Nobody listens on IPv6.
        let expected = ["game.example=192.0.2.1:25565", "game.example=[::]:25565", "192.0.2.7:25565"];
        assert_eq!(kept, expected);
        let expected = ["0.0.0.0:25565", "127.0.0.3:25565"];
        assert_eq!(left_out, expected.map(|at| format!("game.example={at}: it is the listener game of this proxy")));
    }

    #[test]
    fn nor_is_an_address_of_this_machine_that_leads_back_to_its_pool() {
        let source = || {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
            socket.connect("192.0.2.1:9")?;
            socket.local_addr()
        };
        // A machine without a network has none but the loopback address, of which the file is checked.
        let Ok(own) = source() else { return };
        let file = format!(
            r#"
            [listeners.game]
            bind = "0.0.0.0:25565"
            pool = "lobby"
            [pools.game]
            backends = ["{}:25565", "192.0.2.7:25565"]
            [pools.lobby]
            backends = ["192.0.2.7:25566"]
            fallback = "game""#,
            own.ip()
        );
        let (kept, left_out) = sorted(&file, &[]);
        assert_eq!((kept.len(), left_out.len()), (1, 1), "{kept:?} {left_out:?}");
    }

    #[test]
    fn one_listener_may_lead_to_another_as_long_as_none_leads_back() {
        let chain = |last: &str| {
            format!(
                r#"
                [listeners.outer]
                bind = "127.0.0.1:1"
                pool = "game"
                [listeners.inner]
                bind = "127.0.0.1:2"
                pool = "inner"
                [pools.game]
                backends = ["127.0.0.1:2"]
                [pools.inner]
                backends = ["{last}"]
                [pools.inner.health]
                type = "tcp""#
            )
        };
        assert_eq!(sorted(&chain("127.0.0.1:3"), &[]).1, [""; 0]);
    }
}
