//! What a worker lends to its sessions, and how it reaches them. All on one thread: no locks.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ipnet::IpNet;
use slab::Slab;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::handle::Handle;
use super::list::{Listing, Query};
use super::{CloseReason, Ids, SessionId};
use crate::admission::acl;
use crate::admission::pace::Pace;
use crate::admission::rate::Limit;
use crate::config::scalar::Rate;
use crate::net::tls::handshake::STEPS_AT_ONCE;
use crate::pool::Backend;
use crate::relay::{Buffer, Quality, Stop, TurnQueue};

/// One worker's side of its sessions.
#[derive(Debug)]
pub struct Local {
    worker: usize,
    buffer: Rc<Buffer>,
    ids: Arc<Ids>,
    sessions: RefCell<Slab<Rc<Handle>>>,
    /// Tells that the last session has gone.
    emptied: Notify,
    /// Clients that are being told why they may not stay.
    farewells: Cell<usize>,
    farewell_pace: RefCell<Pace>,
    /// For clients in the middle of their TLS handshakes.
    handshakes: Semaphore,
    /// For those of them whose next step is computed.
    handshake_steps: Semaphore,
    /// Turns of those who take new connections in.
    accept_turns: TurnQueue,
    /// When the sessions that are left will be ended, once it is known.
    ends_at: Cell<Option<Instant>>,
    /// The place in the list behind the one that was measured last.
    measured: Cell<usize>,
}

/// One client that is being told why it may not stay.
#[derive(Debug)]
pub(super) struct Spoken(Rc<Local>);

/// Clients that one worker speaks to at once, before it closes them. In a flood it has better things to do.
pub const FAREWELLS: usize = 256;

/// And how often it begins to: words cost twice as much as a refusal without them.
const FAREWELL_LIMIT: Limit = Limit { rate: Rate::per_second(NonZeroU32::new(500).expect("500 is not 0")), burst: 256 };

/// TLS handshakes that one worker is in the middle of. Each takes some KiB; those beyond wait in the kernel.
const HANDSHAKES: usize = 512;

/// How many sessions a worker has, those on their way to it included. Read by the other workers.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Load(AtomicUsize);

/// One session in the load of its worker, for as long as it is held.
#[derive(Debug)]
pub struct Burden(Arc<Load>);

/// A session's seat among those of its worker; gives it up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    local: Rc<Local>,
    key: usize,
    handle: Rc<Handle>,
    burden: Burden,
}

impl Local {
    /// The side of worker number `worker`.
    pub fn new(worker: usize, ids: Arc<Ids>) -> Rc<Self> {
        Rc::new(Self {
            worker,
            buffer: Rc::default(),
            ids,
            sessions: RefCell::default(),
            emptied: Notify::new(),
            farewells: Cell::new(0),
            farewell_pace: RefCell::default(),
            handshakes: Semaphore::new(HANDSHAKES),
            handshake_steps: Semaphore::new(STEPS_AT_ONCE),
            accept_turns: TurnQueue::default(),
            ends_at: Cell::new(None),
            measured: Cell::new(0),
        })
    }

    /// Live sessions of this worker.
    pub fn sessions(&self) -> usize {
        self.sessions.borrow().len()
    }

    /// A slot for each TLS handshake that may be under way, and for each that may be computed at a time.
    pub(super) fn handshakes(&self) -> (&Semaphore, &Semaphore) {
        (&self.handshakes, &self.handshake_steps)
    }

    /// Turns of those who take new connections in: so many between two polls of the I/O driver, whatever else is ready.
    pub fn accept_turns(&self) -> &TurnQueue {
        &self.accept_turns
    }

    /// Asks every session to end, and says why.
    pub fn stop_all(&self, reason: CloseReason) {
        self.stop_those(reason, |_| true);
    }

    /// Asks the sessions that are connected to a backend to end, and says why.
    pub fn stop_on(&self, backend: &Arc<Backend>, reason: CloseReason) {
        self.stop_those(reason, |handle| handle.is_on(backend));
    }

    /// Asks the sessions whose clients are of a network to end, and says why. Returns how many of them there were.
    pub fn stop_of(&self, network: &IpNet, reason: CloseReason) -> usize {
        self.stop_those(reason, |handle| acl::is_of(handle.client.0, network))
    }

    /// Has every session tell its client that all end then, as far as there is something to tell.
    pub fn announce_end(&self, at: Instant) {
        self.ends_at.set(Some(at));
        for (_, handle) in &*self.sessions.borrow() {
            handle.stop.ask_to_tell();
        }
    }

    /// Leave to speak to one more client that may not stay.
    pub(super) fn farewell(self: &Rc<Self>) -> Option<Spoken> {
        let spoken = self.farewells.get();
        let may = spoken < FAREWELLS && self.farewell_pace.borrow_mut().pass(&FAREWELL_LIMIT, Instant::now());
        may.then(|| {
            self.farewells.set(spoken + 1);
            Spoken(Rc::clone(self))
        })
    }

    /// Asks these sessions to end, and says why. Returns how many of them there were.
    pub fn stop_these(&self, sessions: &[SessionId], reason: CloseReason) -> usize {
        self.stop_those(reason, |handle| sessions.binary_search(&handle.id).is_ok())
    }

    /// The sessions that a query is for.
    pub fn list(&self, query: &Query) -> Listing {
        query.run(self.sessions.borrow().iter().map(|(_, handle)| &**handle), self.ids.moment(Instant::now()))
    }

    /// Has so many sessions find out how their clients are connected; the next time, those after them.
    pub fn measure(&self, most: usize) {
        let sessions = self.sessions.borrow();
        // A session keeps its place in the list while it lives.
        let from = self.measured.get();
        let around = (from..sessions.capacity()).chain(0..from.min(sessions.capacity()));
        for (place, handle) in around.filter_map(|place| Some((place, sessions.get(place)?))).take(most) {
            handle.stop.ask_to_measure();
            self.measured.set(place + 1);
        }
    }

    /// How the clients are connected that have been measured, and the backends that they are on.
    pub fn qualities(&self) -> Vec<(Arc<Backend>, Quality)> {
        let quality = |handle: &Rc<Handle>| Some((Arc::clone(handle.backend()?), handle.quality()?));
        self.sessions.borrow().iter().filter_map(|(_, handle)| quality(handle)).collect()
    }

    /// Live sessions of this worker, by name.
    pub fn session_ids(&self) -> Vec<SessionId> {
        self.sessions.borrow().iter().map(|(_, handle)| handle.id).collect()
    }

    fn stop_those(&self, reason: CloseReason, wanted: impl Fn(&Handle) -> bool) -> usize {
        let mut found = 0;
        for (_, handle) in self.sessions.borrow().iter().filter(|(_, handle)| wanted(handle)) {
            handle.end(reason);
            found += 1;
        }
        found
    }

    /// Resolves when no session is left. One task at a time may wait.
    pub async fn emptied(&self) {
        while self.sessions() > 0 || self.farewells.get() > 0 {
            self.emptied.notified().await;
        }
    }

    /// Its number.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Makes the ids of its sessions.
    pub(super) fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Takes a session in, whose burden it is.
    pub(super) fn seat(local: &Rc<Self>, handle: Rc<Handle>, burden: Burden) -> Place {
        let key = local.sessions.borrow_mut().insert(Rc::clone(&handle));
        Place { local: Rc::clone(local), key, handle, burden }
    }
}

impl Load {
    /// The count.
    pub fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Counts one more.
    pub fn take_on(self: &Arc<Self>) -> Burden {
        self.0.fetch_add(1, Relaxed);
        Burden(Arc::clone(self))
    }
}

impl Drop for Spoken {
    fn drop(&mut self) {
        self.0.farewells.set(self.0.farewells.get() - 1);
        self.0.emptied.notify_one();
    }
}

impl Drop for Burden {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

impl Place {
    pub(super) fn id(&self) -> SessionId {
        self.handle.id
    }

    pub(super) fn worker(&self) -> usize {
        self.local.worker
    }

    /// What it stands on: the worker's side, and its load.
    pub(super) fn ground(&self) -> (Rc<Local>, Arc<Load>) {
        (Rc::clone(&self.local), Arc::clone(&self.burden.0))
    }

    pub(super) fn buffer(&self) -> &Rc<Buffer> {
        &self.local.buffer
    }

    pub(super) fn handshakes(&self) -> (&Semaphore, &Semaphore) {
        self.local.handshakes()
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.handle.stop
    }

    pub(super) fn stop_reason(&self) -> CloseReason {
        self.handle.reason.get()
    }

    /// What is left until all sessions are ended, once that is known.
    pub(super) fn time_left(&self) -> Option<Duration> {
        Some(self.local.ends_at.get()?.saturating_duration_since(Instant::now()))
    }

    /// Whether the client has been told of that.
    pub(super) fn was_told(&self) -> bool {
        self.handle.told.get()
    }

    pub(super) fn note_told(&self) {
        self.handle.told.set(true);
    }

    pub(super) fn farewell(&self) -> Option<Spoken> {
        self.local.farewell()
    }

    /// What others may know of it.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sessions = self.local.sessions.borrow_mut();
        sessions.remove(self.key);
        if sessions.is_empty() {
            self.local.emptied.notify_one();
            // A storm of sessions leaves no lasting mark on memory.
            sessions.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Mode;
    use crate::relay::Asked;
    use crate::session::Tally;

    fn seat(local: &Rc<Local>, load: &Arc<Load>) -> Place {
        let tally = Arc::new(Tally::new("game".parse().unwrap(), 1));
        let whence = (([127, 0, 0, 1], 1).into(), Instant::now());
        Local::seat(local, Handle::new(local.ids(), whence, (tally, Mode::Tcp), None), load.take_on())
    }

    #[test]
    fn each_is_measured_in_turn() {
        let (local, load) = (Local::new(0, Arc::default()), Arc::default());
        let mut places: Vec<_> = (0..5).map(|_| seat(&local, &load)).collect();
        let asked = |places: &[Place]| {
            let cx = std::task::Context::from_waker(std::task::Waker::noop());
            places.iter().map(|place| u8::from(place.stop().poll(&cx) == Asked::Measure)).collect::<Vec<_>>()
        };
        local.measure(2);
        assert_eq!(asked(&places), [1, 1, 0, 0, 0]);
        local.measure(2);
        assert_eq!(asked(&places), [0, 0, 1, 1, 0]);
        local.measure(2);
        assert_eq!(asked(&places), [1, 0, 0, 0, 1]);
        drop(places.drain(1..));
        for _ in 0..3 {
            local.measure(2);
            assert_eq!(asked(&places), [1]);
        }
        places.clear();
        local.measure(2);
    }

    #[tokio::test]
    async fn the_last_to_leave_is_noticed() {
        let local = Local::new(0, Arc::default());
        local.emptied().await;
        let load = Arc::new(Load::default());
        let places = [seat(&local, &load), seat(&local, &load)];
        assert_eq!(load.get(), 2);
        local.stop_all(CloseReason::Drained);
        for place in &places {
            place.stop().asked().await;
            assert_eq!(place.stop_reason(), CloseReason::Drained);
        }
        let mut emptied = tokio_test_task(local.emptied());
        assert!(!emptied());
        drop(places);
        assert!(emptied());
        assert_eq!(load.get(), 0);
    }

    /// Polls a future once each time it is called, and says whether it is ready.
    fn tokio_test_task(future: impl Future<Output = ()>) -> impl FnMut() -> bool {
        let mut future = Box::pin(future);
        move || {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            future.as_mut().poll(&mut cx).is_ready()
        }
    }
}
