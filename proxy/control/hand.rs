//! What is set by hand, as it is told to those whom it concerns.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::state::State;

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
