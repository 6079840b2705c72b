//! Every backend that sessions may still be on, whether or not its pool has it now. Pure: takes `now` as an argument.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::admin::Admin;
use super::discovery::Key;
use super::shared::Shared;
use super::{Backend, Pool};
use crate::config::scalar::Name;

/// The backends by pool name and [`Key`]: there is never more than one object for both. One that leaves its pool stays
/// known as long as a session holds it, so that it is the same object when it returns; and for five minutes if it is bad,
/// so that it does not return as a good one.
#[derive(Debug, Default)]
pub struct BackendRegistry(Mutex<BTreeMap<(Name, Key), Known>>);

/// What is known of one backend.
#[derive(Debug)]
pub(super) struct Known {
    /// Sessions of older versions of the pool may go there as long as this can be upgraded.
    backend: Weak<Backend>,
    /// Keeps it without a session.
    kept: Option<Arc<Backend>>,
    /// When it left its pool; `None` while it is in it.
    left: Option<Instant>,
}

/// How long a bad backend without sessions is remembered after it has left: longer than DNS answers that name other
/// servers each time leave one out.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Bad backends without sessions that are remembered at most, the last ones that left: names may bring new addresses for ever.
const REMEMBERED_MAX: usize = 1024;

impl BackendRegistry {
    /// The backend of this pool name and key, if it is known.
    pub(super) fn find(&self, pool: &Name, key: &Key) -> Option<Arc<Backend>> {
        self.lock().get(&(pool.clone(), key.clone())).and_then(|known| known.backend.upgrade())
    }

    /// What the versions of the pool of this name have shared, if any of its backends is known.
    pub(super) fn shared(&self, pool: &Name) -> Option<Arc<Shared>> {
        let known = self.lock();
        let of_pool = known.iter().filter(|((name, _), _)| name == pool);
        let backend = of_pool.filter_map(|(_, known)| known.backend.upgrade()).next();
        backend.map(|backend| Arc::clone(backend.shared()))
    }

    /// Whether a session is on this backend, which may have left its pool.
    pub fn has_sessions(&self, pool: &Name, key: &Key) -> bool {
        self.find(pool, key).is_some_and(|backend| backend.active() > 0)
    }

    /// Notes which backends are in pools from now on, and forgets those that have left and that nobody can return to.
    /// Backends that have left hear what was set by hand for them, as those in pools do.
    pub fn follow<'a>(
        &self,
        pools: impl Iterator<Item = &'a Arc<Pool>>,
        by_hand: impl Fn(&Name, &Key) -> Admin,
        now: Instant,
    ) {
        let mut all = self.lock();
        let mut before = std::mem::take(&mut *all);
        for backend in pools.flat_map(|pool| pool.members()).map(|member| &member.backend) {
            let name = (backend.pool().clone(), backend.key().clone());
            before.remove(&name);
            let (weak, kept) = (Arc::downgrade(backend), Some(Arc::clone(backend)));
            all.insert(name, Known { backend: weak, kept, left: None });
        }
        for known in before.values_mut() {
            known.left.get_or_insert(now);
        }
        release(&mut before, now);
        before.retain(|_, known| known.backend.strong_count() > 0);
        for ((pool, key), known) in &before {
            if let Some(backend) = known.backend.upgrade() {
                backend.set_admin(by_hand(pool, key), now);
            }
        }
        all.append(&mut before);
    }

    /// Backends that have left their pools and have sessions, by pool name and key.
    pub fn removed(&self) -> Vec<Arc<Backend>> {
        let known = self.lock();
        let left = known.values().filter(|known| known.left.is_some());
        left.filter_map(|known| known.backend.upgrade()).filter(|backend| backend.active() > 0).collect()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<(Name, Key), Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of backends that have left, except for bad ones that did so only just.
fn release(left: &mut BTreeMap<(Name, Key), Known>, now: Instant) {
    let mut kept: Vec<_> = left.values_mut().filter(|known| known.kept.is_some()).collect();
    kept.sort_by_key(|known| std::cmp::Reverse(known.left));
    for (place, known) in kept.into_iter().enumerate() {
        let is_over = known.left.is_some_and(|left| now.saturating_duration_since(left) >= REMEMBERED);
        if place >= REMEMBERED_MAX || is_over || !known.kept.as_ref().is_some_and(|backend| backend.is_bad()) {
            known.kept = None;
        }
    }
}
