//! Sessions whose client and backend have agreed by a request on what their bytes mean: from there on they are passed as they come.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::record::Carries;
use super::{CloseReason, Load, Local, Observer, Origin, Session, SessionId, cut, farewell, outcome};
use crate::admission::{Admission, Refusal};
use crate::pool::{Lease, Pool};
use crate::relay::{self, Limits, Socket, Stop};

/// Sessions within a session: streams of its connection that become one each, with a place, a permit and a line in the log of
/// their own.
#[derive(Debug)]
pub struct Offshoots {
    origin: Origin,
    house: Arc<Admission>,
    local: Rc<Local>,
    load: Arc<Load>,
    living: RefCell<BTreeSet<SessionId>>,
    /// Tells that one has gone.
    gone: Notify,
}

/// One of them; it counts as living until this is dropped.
#[derive(Debug)]
pub struct Offshoot(Rc<Offshoots>, SessionId);

impl Session {
    /// Becomes one with this backend, to which a connection stands.
    pub fn join(&mut self, pool: &Arc<Pool>, lease: &Lease, connect: Duration) {
        self.record.attempt(pool, lease.backend());
        self.record.note_connect(connect);
        self.place.handle().connected_to(lease.backend());
    }

    /// Passes bytes until one side ends, a limit of the pool has passed, or `stop` asks.
    pub async fn tunnel<D: Socket, U: Socket>(
        &self,
        (downstream, upstream): (&mut D, &mut U),
        lease: &Lease,
        stop: &Stop,
    ) -> CloseReason {
        // The backend has answered already.
        let limits = Limits { request: None, ..*self.record.limits() };
        let observer = Observer { place: &self.place, record: &self.record, lease };
        let session = relay::Session {
            buffer: self.place.buffer(),
            limits: &limits,
            // Not the connection's, which may have carried requests for long.
            began: Instant::now(),
            observer: &observer,
            stop,
        };
        let end = relay::run(downstream, upstream, session).await;
        cut::pass_on(end, (&*downstream, &*upstream), stop).await;
        outcome::of_relay(end, self.stop_reason())
    }

    /// Says a last word to the client, and closes in order.
    pub async fn speak<D: Socket>(&self, downstream: &mut D, words: &[u8]) {
        farewell::speak(downstream, words).await;
    }

    /// What sessions within this one begin with.
    pub fn offshoots(&self) -> Rc<Offshoots> {
        let (local, load) = self.place.ground();
        Rc::new(Offshoots {
            origin: self.record.origin(),
            house: Arc::clone(self.permit.house()),
            local,
            load,
            living: RefCell::default(),
            gone: Notify::new(),
        })
    }
}

impl Offshoots {
    /// Begins one.
    ///
    /// # Errors
    /// The house has no room for it.
    pub fn begin(self: &Rc<Self>) -> Result<(Session, Offshoot), Refusal> {
        let permit = self.house.hold(self.origin.tally.memory())?;
        let origin = Origin { accepted_at: Instant::now(), ..self.origin.clone() };
        let mut session = Session::new(origin, permit, self.load.take_on(), &self.local);
        session.record.carries = Carries::Stream;
        let id = session.place.id();
        self.living.borrow_mut().insert(id);
        Ok((session, Offshoot(Rc::clone(self), id)))
    }

    /// Asks those who live to end, and says why.
    pub fn stop_all(&self, reason: CloseReason) {
        let living: Vec<_> = self.living.borrow().iter().copied().collect();
        self.local.stop_these(&living, reason);
    }

    /// Resolves when none is left. One task at a time may wait.
    pub async fn emptied(&self) {
        while !self.living.borrow().is_empty() {
            self.gone.notified().await;
        }
    }
}

impl Drop for Offshoot {
    fn drop(&mut self) {
        self.0.living.borrow_mut().remove(&self.1);
        self.0.gone.notify_one();
    }
}
