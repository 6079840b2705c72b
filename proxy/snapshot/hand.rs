//! What was set by hand, and counts instead of what the file says until it is cleared. Pure.

use std::collections::BTreeMap;

use crate::config::model::{self, Config};
use crate::config::scalar::{Address, Name};
use crate::pool::admin::ByHand;
use crate::pool::discovery::{Entry, Key};

/// Settings by hand, by what they are for. A backend is known by what status calls it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hand {
    backends: BTreeMap<Name, BTreeMap<String, ByHand>>,
    maintenance: BTreeMap<Name, bool>,
}

/// As many backends are set by hand as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// Backends set by hand at once: more than anybody sets; names of backends may bring new addresses for ever.
pub const BACKENDS_MAX: usize = 10_000;

impl Hand {
    /// What is set for a backend.
    pub fn backend(&self, pool: &Name, backend: &str) -> ByHand {
        self.backends.get(pool).and_then(|backends| backends.get(backend)).copied().unwrap_or_default()
    }

    /// Sets that.
    ///
    /// # Errors
    /// It would be one backend too many.
    pub fn set_backend(&mut self, pool: &Name, backend: &str, hand: ByHand) -> Result<(), TooMany> {
        let is_new = self.backend(pool, backend).is_empty();
        if hand.is_empty() {
            if let Some(backends) = self.backends.get_mut(pool) {
                backends.remove(backend);
            }
        } else if is_new && self.backends().count() >= BACKENDS_MAX {
            return Err(TooMany);
        } else {
            self.backends.entry(pool.clone()).or_default().insert(backend.to_owned(), hand);
        }
        Ok(())
    }

    /// All backends for which something is set.
    pub fn backends(&self) -> impl Iterator<Item = (&Name, &str, ByHand)> {
        self.backends
            .iter()
            .flat_map(|(pool, backends)| backends.iter().map(move |(backend, hand)| (pool, backend.as_str(), *hand)))
    }

    /// Whether a listener is in maintenance, if that is set.
    pub fn maintenance(&self, listener: &Name) -> Option<bool> {
        self.maintenance.get(listener).copied()
    }

    /// Sets that, or clears it.
    pub fn set_maintenance(&mut self, listener: &Name, maintenance: Option<bool>) {
        match maintenance {
            Some(maintenance) => drop(self.maintenance.insert(listener.clone(), maintenance)),
            None => drop(self.maintenance.remove(listener)),
        }
    }

    /// All listeners for which something is set.
    pub fn listeners(&self) -> impl Iterator<Item = (&Name, bool)> {
        self.maintenance.iter().map(|(name, &maintenance)| (name, maintenance))
    }

    /// Forgets what is set for what a config does not have. The backends of a name come and go with its answers: what is set
    /// for them stays as long as the name. What is set for a backend that `is_used`, though the config has it no more, stays.
    pub fn keep(&mut self, config: &Config, is_used: impl Fn(&Name, &Key) -> bool) {
        self.maintenance.retain(|name, _| config.listeners.iter().any(|listener| listener.name == *name));
        self.backends.retain(|name, backends| {
            let pool = config.pools.iter().find(|pool| pool.name == *name);
            let is_used = |backend: &str| backend.parse().is_ok_and(|key| is_used(name, &key));
            backends.retain(|backend, _| pool.is_some_and(|pool| has(pool, backend)) || is_used(backend));
            !backends.is_empty()
        });
    }

    /// Tells the entries of a pool what is set for them.
    pub(super) fn mark(&self, pool: &Name, entries: &mut [Entry]) {
        let Some(backends) = self.backends.get(pool) else { return };
        for entry in entries {
            entry.hand = backends.get(&entry.key.to_string()).copied().unwrap_or_default();
        }
    }
}

/// Whether a backend of this name may be in the pool.
fn has(pool: &model::Pool, backend: &str) -> bool {
    let found_by = backend.split_once('=').map(|(name, _)| name);
    pool.backends.iter().any(|entry| match (&entry.address, found_by) {
        (Address::Socket(address), None) => address.to_string() == backend,
        (Address::Host { host: name, .. } | Address::Srv { name }, Some(found_by)) => **name == *found_by,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::admin::Admin;

    const DRAIN: ByHand = ByHand { admin: Admin::Drain, weight: None };

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    fn config(pools: &str) -> Config {
        let text = format!("[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{pools}");
        crate::config::check_alone(std::path::Path::new("portti.toml"), text.as_bytes()).unwrap().config
    }

    #[test]
    fn what_is_set_stays_until_it_is_cleared() {
        let (mut hand, game) = (Hand::default(), name("game"));
        let both = ByHand { weight: Some(0), ..DRAIN };
        hand.set_backend(&game, "127.0.0.1:1", both).unwrap();
        hand.set_maintenance(&game, Some(false));
        assert_eq!((hand.backend(&game, "127.0.0.1:1"), hand.backend(&game, "127.0.0.1:2")), (both, ByHand::default()));
        assert_eq!((hand.maintenance(&game), hand.maintenance(&name("other"))), (Some(false), None));
        hand.set_backend(&game, "127.0.0.1:1", ByHand::default()).unwrap();
        hand.set_backend(&name("other"), "127.0.0.1:1", ByHand::default()).unwrap();
        hand.set_maintenance(&game, None);
        assert_eq!((hand.backends().count(), hand.listeners().count()), (0, 0));
    }

    #[test]
    fn it_is_bounded() {
        let (mut hand, game) = (Hand::default(), name("game"));
        for port in 0..BACKENDS_MAX {
            hand.set_backend(&game, &port.to_string(), DRAIN).unwrap();
        }
        assert_eq!(hand.set_backend(&game, "one more", DRAIN), Err(TooMany));
        assert_eq!(hand.set_backend(&game, "7", ByHand { weight: Some(2), ..DRAIN }), Ok(()), "it is known already");
        hand.set_backend(&game, "7", ByHand::default()).unwrap();
        assert_eq!(hand.set_backend(&game, "one more", DRAIN), Ok(()));
    }

    #[test]
    fn what_the_file_names_no_more_is_forgotten() {
        let (mut hand, game) = (Hand::default(), name("game"));
        let backends =
            ["127.0.0.1:1", "127.0.0.1:2", "a.example=127.0.0.1:1", "_game._tcp.b.example=127.0.0.1:1", "a.example"];
        backends.iter().for_each(|backend| hand.set_backend(&game, backend, DRAIN).unwrap());
        hand.set_backend(&name("gone"), "127.0.0.1:1", DRAIN).unwrap();
        hand.set_maintenance(&name("gone"), Some(true));
        hand.set_maintenance(&game, Some(true));
        let config =
            config("[pools.game]\nbackends = [\"127.0.0.1:1\", \"a.example:25565\", \"srv:_game._tcp.b.example\"]\n");
        hand.set_backend(&game, "127.0.0.1:9", DRAIN).unwrap();
        hand.keep(&config, |pool, key| *pool == game && key.address().port() == 9);
        assert_eq!(hand.backend(&game, "127.0.0.1:9"), DRAIN, "somebody still plays there");
        hand.keep(&config, |_, _| false);
        let kept: Vec<_> = hand.backends().map(|(_, backend, _)| backend).collect();
        assert_eq!(kept, ["127.0.0.1:1", "_game._tcp.b.example=127.0.0.1:1", "a.example=127.0.0.1:1"]);
        assert_eq!(hand.listeners().collect::<Vec<_>>(), [(&game, true)]);
    }
}
