//! A session in a line: for its turn at the listener, or for a place in its pool.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::CloseReason;
use crate::admission::Turn;
use crate::net::client::ClientKey;
use crate::net::socket;
use crate::pool::{Grant, NoQueue, Pool};
use crate::queue::Class;

/// How often it is looked whether the client is still there: often enough that one who left is out within a second.
const LOOK: Duration = Duration::from_millis(400);

/// Waits until the listener lets the session in.
pub(super) async fn for_turn(mut turn: Turn, downstream: &TcpStream) -> Result<(), CloseReason> {
    let deadline = turn.deadline;
    in_line(turn.granted(), deadline, downstream).await
}

/// Waits until a backend has room.
pub(super) async fn for_place(
    pool: &Arc<Pool>,
    who: (Class, ClientKey),
    downstream: &TcpStream,
) -> Result<Grant, CloseReason> {
    let (mut waiting, deadline) = pool.wait(who, Instant::now()).map_err(|refused| match refused {
        NoQueue::Off => CloseReason::NoBackend,
        NoQueue::Full => CloseReason::QueueFull,
    })?;
    in_line(waiting.granted(), deadline, downstream).await
}

/// Waits for what is granted. A client that closes meanwhile, even only its side, does not want to play any more.
async fn in_line<G>(
    granted: impl Future<Output = Option<G>>,
    deadline: Instant,
    downstream: &TcpStream,
) -> Result<G, CloseReason> {
    let mut granted = pin!(granted);
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
            granted = &mut granted => return granted.ok_or(CloseReason::Killed),
            () = sleep_until((now + LOOK).min(deadline)) => {}
        }
    }
}
