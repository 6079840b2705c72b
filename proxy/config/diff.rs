//! What changes from one version of the config to the next, in words for the log.
//!
//! Pure: applying is left to the reload. The order of addresses and backends is no change.

use std::fmt;
use std::net::SocketAddr;

use self::keys::Keys;
use super::model::{Backend, Config, Listener, Pool};
use super::scalar::{Address, Name};

mod keys;

/// One difference between two versions of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A listener that was not there.
    ListenerAdded(Name),
    /// A listener that is gone.
    ListenerRemoved(Name),
    /// A further address of a listener that stays.
    BindAdded(Name, SocketAddr),
    /// An address that a listener gives up.
    BindRemoved(Name, SocketAddr),
    /// A pool that was not there.
    PoolAdded(Name),
    /// A pool that is gone.
    PoolRemoved(Name),
    /// A further backend of a pool that stays.
    BackendAdded(Name, Address),
    /// A backend that a pool gives up.
    BackendRemoved(Name, Address),
    /// A key that has another value now.
    Set(Set),
}

/// A key that has another value now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The dotted path; a backend stands in it by its address.
    pub path: String,
    /// As the file would write it.
    pub old: String,
    /// As the file would write it.
    pub new: String,
}

/// All differences, in the order of the file's sections.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", &keys::process(old), &keys::process(new), &mut changes);
    for (old, new) in pairs(&old.listeners, &new.listeners, |listener| &listener.name) {
        match (old, new) {
            (None, Some(new)) => changes.push(Change::ListenerAdded(new.name.clone())),
            (Some(old), None) => changes.push(Change::ListenerRemoved(old.name.clone())),
            (Some(old), Some(new)) => listener(old, new, &mut changes),
            (None, None) => {}
        }
    }
    for (old, new) in pairs(&old.pools, &new.pools, |pool| &pool.name) {
        match (old, new) {
            (None, Some(new)) => changes.push(Change::PoolAdded(new.name.clone())),
            (Some(old), None) => changes.push(Change::PoolRemoved(old.name.clone())),
            (Some(old), Some(new)) => pool(old, new, &mut changes),
            (None, None) => {}
        }
    }
    changes
}

/// Every key that a config has, the file's or by default, with what the file would write for it.
pub fn effective(config: &Config) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add =
        |prefix: &str, keys: Keys| all.extend(keys.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)));
    add("", keys::process(config));
    for listener in &config.listeners {
        let prefix = format!("listeners.{}.", listener.name);
        let bind: Vec<_> = listener.bind.iter().map(ToString::to_string).collect();
        add(&prefix, vec![("bind", bind.join(", "))]);
        add(&prefix, keys::listener(listener));
    }
    for pool in &config.pools {
        for backend in &pool.backends {
            add(&backend_prefix(pool, backend), keys::backend(backend));
        }
        add(&format!("pools.{}.", pool.name), keys::pool(pool));
    }
    all
}

fn backend_prefix(pool: &Pool, backend: &Backend) -> String {
    format!("pools.{}.backends[{}].", pool.name, backend.address)
}

impl Change {
    /// Whether it is without effect until the process is started anew.
    pub fn needs_restart(&self) -> bool {
        matches!(self, Self::Set(Set { path, .. }) if FIXED_AT_START.contains(&path.as_str()))
    }

    /// The listener that it is about.
    pub fn listener(&self) -> Option<&str> {
        match self {
            Self::ListenerAdded(name)
            | Self::ListenerRemoved(name)
            | Self::BindAdded(name, _)
            | Self::BindRemoved(name, _) => Some(name.as_str()),
            Self::Set(set) => set.within("listeners.").map(|(listener, _)| listener),
            Self::PoolAdded(_) | Self::PoolRemoved(_) | Self::BackendAdded(..) | Self::BackendRemoved(..) => None,
        }
    }

    /// The pool that it is about.
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::PoolAdded(name)
            | Self::PoolRemoved(name)
            | Self::BackendAdded(name, _)
            | Self::BackendRemoved(name, _) => Some(name.as_str()),
            Self::Set(set) => set.within("pools.").map(|(pool, _)| pool),
            Self::ListenerAdded(_) | Self::ListenerRemoved(_) | Self::BindAdded(..) | Self::BindRemoved(..) => None,
        }
    }

    /// The backend that it is about, as the file names it.
    pub fn backend(&self) -> Option<String> {
        match self {
            Self::BackendAdded(_, address) | Self::BackendRemoved(_, address) => Some(address.to_string()),
            Self::Set(set) => {
                let (_, key) = set.within("pools.")?;
                let (address, _) = key.strip_prefix("backends[")?.rsplit_once("].")?;
                Some(address.to_owned())
            }
            _ => None,
        }
    }
}

impl Set {
    /// The name of the section that it is in, of those of this kind, and the key there.
    fn within(&self, kind: &str) -> Option<(&str, &str)> {
        self.path.strip_prefix(kind)?.split_once('.')
    }
}

fn listener(old: &Listener, new: &Listener, changes: &mut Vec<Change>) {
    for pair in pairs(&old.bind, &new.bind, |address| address) {
        match pair {
            (None, Some(address)) => changes.push(Change::BindAdded(new.name.clone(), *address)),
            (Some(address), None) => changes.push(Change::BindRemoved(new.name.clone(), *address)),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    compare(&format!("listeners.{}.", new.name), &keys::listener(old), &keys::listener(new), changes);
}

fn pool(old: &Pool, new: &Pool, changes: &mut Vec<Change>) {
    for pair in pairs(&old.backends, &new.backends, |backend| &backend.address) {
        match pair {
            (None, Some(added)) => changes.push(Change::BackendAdded(new.name.clone(), added.address.clone())),
            (Some(removed), None) => changes.push(Change::BackendRemoved(new.name.clone(), removed.address.clone())),
            (Some(old), Some(kept)) => {
                let prefix = backend_prefix(new, kept);
                compare(&prefix, &keys::backend(old), &keys::backend(kept), changes);
            }
            (None, None) => {}
        }
    }
    compare(&format!("pools.{}.", new.name), &keys::pool(old), &keys::pool(new), changes);
}

/// Each item of either list, with its namesake of the other: first those of the old, then what is new.
fn pairs<'a, T, K: Ord>(old: &'a [T], new: &'a [T], key: impl Fn(&T) -> &K) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let index = |list: &'a [T]| -> Vec<&'a T> {
        let mut sorted: Vec<&T> = list.iter().collect();
        sorted.sort_by(|one, other| key(one).cmp(key(other)));
        sorted
    };
    let find = |sorted: &[&'a T], item: &T| {
        sorted.binary_search_by(|other| key(other).cmp(key(item))).ok().map(|at| sorted[at])
    };
    let (old_sorted, new_sorted) = (index(old), index(new));
    let kept_or_removed = old.iter().map(|item| (Some(item), find(&new_sorted, item)));
    let added = new.iter().filter(|item| find(&old_sorted, item).is_none()).map(|item| (None, Some(item)));
    kept_or_removed.chain(added).collect()
}

fn compare(prefix: &str, old: &Keys, new: &Keys, changes: &mut Vec<Change>) {
    for ((key, old), (_, new)) in old.iter().zip(new).filter(|(old, new)| old != new) {
        let path = format!("{prefix}{key}");
        changes.push(Change::Set(Set { path, old: old.clone(), new: new.clone() }));
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ListenerAdded(name) => write!(f, "listener {name} added"),
            Self::ListenerRemoved(name) => write!(f, "listener {name} removed; its sessions go on"),
            Self::BindAdded(name, address) => write!(f, "listener {name} also listens on {address}"),
            Self::BindRemoved(name, address) => {
                write!(f, "listener {name} no longer listens on {address}; its sessions go on")
            }
            Self::PoolAdded(name) => write!(f, "pool {name} added"),
            Self::PoolRemoved(name) => write!(f, "pool {name} removed; its sessions go on"),
            Self::BackendAdded(pool, address) => write!(f, "backend {address} added to pool {pool}"),
            Self::BackendRemoved(pool, address) => {
                write!(f, "backend {address} of pool {pool} removed; its sessions go on")
            }
            Self::Set(Set { path, old, new }) => {
                let restart = if self.needs_restart() { " needs a restart" } else { "" };
                write!(f, "{path}: {old} -> {new}{restart}")
            }
        }
    }
}

/// What threads, sockets and writers are made from at start.
const FIXED_AT_START: [&str; 3] = ["server.workers", "admin.bind", "log.format"];

#[cfg(test)]
mod tests;
