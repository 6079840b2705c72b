//! A session's claim on a backend.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backend::{Backend, Failure};
use super::breaker::Ticket;
use crate::net::client::ClientKey;

/// A session's claim on a backend: counts while it lives, or until it is given back. Without a report it is neutral for the circuit.
#[derive(Debug)]
pub struct Lease {
    backend: Arc<Backend>,
    ticket: Ticket,
    reported: Cell<bool>,
    /// The place at the backend has been given back before the lease's end.
    given_back: Cell<bool>,
    /// How often the backend's sessions had been ended before.
    endings: u32,
}

impl Lease {
    /// `None` when the backend has as many sessions as it may, or its circuit does not let this client through any more. With
    /// `anyway` the circuit is not asked.
    pub(super) fn claim(
        backend: &Arc<Backend>,
        client: ClientKey,
        max_connections: Option<u32>,
        anyway: bool,
        now: Instant,
    ) -> Option<Self> {
        let endings = backend.endings();
        let ticket = backend.claim(client, max_connections, anyway, now)?;
        Some(Self {
            backend: Arc::clone(backend),
            ticket,
            reported: Cell::new(false),
            given_back: Cell::new(false),
            endings,
        })
    }

    /// The backend that is claimed.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Whether the backend's sessions have been ended since it was claimed.
    pub fn is_ended(&self) -> bool {
        self.backend.endings() != self.endings
    }

    /// A connection stands, after so long.
    pub fn connected(&self, took: Duration) {
        self.backend.note_connected(took);
    }

    /// The backend has sent its first byte.
    pub fn succeeded(&self, now: Instant) {
        if !self.reported.replace(true) {
            self.backend.succeeded(self.ticket, now);
        }
    }

    /// The backend has sent bytes, the first or further ones: it is not silent.
    pub fn note_answer(&self) {
        self.backend.circuit().note_answer();
    }

    /// The backend has failed this session, before it sent anything. `witness` is the session's client, whose word counts if
    /// the failure is one that a client can cause; `None` if it does not count.
    pub fn failed(&self, failure: Failure, witness: impl FnOnce() -> Option<ClientKey>, now: Instant) {
        if !self.reported.replace(true) {
            self.backend.failed(self.ticket, failure, witness, now);
        }
    }

    /// Gives the place at the backend back, which has closed its side: another session may have it. Nothing more can be reported.
    pub fn give_back(&self) {
        if !self.given_back.replace(true) {
            if !self.reported.replace(true) {
                self.backend.circuit().undecided(self.ticket, Instant::now);
            }
            self.backend.release(Instant::now);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}
