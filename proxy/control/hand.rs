//! What is set by hand, as it is told to those whom it concerns.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::state::State;
use crate::pool::Backend;
use crate::worker::{Ask, Command};

/// Between two looks for bans that are over: as exact as anybody means one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Ends bans by hand whose time is over, for as long as the process lives.
pub async fn end_bans(state: Rc<State>) {
    loop {
        sleep(LOOK_EVERY).await;
        let now = SystemTime::now();
        if state.banned().iter().any(|(_, ban)| ban.is_over(now)) {
            state.change_banned(|banned| banned.forget(now));
            tracing::info!(left = state.banned().count(), "bans by hand are over");
        }
    }
}

/// Ends the sessions that are connected to a backend, or about to be.
pub async fn close_on(state: &State, backend: &Arc<Backend>) {
    backend.end_sessions();
    for worker in state.workers() {
        worker.send(Command::Sessions(Ask::StopOn(Arc::clone(backend)))).await;
    }
}

/// Ends the sessions of a network; how many there were. Those that are let in from now on have heard of the ban.
pub async fn close_of(state: &State, network: IpNet) -> usize {
    let mut found = Vec::new();
    for worker in state.workers() {
        let (tell, told) = oneshot::channel();
        worker.send(Command::Sessions(Ask::StopOf(network, tell))).await;
        found.push(told);
    }
    let mut closed = 0;
    for told in found {
        // A worker that has ended has none.
        closed += told.await.unwrap_or_default();
    }
    closed
}
