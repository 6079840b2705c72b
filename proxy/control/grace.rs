//! Backends that an edit has removed stay until the names that are to replace them have an answer. Pure: takes `now` as
//! an argument.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::config::model::{self, Config};
use crate::config::scalar::{Address, Name};
use crate::pool::discovery::{self, Answers, Entry};

/// The backends of each pool.
pub(super) type Entries = BTreeMap<Name, Vec<Entry>>;

/// The pools whose removed backends stay for now.
#[derive(Debug, Default)]
pub(super) struct ResolveGrace(BTreeMap<Name, Grace>);

/// Why the removed backends of a pool stay, and for how long.
#[derive(Debug)]
struct Grace {
    removed: Vec<Entry>,
    /// Names that the edit has brought and that have no answer yet.
    names: BTreeSet<Address>,
    until: Instant,
}

/// What runs when a file is edited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) config: &'a Config,
    /// With those that stay because of an edit before.
    pub(super) entries: &'a Entries,
}

impl ResolveGrace {
    /// Takes an edit in. Where it brings names that have no answer yet, the backends that it removes stay for the pool's
    /// `resolve_grace`.
    pub(super) fn edit(&mut self, new: &Config, before: Before<'_>, answers: &Answers, now: Instant) {
        let mut earlier = std::mem::take(&mut self.0);
        for pool in &new.pools {
            let earlier = earlier.remove(&pool.name);
            let known: BTreeSet<_> = pool_of(before.config, &pool.name).into_iter().flat_map(names).collect();
            let unanswered = names(pool).filter(|name| !answers.0.contains_key(name));
            let (mut waits_for, others): (BTreeSet<_>, BTreeSet<_>) =
                unanswered.cloned().partition(|name| !known.contains(name));
            let mut until = now + pool.discovery.resolve_grace;
            if let Some(earlier) = earlier {
                if waits_for.is_empty() {
                    until = earlier.until;
                }
                waits_for.extend(others.into_iter().filter(|name| earlier.names.contains(name)));
            }
            let stay: BTreeSet<_> =
                discovery::expand(&pool.backends, answers).into_iter().map(|entry| entry.key).collect();
            let removed = before.entries.get(&pool.name).into_iter().flatten();
            let removed: Vec<_> = removed.filter(|entry| !stay.contains(&entry.key)).cloned().collect();
            if !(waits_for.is_empty() || removed.is_empty()) {
                self.0.insert(pool.name.clone(), Grace { removed, names: waits_for, until });
            }
        }
    }

    /// Ends what is over. The pools whose names have found no answer in time, with these names.
    pub(super) fn end(&mut self, answers: &Answers, now: Instant) -> Vec<(Name, String)> {
        let mut late = Vec::new();
        self.0.retain(|pool, grace| {
            grace.names.retain(|name| !answers.0.contains_key(name));
            let is_late = !grace.names.is_empty() && now >= grace.until;
            if is_late {
                late.push((pool.clone(), shown(&grace.names)));
            }
            !is_late && !grace.names.is_empty()
        });
        late
    }

    /// The next moment at which something may be over.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.0.values().map(|grace| grace.until).min()
    }

    /// The backends that stay.
    pub(super) fn kept(&self) -> Entries {
        self.0.iter().map(|(pool, grace)| (pool.clone(), grace.removed.clone())).collect()
    }

    /// The pools in which some stay, with the names that are waited for.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&Name, String)> {
        self.0.iter().map(|(pool, grace)| (pool, shown(&grace.names)))
    }
}

/// Refuses an edit after which players would find no backend in a pool, as the names that are all it has do not exist:
/// `denied` has these, and what the name servers say. Pools that nobody came to before may wait for their names.
///
/// # Errors
/// The problems, for people to read.
pub(super) fn refuse_empty(
    new: &Config,
    before: Before<'_>,
    answers: &Answers,
    denied: &BTreeMap<Address, String>,
) -> Result<(), String> {
    let has_backends = |pool: &Name| before.entries.get(pool).is_some_and(|entries| !entries.is_empty());
    let pool_before = |listener: &Name| {
        let known = before.config.listeners.iter().find(|known| known.name == *listener);
        known.and_then(|known| known.pool.as_ref())
    };
    let takes_over = |pool: &Name| {
        let listeners = new.listeners.iter().filter(|listener| listener.pool.as_ref() == Some(pool));
        listeners.filter_map(|listener| pool_before(&listener.name)).any(has_backends)
    };
    let problem = |pool: &model::Pool| {
        let is_used = has_backends(&pool.name) || takes_over(&pool.name);
        if !is_used || !discovery::expand(&pool.backends, answers).is_empty() {
            return None;
        }
        let why = |name| denied.get(name).map(|why| format!("{name} does not resolve ({why})"));
        let all: Option<Vec<_>> = pool.backends.iter().map(|backend| why(&backend.address)).collect();
        let all = all?.join(", ");
        Some(format!("error: pools.{}.backends: {all}, and the pool would have no other backend", pool.name))
    };
    let problems: Vec<_> = new.pools.iter().filter_map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// The names among the backends of a pool.
fn names(pool: &model::Pool) -> impl Iterator<Item = &Address> {
    pool.backends.iter().map(|backend| &backend.address).filter(|name| !matches!(name, Address::Socket(_)))
}

fn pool_of<'a>(config: &'a Config, name: &Name) -> Option<&'a model::Pool> {
    config.pools.iter().find(|pool| pool.name == *name)
}

fn shown(names: &BTreeSet<Address>) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
