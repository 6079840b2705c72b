//! What a session, its worker and those who look at it share of it. All on one thread: no locks.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use super::id::Moment;
use super::{CloseReason, Ids, SessionId, Tally};
use crate::config::model::Mode;
use crate::pool::{Backend, Pool};
use crate::relay::{Direction, Quality, Stop};

/// What others may know of a session, and ask of it.
pub(super) struct Handle {
    pub(super) id: SessionId,
    // Address and port alone: a SocketAddr has twelve bytes more, and sessions are mostly memory.
    pub(super) client: (IpAddr, u16),
    pub(super) mode: Mode,
    pub(super) tally: Arc<Tally>,
    pub(super) accepted: Moment,
    pub(super) stop: Stop,
    /// Why it was asked to stop.
    pub(super) reason: Cell<CloseReason>,
    /// Its client has been told that all end.
    pub(super) told: Cell<bool>,
    /// Where it goes, as soon as that is known.
    pool: Cell<Option<Arc<Pool>>>,
    /// Where it is connected to.
    backend: OnceCell<Arc<Backend>>,
    bytes_up: Cell<u64>,
    bytes_down: Cell<u64>,
    /// The client's side, when the kernel was asked last; [`UNKNOWN`] until then.
    quality: Cell<Quality>,
}

/// No packet comes back in no time. An `Option` would be half as large again.
const UNKNOWN: Quality = Quality { rtt_us: 0, retransmits: 0 };

impl Handle {
    pub(super) fn new(
        ids: &Ids,
        (client, accepted_at): (SocketAddr, Instant),
        (tally, mode): (Arc<Tally>, Mode),
        pool: Option<&Arc<Pool>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            id: ids.next(),
            client: (client.ip(), client.port()),
            mode,
            tally,
            accepted: ids.moment(accepted_at),
            stop: Stop::default(),
            reason: Cell::new(CloseReason::Killed),
            told: Cell::new(false),
            pool: Cell::new(pool.map(Arc::clone)),
            backend: OnceCell::new(),
            bytes_up: Cell::new(0),
            bytes_down: Cell::new(0),
            quality: Cell::new(UNKNOWN),
        })
    }

    /// The client's side, when the kernel was asked last.
    pub(super) fn quality(&self) -> Option<Quality> {
        Some(self.quality.get()).filter(|&quality| quality != UNKNOWN)
    }

    pub(super) fn note_quality(&self, quality: Quality) {
        self.quality.set(quality);
    }

    /// Asks it to end, and says why.
    pub(super) fn end(&self, reason: CloseReason) {
        self.reason.set(reason);
        self.stop.ask();
    }

    /// The client's address and port.
    pub(super) fn source(&self) -> SocketAddr {
        SocketAddr::from(self.client)
    }

    /// Where it goes.
    pub(super) fn pool(&self) -> Option<Arc<Pool>> {
        let pool = self.pool.take();
        self.pool.set(pool.clone());
        pool
    }

    pub(super) fn lead_to(&self, pool: &Arc<Pool>) {
        self.pool.set(Some(Arc::clone(pool)));
    }

    /// Where it is connected to.
    pub(super) fn backend(&self) -> Option<&Arc<Backend>> {
        self.backend.get()
    }

    /// Whether it is connected to this one.
    pub(super) fn is_on(&self, backend: &Arc<Backend>) -> bool {
        self.backend().is_some_and(|its| Arc::ptr_eq(its, backend))
    }

    pub(super) fn connected_to(&self, backend: &Arc<Backend>) {
        // A session connects once.
        let _again = self.backend.set(Arc::clone(backend));
    }

    pub(super) fn passed(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::Up => &self.bytes_up,
            Direction::Down => &self.bytes_down,
        };
        counter.set(counter.get() + bytes as u64);
    }

    /// Bytes passed so far, up and down.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.bytes_up.get(), self.bytes_down.get())
    }

    /// Notes how many it were, where others count them.
    pub(super) fn set_bytes(&self, (up, down): (u64, u64)) {
        self.bytes_up.set(up);
        self.bytes_down.set(down);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.id).field("client", &self.client).finish_non_exhaustive()
    }
}
