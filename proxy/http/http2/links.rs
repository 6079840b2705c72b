//! The connections of HTTP/2 that a worker has to backends: few, which many requests share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use h2::client::SendRequest;
use hyper::body::Bytes;
use hyper::http::uri::Scheme;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::sending::Waits;
use crate::pool::Backend;
use crate::session::NoConnection;

/// Requests at once on one connection to a backend, however many that would take: so that its window can be larger than all its
/// streams together, and a connection that breaks takes no more than these with it.
pub const STREAMS_MAX: usize = 100;

/// The connections of a worker.
#[derive(Debug, Default)]
pub struct Links {
    /// By the backend's place in memory, which stays its own for as long as it is here.
    backends: RefCell<BTreeMap<*const Backend, Rc<OfBackend>>>,
}

/// Those to one backend.
#[derive(Debug)]
struct OfBackend {
    /// Keeps the place in memory.
    _backend: Arc<Backend>,
    links: RefCell<Vec<Rc<Link>>>,
    /// Connections that are being opened.
    opening: Cell<usize>,
    /// Requests that wait for one.
    waiting: Cell<usize>,
    /// How many could not be opened, and why the last one could not.
    failures: Cell<(u64, NoConnection)>,
    /// Tells that a request may find room now.
    changed: Notify,
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    sender: RefCell<SendRequest<Bytes>>,
    scheme: Scheme,
    /// Requests that are under way on it.
    in_use: Cell<usize>,
    /// No more requests are sent on it.
    is_retired: Cell<bool>,
    /// The backend has said how many requests it takes at once, or has answered one.
    is_settled: Cell<bool>,
    /// When a request was answered on it last.
    answered_at: Cell<Option<Instant>>,
    idle_until: Cell<Instant>,
    /// Bodies of requests that are sent on it.
    uploads: RefCell<Vec<Weak<Cell<Option<Instant>>>>>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Connections that there may be to its backend.
    pub links_max: usize,
    /// How long one is kept without a request.
    pub keep_for: Duration,
    /// The request has a body.
    pub has_body: bool,
}

/// A request's place on a connection, for as long as this is held.
#[derive(Debug)]
pub struct Slot {
    link: Rc<Link>,
    backend: Rc<OfBackend>,
    /// How long a connection is kept without a request.
    keep_for: Duration,
}

/// The right to open another connection. Dropped before it was used, it passes to another request that waits.
#[derive(Debug)]
pub struct Opening(Rc<OfBackend>);

/// A request that waits for a place.
#[derive(Debug)]
pub struct Waiting {
    backend: Rc<OfBackend>,
    failures: u64,
}

/// What a request gets that wants a place.
#[derive(Debug)]
pub enum Claim {
    /// One.
    Slot(Slot),
    /// It is to open a connection.
    Open(Opening),
    /// All are full, or being opened.
    Wait(Waiting),
}

impl Links {
    /// A place on a connection to this backend.
    pub fn claim(&self, backend: &Arc<Backend>, terms: Terms, now: Instant) -> Claim {
        let of_backend = self.of(backend);
        let mut links = of_backend.links.borrow_mut();
        links.retain(|link| link.is_usable());
        let slot = |link: &Rc<Link>| Claim::Slot(Slot::new(Rc::clone(link), Rc::clone(&of_backend), terms.keep_for));
        let is_held_up = |link: &Link| terms.has_body && link.is_held_up(now);
        if let Some(link) = links.iter().find(|link| link.has_room() && !is_held_up(link)) {
            return slot(link);
        }
        let (opening, unsettled) =
            (of_backend.opening.get(), links.iter().filter(|link| !link.is_settled.get()).count());
        // Who finds room on those that are coming needs no other.
        let expected = links.iter().rfind(|link| link.is_settled.get()).map_or(STREAMS_MAX, |link| link.streams_max());
        let is_enough = of_backend.waiting.get() < (opening + unsettled) * expected.max(1);
        if is_enough || links.len() + opening >= terms.links_max.max(1) {
            if let Some(link) = links.iter().find(|link| link.has_room()) {
                return slot(link);
            }
            drop(links);
            return Claim::Wait(Waiting::new(of_backend));
        }
        of_backend.opening.set(opening + 1);
        drop(links);
        Claim::Open(Opening(of_backend))
    }

    /// Closes those whose time is over, or which are closed.
    pub fn sweep(&self, now: Instant) {
        self.backends.borrow_mut().retain(|_, backend| {
            backend.links.borrow_mut().retain(|link| link.is_usable() && !link.is_over(now));
            // Who waits there, or opens one, has it, too.
            Rc::strong_count(backend) > 1 || !backend.links.borrow().is_empty()
        });
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.backends.borrow().is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.backends.borrow().values().map(|backend| backend.links.borrow().len()).sum()
    }

    fn of(&self, backend: &Arc<Backend>) -> Rc<OfBackend> {
        let new = || {
            Rc::new(OfBackend {
                _backend: Arc::clone(backend),
                links: RefCell::default(),
                opening: Cell::new(0),
                waiting: Cell::new(0),
                failures: Cell::new((0, NoConnection::Failed)),
                changed: Notify::new(),
            })
        };
        Rc::clone(self.backends.borrow_mut().entry(Arc::as_ptr(backend)).or_insert_with(new))
    }
}

impl Link {
    /// Whether another request can be sent on it, now or when one is over.
    fn is_usable(&self) -> bool {
        if !self.is_retired.get() {
            // Also a backend that goes away in order takes no more.
            let mut sender = self.sender.borrow_mut();
            let ready = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
            self.is_retired.set(matches!(ready, Poll::Ready(Err(_))));
        }
        !self.is_retired.get()
    }

    /// How many requests it takes at once.
    fn streams_max(&self) -> usize {
        self.sender.borrow().current_max_send_streams().min(STREAMS_MAX)
    }

    fn has_room(&self) -> bool {
        self.in_use.get() < self.streams_max()
    }

    /// Whether the backend has not taken anything of a body for some time. Its window may be one for all bodies on the connection, and
    /// then takes nothing of others either.
    fn is_held_up(&self, now: Instant) -> bool {
        let mut uploads = self.uploads.borrow_mut();
        uploads.retain(|waits| waits.strong_count() > 0);
        let since = |waits: &Weak<Cell<Option<Instant>>>| waits.upgrade().and_then(|waits| waits.get());
        uploads.iter().filter_map(since).any(|since| now.saturating_duration_since(since) >= HELD_UP_AFTER)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.in_use.get() == 0 && self.idle_until.get() <= now
    }
}

impl Slot {
    fn new(link: Rc<Link>, backend: Rc<OfBackend>, keep_for: Duration) -> Self {
        link.in_use.set(link.in_use.get() + 1);
        Self { link, backend, keep_for }
    }

    /// To send the request with.
    pub fn sender(&self) -> SendRequest<Bytes> {
        self.link.sender.borrow().clone()
    }

    /// What targets begin with.
    pub fn scheme(&self) -> &Scheme {
        &self.link.scheme
    }

    /// Whether a request was answered on this connection before.
    pub fn is_proven(&self) -> bool {
        self.link.answered_at.get().is_some()
    }

    /// The body of the request is sent on it, and waits so.
    pub fn note_upload(&self, waits: &Waits) {
        let mut uploads = self.link.uploads.borrow_mut();
        uploads.retain(|waits| waits.strong_count() > 0);
        uploads.push(Rc::downgrade(waits));
    }

    /// One was.
    pub fn note_answer(&self) {
        self.link.answered_at.set(Some(Instant::now()));
        if !self.link.is_settled.replace(true) {
            self.backend.changed.notify_waiters();
        }
    }

    /// Whether one was answered since then: so it lives.
    pub fn was_answered_since(&self, then: Instant) -> bool {
        self.link.answered_at.get().is_some_and(|at| at >= then)
    }

    /// Has nobody else use this connection: it may be dead. It ends with the requests that are on it.
    pub fn retire(&self) {
        self.link.is_retired.set(true);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.link.in_use.set(self.link.in_use.get() - 1);
        self.link.idle_until.set(Instant::now() + self.keep_for);
        if self.link.is_over(Instant::now()) {
            self.link.is_retired.set(true);
            self.backend.links.borrow_mut().retain(|link| !link.is_retired.get());
        }
        self.backend.changed.notify_one();
    }
}

impl Opening {
    /// A connection stands. Returns a place on it, and what is to be called when it takes more requests at once, or fewer, or none.
    pub fn done(self, sender: SendRequest<Bytes>, scheme: Scheme, keep_for: Duration) -> (Slot, impl Fn() + use<>) {
        let link = Rc::new(Link {
            sender: RefCell::new(sender),
            scheme,
            in_use: Cell::new(0),
            is_retired: Cell::new(false),
            is_settled: Cell::new(false),
            answered_at: Cell::new(None),
            idle_until: Cell::new(Instant::now() + keep_for),
            uploads: RefCell::default(),
        });
        self.0.links.borrow_mut().push(Rc::clone(&link));
        let (backend, weak) = (Rc::downgrade(&self.0), Rc::downgrade(&link));
        let slot = Slot::new(link, Rc::clone(&self.0), keep_for);
        // It does not keep the connection, which ends when nobody does.
        let changed = move || {
            if let Some(link) = weak.upgrade() {
                link.is_settled.set(true);
            }
            if let Some(backend) = backend.upgrade() {
                backend.changed.notify_waiters();
            }
        };
        (slot, changed)
    }

    /// None could be opened: those who have waited for it will not get one either.
    pub fn failed(self, why: NoConnection) {
        let (failures, _) = self.0.failures.get();
        self.0.failures.set((failures + 1, why));
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.set(self.0.opening.get() - 1);
        self.0.changed.notify_waiters();
    }
}

impl Waiting {
    fn new(backend: Rc<OfBackend>) -> Self {
        backend.waiting.set(backend.waiting.get() + 1);
        let (failures, _) = backend.failures.get();
        Self { backend, failures }
    }

    /// Resolves when it is worth asking again.
    ///
    /// # Errors
    /// No connection can be opened.
    pub async fn changed(self) -> Result<(), NoConnection> {
        self.backend.changed.notified().await;
        let (failures, why) = self.backend.failures.get();
        if failures == self.failures { Ok(()) } else { Err(why) }
    }

    /// Whether so many wait already that nobody else may.
    pub fn is_too_many(&self) -> bool {
        self.backend.waiting.get() > WAITING_MAX
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.backend.waiting.set(self.backend.waiting.get() - 1);
    }
}

/// How long a backend may take nothing of a body before others go out on another connection.
const HELD_UP_AFTER: Duration = Duration::from_millis(200);

/// Requests that wait for a place at one backend. Each has its lease already; more than a thousand would wait in vain.
const WAITING_MAX: usize = 1024;
