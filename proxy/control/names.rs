//! Host names of backends, looked up at load and every half minute.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::state::State;
use crate::pool::{Backend, discovery};
use crate::snapshot::Snapshot;

/// How often names are looked up again.
const EVERY: Duration = Duration::from_secs(30);

/// How often names that have no address yet are looked up again.
const EVERY_UNKNOWN: Duration = Duration::from_secs(1);

/// Looks names up again for as long as the process lives.
pub async fn keep_resolved(state: Rc<State>) {
    loop {
        let mut waited = Duration::ZERO;
        while waited < EVERY {
            sleep(EVERY_UNKNOWN).await;
            waited += EVERY_UNKNOWN;
            let unknown = |backend: &Backend| backend.socket_addresses().is_empty();
            resolve(&state.snapshot(), unknown).await;
        }
        resolve(&state.snapshot(), |_| true).await;
    }
}

/// Looks up the names of a new snapshot that have no address yet, for `patience` at most; what is not found by then is
/// found later.
pub async fn resolve_new(snapshot: &Snapshot, patience: Duration) {
    let _late = timeout(patience, resolve(snapshot, |backend| backend.socket_addresses().is_empty())).await;
}

/// Looks up the names of the backends for which `wanted` holds, side by side.
async fn resolve(snapshot: &Snapshot, wanted: impl Fn(&Backend) -> bool) {
    let mut lookups = JoinSet::new();
    for (name, pool) in &snapshot.pools {
        for member in pool.members() {
            if wanted(&member.backend) {
                let (name, backend) = (name.clone(), Arc::clone(&member.backend));
                lookups.spawn_local(async move { discovery::resolve(&name, &backend).await });
            }
        }
    }
    while lookups.join_next().await.is_some() {}
}
