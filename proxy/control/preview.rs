//! What an edit of the config file would do to what runs: the changes, and the live sessions that each of them touches.
//!
//! [`weigh`] is pure; who is connected where it hears from [`Live`].

use std::cmp::min;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::future::pending;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::slice;

use hyper::body::Bytes;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

use super::names;
use super::state::State;
use crate::config::diff::{self, Change};
use crate::config::model::{self, Config};
use crate::config::scalar::Name;
use crate::config::{self, LoadError, Loaded};
use crate::descriptors;
use crate::pool::discovery::{self, Answers, Key};

/// What an edit would do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Preview {
    /// In the order of the file's sections.
    pub(super) changes: Vec<Consequence>,
    /// Addresses that would be bound, with their listeners.
    pub(super) opened: Vec<(Name, SocketAddr)>,
    /// Addresses that would be given up.
    pub(super) closed: Vec<(Name, SocketAddr)>,
    /// Backends that would come, as the file names them, with their pools.
    pub(super) added: Vec<(Name, String)>,
    /// Backends that would go, as the status names them.
    pub(super) drained: Vec<(Name, String)>,
    /// Live sessions that are touched, at most: one that is touched by its listener and by its backend is there twice, where
    /// the house has that many.
    pub(super) affected: u64,
    /// What is legal but surprising in the edit, for people.
    pub(super) warnings: String,
}

/// One change, and what it would do to those who are connected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Consequence {
    pub(super) change: Change,
    /// Live sessions that it touches.
    pub(super) sessions: u64,
}

/// Who is connected where, and what names stand for now.
#[derive(Debug, Default)]
pub(super) struct Live {
    sessions: u64,
    listeners: BTreeMap<Name, u64>,
    backends: BTreeMap<(Name, Key), u64>,
    answers: Answers,
}

/// Only one edit is looked at at a time: a large one takes a core for a second, and memory with it.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// What a text would do if it stood in the config file. `name` stands for it in messages. It is read on a thread beside the control
/// thread, which a large one would keep from everything else.
///
/// # Errors
/// It would be refused. What only trying tells is not known: an address may be in use.
pub(super) async fn of(state: &State, name: PathBuf, text: Bytes) -> Result<Preview, LoadError> {
    // It is closed by nobody.
    let turn = ONE_AT_A_TIME.acquire().await.ok();
    let (path, running, live) = (state.config_path().clone(), state.config(), Live::of(state));
    let looked_at = spawn_blocking(move || {
        // Held until it is over, though whoever asked may have gone.
        let _turn = turn;
        let Loaded { mut config, warnings } = config::check_alone(&name, &text)?;
        config::fill(&mut config, &path, Some(&running))?;
        let shortage = descriptors::shortage(&config, descriptors::limit());
        let warnings = match shortage {
            Some(shortage) => with_line(&warnings, &shortage),
            None => warnings,
        };
        let preview = Preview { warnings, ..weigh(&running, &config, &live) };
        Ok((preview, config))
    });
    match looked_at.await.map_err(JoinError::try_into_panic) {
        Ok(Ok((mut preview, config))) => {
            for name in names::unresolved(&config, names::CHECK_PATIENCE).await {
                preview.warnings = with_line(&preview.warnings, &name);
            }
            Ok(preview)
        }
        Ok(Err(problem)) => Err(problem),
        Err(Ok(panic)) => resume_unwind(panic),
        // The process ends, and its threads take nothing more.
        Err(Err(_cancelled)) => pending().await,
    }
}

fn with_line(warnings: &str, warning: &impl Display) -> String {
    let gap = if warnings.is_empty() { "" } else { "\n\n" };
    format!("{warnings}{gap}warning: {warning}")
}

impl Live {
    fn of(state: &State) -> Self {
        let snapshot = state.snapshot();
        let listeners = snapshot.listeners.iter();
        let backends = snapshot.pools.iter().flat_map(|(name, pool)| {
            pool.members().iter().map(|member| ((name.clone(), member.backend.key().clone()), member.backend.active()))
        });
        Self {
            sessions: snapshot.admission.active().try_into().unwrap_or(u64::MAX),
            listeners: listeners.map(|(name, listener)| (name.clone(), listener.counts.tally.active())).collect(),
            backends: backends.map(|(key, active)| (key, active.into())).collect(),
            answers: state.names().answers(),
        }
    }

    fn at_listener(&self, name: &Name) -> u64 {
        self.listeners.get(name).copied().unwrap_or_default()
    }

    fn at_backend(&self, pool: &Name, key: &Key) -> u64 {
        self.backends.get(&(pool.clone(), key.clone())).copied().unwrap_or_default()
    }

    /// The backends that entries of the file stand for now.
    fn keys(&self, backends: &[model::Backend]) -> BTreeSet<Key> {
        discovery::expand(backends, &self.answers).into_iter().map(|entry| entry.key).collect()
    }
}

/// What `new` would do where `old` runs.
pub(super) fn weigh(old: &Config, new: &Config, live: &Live) -> Preview {
    let mut preview = Preview::default();
    for change in diff::diff(old, new) {
        let sessions = match &change {
            Change::ListenerAdded(name) => {
                preview.opened.extend(bound(new, name));
                0
            }
            Change::BindAdded(name, address) => {
                preview.opened.push((name.clone(), *address));
                0
            }
            Change::ListenerRemoved(name) => {
                preview.closed.extend(bound(old, name));
                live.at_listener(name)
            }
            // By which of its addresses a session has come is not counted.
            Change::BindRemoved(name, address) => {
                preview.closed.push((name.clone(), *address));
                live.at_listener(name)
            }
            Change::PoolAdded(name) => {
                let backends = pool(new, name).iter().map(|backend| (name.clone(), backend.address.to_string()));
                preview.added.extend(backends);
                0
            }
            Change::BackendAdded(name, address) => {
                preview.added.push((name.clone(), address.to_string()));
                0
            }
            Change::PoolRemoved(name) => preview.drain(name, live.keys(pool(old, name)), live),
            Change::BackendRemoved(name, address) => {
                let removed = pool(old, name).iter().find(|backend| backend.address == *address);
                let of_entry = live.keys(removed.map_or(&[], slice::from_ref));
                // What another entry stands for, too, is that one's.
                let (were, stay) = (live.keys(pool(old, name)), live.keys(pool(new, name)));
                let gone = of_entry.into_iter().filter(|key| were.contains(key) && !stay.contains(key));
                preview.drain(name, gone.collect(), live)
            }
            // Sessions that live keep what they began with.
            Change::Set(_) => 0,
        };
        preview.affected += sessions;
        preview.changes.push(Consequence { change, sessions });
    }
    preview.affected = min(preview.affected, live.sessions);
    preview
}

impl Preview {
    /// Notes backends that would go; how many sessions they have.
    fn drain(&mut self, pool: &Name, gone: BTreeSet<Key>, live: &Live) -> u64 {
        let sessions = gone.iter().map(|key| live.at_backend(pool, key)).sum();
        self.drained.extend(gone.iter().map(|key| (pool.clone(), key.to_string())));
        sessions
    }
}

fn bound<'a>(config: &'a Config, name: &Name) -> impl Iterator<Item = (Name, SocketAddr)> + 'a {
    let listener = config.listeners.iter().find(|listener| listener.name == *name);
    listener.into_iter().flat_map(|listener| listener.bind.iter().map(|bind| (listener.name.clone(), *bind)))
}

fn pool<'a>(config: &'a Config, name: &Name) -> &'a [model::Backend] {
    config.pools.iter().find(|pool| pool.name == *name).map_or(&[], |pool| &pool.backends)
}

#[cfg(test)]
mod tests;
