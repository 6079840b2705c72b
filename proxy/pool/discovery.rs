//! Which backends the entries of a pool stand for: an address for one, a name for as many as are found by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{AddrParseError, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use super::admin::ByHand;
use crate::config::model;
use crate::config::scalar::{Address, Name};

/// What names stand for now: the last good answer of each. Names that were never found are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(pub BTreeMap<Address, Vec<Found>>);

/// What the backends of pools are made from: what names stand for, and entries that stay though the config has them no more.
#[derive(Debug, Clone, Copy)]
pub struct Resolved<'a> {
    /// What names stand for.
    pub answers: &'a Answers,
    /// What stays, by pool.
    pub kept: &'a BTreeMap<Name, Vec<Entry>>,
}

impl Resolved<'_> {
    /// The entries of a pool: those of the file first, each address once.
    pub fn entries(&self, pool: &model::Pool) -> Vec<Entry> {
        let mut entries = expand(&pool.backends, self.answers);
        let known: BTreeSet<_> = entries.iter().map(|entry| entry.key.address).collect();
        let kept = self.kept.get(&pool.name).into_iter().flatten();
        entries.extend(kept.filter(|entry| !known.contains(&entry.key.address)).cloned());
        entries
    }
}

/// A backend that was found by a name. Ordered by address; of two with one address, that which is no backup is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its SRV record has not the first priority: it is for when the others cannot be reached.
    pub backup: bool,
    /// What its SRV record says; 0 there, which asks for a small chance, is 1 here (RFC 2782).
    pub weight: Option<u16>,
}

/// A backend as its pool is to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is known by.
    pub key: Key,
    /// Its share of new sessions, as the file or its record says.
    pub weight: u16,
    /// Live sessions it may have; `None` is without limit.
    pub max_connections: Option<u32>,
    /// Used only while no other can be.
    pub backup: bool,
    /// What was set by hand.
    pub hand: ByHand,
}

/// A backend's identity from version to version of its pool, and its name in the status, the metrics and the log:
/// `10.0.0.11:25565`, or `game.example.com=10.0.0.11:25565` where it was found by a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    name: Option<Arc<str>>,
    address: SocketAddr,
}

impl Key {
    /// The name that it was found by.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}=")?;
        }
        self.address.fmt(f)
    }
}

/// As it is displayed.
impl FromStr for Key {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, address) = text.split_once('=').map_or((None, text), |(name, address)| (Some(name), address));
        Ok(Self { name: name.map(Arc::from), address: address.parse()? })
    }
}

/// The backends that these entries of the file stand for, in their order; those found by one name by address. An address
/// that is there twice counts once, for the first entry that has it.
pub fn expand(backends: &[model::Backend], answers: &Answers) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    let mut entries: Vec<Entry> = backends.iter().flat_map(|backend| expand_one(backend, answers)).collect();
    entries.retain(|entry| seen.insert(entry.key.address));
    entries
}

fn expand_one(backend: &model::Backend, answers: &Answers) -> Vec<Entry> {
    let entry = |name: Option<&Arc<str>>, found: &Found| Entry {
        key: Key { name: name.map(Arc::clone), address: found.address },
        weight: found.weight.unwrap_or(backend.weight),
        max_connections: backend.max_connections,
        backup: backend.backup || found.backup,
        hand: ByHand::default(),
    };
    let name = match &backend.address {
        Address::Socket(address) => {
            return vec![entry(None, &Found { address: *address, weight: None, backup: false })];
        }
        Address::Host { host, .. } => host,
        Address::Srv { name } => name,
    };
    let mut found = answers.0.get(&backend.address).cloned().unwrap_or_default();
    found.sort_unstable();
    found.iter().map(|found| entry(Some(name), found)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 25565))
    }

    fn found(address: SocketAddr) -> Found {
        Found { address, weight: None, backup: false }
    }

    fn backend(address: &str, weight: u16) -> model::Backend {
        model::Backend { address: address.parse().unwrap(), weight, max_connections: Some(7), backup: false }
    }

    fn answers(of: &str, found: Vec<Found>) -> Answers {
        Answers(BTreeMap::from([(of.parse().unwrap(), found)]))
    }

    fn words(entries: &[Entry]) -> Vec<String> {
        let word =
            |entry: &Entry| format!("{} x{}{}", entry.key, entry.weight, if entry.backup { " backup" } else { "" });
        entries.iter().map(word).collect()
    }

    #[test]
    fn a_name_stands_for_all_that_is_found_by_it_whatever_the_order() {
        let backends = [backend("10.0.0.1:1", 1), backend("game.example.com:25565", 3)];
        let v6 = "[2001:db8::1]:25565".parse().unwrap();
        let expected = [
            "10.0.0.1:1 x1",
            "game.example.com=192.0.2.1:25565 x3",
            "game.example.com=192.0.2.2:25565 x3",
            "game.example.com=[2001:db8::1]:25565 x3",
        ];
        for order in [[at(1), at(2), v6], [v6, at(2), at(1)]] {
            let found = answers("game.example.com:25565", order.into_iter().map(found).collect());
            assert_eq!(words(&expand(&backends, &found)), expected);
        }
        assert_eq!(words(&expand(&backends, &Answers::default())), expected[..1]);
    }

    #[test]
    fn srv_records_have_weights_and_backups_of_their_own() {
        let records = vec![
            Found { address: at(1), weight: Some(10), backup: false },
            Found { address: at(2), weight: Some(1), backup: true },
        ];
        let entries =
            expand(&[backend("srv:_game._tcp.example.com", 1)], &answers("srv:_game._tcp.example.com", records));
        assert_eq!(
            words(&entries),
            ["_game._tcp.example.com=192.0.2.1:25565 x10", "_game._tcp.example.com=192.0.2.2:25565 x1 backup"]
        );
        assert_eq!(entries[0].max_connections, Some(7));
    }

    #[test]
    fn an_address_counts_once() {
        let backends = [backend("192.0.2.1:25565", 5), backend("game.example.com:25565", 1)];
        let found = answers("game.example.com:25565", vec![found(at(1)), found(at(2))]);
        assert_eq!(words(&expand(&backends, &found)), ["192.0.2.1:25565 x5", "game.example.com=192.0.2.2:25565 x1"]);
    }
}
