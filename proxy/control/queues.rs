//! Serves sessions that wait for what time alone brings: their turn at a listener, or a place that has become free without
//! anybody leaving it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::state::State;
use crate::admission::Arrivals;
use crate::admission::pace::Rule;
use crate::snapshot::{Listener, Snapshot};

/// How often it is looked: a circuit may have become half open, or a pool that stands in for another may have room again.
const EVERY: Duration = Duration::from_millis(100);
/// While clients wait for their turn, so that they come in one after the other rather than in heaps. The rate itself does
/// not depend on it.
const EVERY_TURN: Duration = Duration::from_millis(10);

/// Serves those who wait, for as long as the process lives.
pub async fn serve(state: Rc<State>) {
    let mut last = Arc::clone(&state.snapshot());
    let mut gone = Vec::new();
    let mut served_pools = Instant::now();
    loop {
        let someone_waits =
            last.listeners.values().any(|listener| lines(listener).iter().any(|(line, _)| line.waiting() > 0));
        sleep(if someone_waits { EVERY_TURN } else { EVERY }).await;
        let (now, snapshot) = (Instant::now(), Arc::clone(&state.snapshot()));
        if !Arc::ptr_eq(&snapshot, &last) {
            gone.extend(removed(&last, &snapshot));
            last = snapshot;
        }
        for listener in last.listeners.values() {
            lines(listener).into_iter().for_each(|(line, rule)| line.serve(rule, now));
        }
        // What is left of their rate is nobody's business any more.
        gone.retain(|listener| {
            lines(listener).into_iter().for_each(|(line, _)| line.serve(None, now));
            listener.counts.tally.active() > 0
        });
        if now - served_pools >= EVERY {
            served_pools = now;
            for pool in last.pools.values() {
                pool.serve_waiting(now);
            }
        }
    }
}

fn removed<'a>(before: &'a Snapshot, now: &'a Snapshot) -> impl Iterator<Item = Arc<Listener>> + use<'a> {
    // By what it counts: one of the same name may have come after it.
    let lives = |old: &Listener| now.listeners.get(&old.name).is_some_and(|new| Arc::ptr_eq(&new.counts, &old.counts));
    before.listeners.values().filter(move |listener| !lives(listener)).map(Arc::clone)
}

/// Those who wait at a listener, to come in and to begin a TLS handshake, and how fast they may.
fn lines(listener: &Listener) -> [(&Arrivals, Option<&Rule>); 2] {
    let (memory, policy) = (listener.counts.tally.memory(), &listener.policy);
    [(memory.arrivals(), policy.arrivals.as_ref()), (memory.handshakes(), policy.handshakes.as_ref())]
}
