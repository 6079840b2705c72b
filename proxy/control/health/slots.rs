//! How many checks run at once, so that pools whose backends hang hold up none of the others.
//!
//! A check of a backend that has vanished lasts for its whole `timeout`. So each pool has some slots of its own, and those that
//! all share are so many that a pool rarely waits at all.

use std::collections::HashMap;
use std::rc::Rc;

use rustix::process::{Resource, getrlimit};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::scalar::Name;

/// Slots of each pool's own: enough for some dozens of backends, of which a few have vanished, to be checked when they are due.
const OWN: usize = 8;

/// The shared slots, at most: a thousand backends that have vanished are checked as often as their interval says.
const SHARED_MAX: usize = 1024;

/// The same, at least.
const SHARED_MIN: usize = 64;

/// The part of the process's descriptors that the shared slots may take.
const DESCRIPTORS_PART: u64 = 8;

/// The slots of all pools.
#[derive(Debug)]
pub(super) struct Slots {
    shared: Rc<Semaphore>,
    own: HashMap<Name, Rc<Semaphore>>,
}

/// Those that the checks of one pool may take.
#[derive(Debug, Clone)]
pub(super) struct PoolSlots {
    own: Rc<Semaphore>,
    shared: Rc<Semaphore>,
}

impl Slots {
    /// As many as the process has descriptors for.
    pub(super) fn new() -> Self {
        Self::of(shared_slots(getrlimit(Resource::Nofile).current))
    }

    fn of(shared: usize) -> Self {
        Self { shared: Rc::new(Semaphore::new(shared)), own: HashMap::new() }
    }

    /// Those for a pool.
    pub(super) fn for_pool(&mut self, pool: &Name) -> PoolSlots {
        let own = self.own.entry(pool.clone()).or_insert_with(|| Rc::new(Semaphore::new(OWN)));
        PoolSlots { own: Rc::clone(own), shared: Rc::clone(&self.shared) }
    }

    /// Forgets the pools that are not among these.
    pub(super) fn keep(&mut self, is_there: impl Fn(&Name) -> bool) {
        self.own.retain(|pool, _| is_there(pool));
    }
}

/// For a process that may have so many descriptors; `None` is any number.
fn shared_slots(descriptors: Option<u64>) -> usize {
    let part = descriptors.map_or(SHARED_MAX, |most| usize::try_from(most / DESCRIPTORS_PART).unwrap_or(SHARED_MAX));
    part.clamp(SHARED_MIN, SHARED_MAX)
}

impl PoolSlots {
    /// Waits for a slot, the pool's own or a shared one. It is free again when it is dropped; `None` never happens while slots exist.
    pub(super) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            slot = self.own.acquire() => slot.ok(),
            slot = self.shared.acquire() => slot.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::LocalSet;
    use tokio::time::{Instant, sleep};

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// Begins so many checks that take their time, and lets them get under way.
    async fn hang(slots: &PoolSlots, checks: usize) {
        for _ in 0..checks {
            let slots = slots.clone();
            tokio::task::spawn_local(async move {
                let _slot = slots.take().await;
                sleep(Duration::from_secs(2)).await;
            });
        }
        sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_of_vanished_backends_delays_no_check_of_another() {
        LocalSet::new()
            .run_until(async {
                let mut slots = Slots::of(SHARED_MIN);
                hang(&slots.for_pool(&name("dead")), 600).await;
                let (alive, began) = (slots.for_pool(&name("alive")), Instant::now());
                let held: Vec<_> = [alive.take().await, alive.take().await].into_iter().flatten().collect();
                assert_eq!((held.len(), began.elapsed()), (2, Duration::ZERO));
                // Its own are not endless either: the next is free when a check of any pool is over.
                hang(&alive, OWN - 2).await;
                let _ninth = alive.take().await;
                assert!(began.elapsed() > Duration::from_secs(1));
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_whose_backends_all_hang_has_the_shared_ones_beside_its_own() {
        LocalSet::new()
            .run_until(async {
                let mut slots = Slots::of(SHARED_MIN);
                let dead = slots.for_pool(&name("dead"));
                let began = Instant::now();
                hang(&dead, 10 * (SHARED_MIN + OWN)).await;
                let _last = dead.take().await;
                assert_eq!(began.elapsed().as_secs(), 20);
            })
            .await;
    }

    #[test]
    fn slots_of_a_pool_stay_while_it_is_there() {
        let mut slots = Slots::of(1);
        let before = slots.for_pool(&name("a"));
        slots.for_pool(&name("b"));
        slots.keep(|pool| pool.as_str() == "a");
        assert!(Rc::ptr_eq(&slots.for_pool(&name("a")).own, &before.own));
        assert_eq!(slots.own.len(), 1);
    }

    #[test]
    fn as_many_are_shared_as_there_are_descriptors_for() {
        assert_eq!([None, Some(20), Some(1024), Some(1 << 20)].map(shared_slots), [1024, 64, 128, 1024]);
    }
}
