//! Turns for connections that no relay serves.

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::flow::TURN_BYTES;
use super::{Buffer, Ticket};

/// Reads and writes of one connection in a row, where each passes little.
const TURN_STEPS: usize = 64;

/// Bounds what one connection passes between two polls of the I/O driver, both ways together, as a relay bounds a direction.
pub struct Pacer {
    shared: Rc<Buffer>,
    ticket: Ticket,
    /// Passed since the connection last had to wait.
    bytes: usize,
    /// Reads and writes since then.
    steps: usize,
}

impl Pacer {
    /// For a connection of the worker that `shared` is of.
    pub fn new(shared: Rc<Buffer>) -> Self {
        Self { shared, ticket: Ticket::default(), bytes: 0, steps: 0 }
    }

    /// Ready when the connection may pass bytes.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes >= TURN_BYTES || self.steps >= TURN_STEPS {
            ready!(self.shared.turns.poll_turn(&mut self.ticket, cx));
            self.waits();
        }
        Poll::Ready(())
    }

    /// Notes bytes that have passed.
    pub fn passed(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.steps += 1;
    }

    /// Notes that the connection waits for its peer.
    pub fn waits(&mut self) {
        (self.bytes, self.steps) = (0, 0);
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
