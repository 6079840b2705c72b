//! What others need to know of a session that carries requests.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::record::Carries;
use super::{CloseReason, Session, SessionId, Tally};
use crate::admission::{Admission, Who};
use crate::relay::{Pacer, Stop};

/// Who sends requests on a session.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// What the session is called.
    pub session: SessionId,
    /// The client's address.
    pub client: SocketAddr,
    /// Where it was accepted.
    pub tally: Arc<Tally>,
    /// When.
    pub accepted_at: Instant,
    /// Its TLS ended here.
    pub is_encrypted: bool,
    /// The protocol that was agreed on by TLS.
    pub protocol: Option<Vec<u8>>,
    /// Where it lives.
    pub worker: usize,
    /// What it does leaves lines in the access log.
    pub access_log: bool,
    /// The house that it is in.
    pub house: Arc<Admission>,
    served: Cell<bool>,
}

impl Visitor {
    /// A backend has answered a request of this client.
    pub fn note_served(&self, who: Who) {
        self.served.set(true);
        self.house.note_served(self.tally.memory(), who, Instant::now());
    }
}

impl Session {
    /// Who it is.
    pub fn visitor(&self) -> Visitor {
        let tls = self.record.known().and_then(|known| known.tls.as_ref());
        Visitor {
            session: self.record.id(),
            client: self.record.source(),
            tally: self.record.shared_tally(),
            accepted_at: self.record.accepted_at,
            is_encrypted: tls.is_some(),
            protocol: tls.and_then(|tls| tls.protocol.clone()),
            worker: self.place.worker(),
            access_log: self.record.is_logged(),
            house: Arc::clone(self.permit.house()),
            served: Cell::new(false),
        }
    }

    /// Bounds what its connection passes at a time, where no relay serves it.
    pub fn pacer(&self) -> Pacer {
        Pacer::new(Rc::clone(self.place.buffer()))
    }

    /// Ends it from outside.
    pub fn stop(&self) -> &Stop {
        self.place.stop()
    }

    /// Why it was.
    pub fn stop_reason(&self) -> CloseReason {
        self.place.stop_reason()
    }

    /// What is left until all sessions are ended, once that is known.
    pub fn time_left(&self) -> Option<Duration> {
        self.place.time_left()
    }

    /// Notes how many bytes have passed up and down so far, which have been counted for the listener.
    pub fn note_bytes(&self, up_and_down: (u64, u64)) {
        self.place.handle().set_bytes(up_and_down);
    }

    /// Notes that this client was served until now.
    pub fn note_served_until_now(&self, who: Who) {
        self.permit.house().note_served(self.record.tally().memory(), who, Instant::now());
    }

    /// Notes that its client was served here, though it was not connected to one backend.
    pub fn note_served(&mut self, visitor: &Visitor) {
        if visitor.served.get() {
            self.record.carries = Carries::Answers;
        }
    }

    /// The end. The connection is the caller's to close.
    pub fn end(mut self, reason: CloseReason) {
        self.finish(reason, None);
    }
}
