//! Turns for connections that no relay serves.

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::flow::TURN_BYTES;
use super::{Buffer, Ticket};

/// Bounds what one connection passes between two polls of the I/O driver, both ways together, as a relay bounds a direction.
pub struct Pacer {
    shared: Rc<Buffer>,
    ticket: Ticket,
    /// Passed since the connection last had to wait.
    bytes: usize,
}

impl Pacer {
    /// For a connection of the worker that `shared` is of.
    pub fn new(shared: Rc<Buffer>) -> Self {
        Self { shared, ticket: Ticket::default(), bytes: 0 }
    }

    /// Ready when the connection may pass bytes.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes >= TURN_BYTES {
            ready!(self.shared.turns.poll_turn(&mut self.ticket, cx));
            self.bytes = 0;
        }
        Poll::Ready(())
    }

    /// Notes bytes that have passed.
    pub fn passed(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Notes that the connection waits for its peer.
    pub fn waits(&mut self) {
        self.bytes = 0;
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.shared.turns.leave(&mut self.ticket);
    }
}

impl fmt::Debug for Pacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pacer").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
