//! Listeners that have left the config while something of theirs is still to count: sessions that go on, bans, players who were just
//! connected. One that comes back under its name goes on with all of it, so that an edit for a moment resets no limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::{Counts, Listener};
use crate::admission::reconnect;
use crate::config::scalar::Name;
use crate::http::front::Front;

/// Departed listeners without live sessions that are remembered. More come only from a config that makes new names up all the time.
const IDLE_MAX: usize = 100;

/// What is kept of listeners that the config does not have any more.
#[derive(Debug, Default)]
pub(super) struct Departed(BTreeMap<Name, Carried>);

/// What passes from one version of a listener to the next.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub(super) counts: Arc<Counts>,
    /// Followed by connections that live, as long as any does.
    pub(super) front: Weak<ArcSwap<Front>>,
}

impl Departed {
    /// What remains of the listeners of the snapshot before that the config has no more, and of those that had departed already.
    pub(super) fn new(
        before: (&Self, &BTreeMap<Name, Arc<Listener>>),
        stays: impl Fn(&Name) -> bool,
        rule: reconnect::Rule,
        now: Instant,
    ) -> Self {
        let (departed, listeners) = before;
        let earlier = departed.0.iter().map(|(name, carried)| (name.clone(), carried.clone()));
        let newly = listeners.iter().map(|(name, listener)| (name.clone(), Carried::of(listener)));
        let all = earlier.chain(newly).filter(|(name, _)| !stays(name));
        let (living, idle): (Vec<_>, Vec<_>) = all.partition(|(_, carried)| carried.has_sessions());
        let idle = idle.into_iter().filter(|(_, carried)| carried.counts.tally.memory().is_worth_keeping(rule, now));
        Self(living.into_iter().chain(idle.take(IDLE_MAX)).collect())
    }

    /// What is known of a listener that comes back.
    pub(super) fn get(&self, name: &Name) -> Option<Carried> {
        self.0.get(name).cloned()
    }
}

impl Carried {
    pub(super) fn of(listener: &Listener) -> Self {
        let front = listener.front.as_ref().map_or_else(Weak::new, Arc::downgrade);
        Self { counts: Arc::clone(&listener.counts), front }
    }

    fn has_sessions(&self) -> bool {
        let tally = &self.counts.tally;
        tally.active() > 0 || tally.memory().live_sessions() > 0
    }
}
