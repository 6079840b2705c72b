//! A session in its pool's queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::CloseReason;
use crate::net::client::ClientKey;
use crate::net::socket;
use crate::pool::{Grant, NoQueue, Pool};
use crate::queue::Class;

/// How often it is looked whether the client is still there: often enough that one who left is out within a second.
const LOOK: Duration = Duration::from_millis(400);

/// Waits until a backend has room. A client that closes meanwhile, even only its side, does not want to play any more.
pub(super) async fn for_place(
    pool: &Arc<Pool>,
    who: (Class, ClientKey),
    downstream: &TcpStream,
) -> Result<Grant, CloseReason> {
    let (mut waiting, deadline) = pool.wait(who, Instant::now()).map_err(|refused| match refused {
        NoQueue::Off => CloseReason::NoBackend,
        NoQueue::Full => CloseReason::QueueFull,
    })?;
    loop {
        let now = Instant::now();
        if now >= deadline {
            return Err(CloseReason::QueueTimeout);
        }
        if socket::has_left(downstream) {
            return Err(CloseReason::ClientClosed);
        }
        tokio::select! {
            biased;
            granted = waiting.granted() => return granted.ok_or(CloseReason::Killed),
            () = sleep_until((now + LOOK).min(deadline)) => {}
        }
    }
}
