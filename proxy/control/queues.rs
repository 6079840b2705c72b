//! Sessions that wait for a place are served whenever one is freed; here also when time alone has made one.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::state::State;

/// How often it is looked: a circuit may have become half open, or a pool that stands in for another may have room again.
const EVERY: Duration = Duration::from_millis(100);

/// Serves those who wait, for as long as the process lives.
pub async fn serve(state: Rc<State>) {
    loop {
        sleep(EVERY).await;
        let now = Instant::now();
        for pool in state.snapshot().pools.values() {
            pool.serve_waiting(now);
        }
    }
}
