//! From a connection to a session: who it is from, whether it may come in, and on which worker it lives.

use std::cell::{Ref, RefCell};
use std::net::{self, IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::preread::{self, NoHeader};
use super::{Home, Newcomer, Spread};
use crate::admission::{Admission, Permit, Refusal};
use crate::net::proxy_protocol::Header;
use crate::session::{CloseReason, Known, Origin, Session, Tally, Via};
use crate::snapshot::{Beginning, Listener, Snapshot};

/// One worker's door of a listener.
#[derive(Debug)]
pub struct Door {
    /// The listener's policy. Follows the snapshot; a listener that is not in it any more keeps what it had, for the
    /// connections that still wait in its queue.
    pub listener: RefCell<Arc<Listener>>,
    /// Where the listener's policy is found at each accept.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Finds the worker for each session.
    pub spread: Arc<Spread>,
    /// What the worker lends to sessions.
    pub home: Home,
}

/// Who is at the other end of a connection, and since when.
type Whence = (SocketAddr, Instant);

/// What stands while a connection is looked at.
#[derive(Debug, Clone, Copy)]
struct Now<'a> {
    snapshot: &'a Snapshot,
    listener: &'a Listener,
}

/// A connection of which nothing has been heard yet. Counted and logged when dropped, unless it was: also where the worker ends
/// before anything is.
struct Unheard<'a> {
    door: &'a Door,
    whence: Whence,
    reason: Option<CloseReason>,
}

/// A connection that has been accepted.
#[derive(Debug)]
struct Arrival {
    stream: net::TcpStream,
    /// At the other end: the client, or a balancer.
    peer: SocketAddr,
    accepted_at: Instant,
}

impl Door {
    /// Takes in a connection: begins its session, or refuses it, or waits for what a balancer has to say of it.
    pub(super) fn receive(self: &Rc<Self>, stream: net::TcpStream, peer: SocketAddr) {
        let arrival = Arrival { stream, peer, accepted_at: Instant::now() };
        let snapshot = self.snapshot.load();
        let listener = self.follow(&snapshot);
        let now = Now { snapshot: &snapshot, listener: &listener };
        match listener.beginning(peer.ip()) {
            Beginning::Data => self.enter(now, arrival, Header::Unknown, None),
            Beginning::Refused => self.refuse(now, arrival.whence(), CloseReason::PrereadInvalid),
            Beginning::Header => match preread::take(&arrival.stream) {
                Ok(Some(header)) => self.enter(now, arrival, header, None),
                Ok(None) => self.await_header(now, arrival),
                Err(none) => self.refuse(now, arrival.whence(), self.reason_of(none, peer)),
            },
        }
    }

    /// Waits for a header on a task of its own. The connection holds a place in the house meanwhile, so that there is a bound.
    fn await_header(self: &Rc<Self>, now: Now<'_>, arrival: Arrival) {
        let held = match now.snapshot.admission.hold(now.listener.counts.tally.memory()) {
            Ok(held) => held,
            Err(refusal) => return self.refuse(now, arrival.whence(), refusal.into()),
        };
        let (door, patience) = (Rc::clone(self), now.listener.preread_timeout);
        spawn_local(async move {
            let whence = arrival.whence();
            let mut unheard = Unheard { door: &door, whence, reason: Some(CloseReason::Drained) };
            unheard.reason = match timeout(patience, preread::wait(arrival.stream)).await {
                Ok(Ok((stream, header))) => {
                    let arrival = Arrival { stream, peer: whence.0, accepted_at: whence.1 };
                    door.at_once(|now| door.enter(now, arrival, header, Some(held)));
                    None
                }
                Ok(Err(none)) => Some(door.reason_of(none, whence.0)),
                Err(_elapsed) => Some(CloseReason::PrereadTimeout),
            };
        });
    }

    /// Begins a session, here or on a worker that has fewer, if it may.
    fn enter(&self, now: Now<'_>, arrival: Arrival, header: Header, held: Option<Permit>) {
        let Arrival { stream, peer, accepted_at } = arrival;
        let Now { snapshot, listener } = now;
        let (client, via) = match header {
            Header::Proxied { source, destination } => (source, Some(Via { peer, destination })),
            Header::Unknown => (peer, None),
        };
        let origin = now.origin((client, accepted_at), via);
        match admit(&snapshot.admission, listener, client.ip(), held) {
            Ok(permit) => {
                let edge = listener.edge.as_ref().map(Arc::clone);
                let front = listener.front.as_ref().map(Arc::clone);
                let requests = front.map(|front| (front, Arc::clone(&listener.counts.requests)));
                self.spread.place(Newcomer { stream, origin, permit, edge, requests }, &self.home);
            }
            Err(refusal) => Session::turn_away((stream, listener.edge.as_deref()), origin, refusal, &self.home.local),
        }
    }

    /// Why a connection ends that brought no header.
    fn reason_of(&self, none: NoHeader, peer: SocketAddr) -> CloseReason {
        match none {
            NoHeader::Invalid(error) => {
                let listener = self.listener.borrow();
                tracing::debug!(listener = %listener.name, client = %peer, %error, "no PROXY header");
                CloseReason::PrereadInvalid
            }
            NoHeader::Gone => CloseReason::ClientClosed,
            NoHeader::Broken => CloseReason::ClientReset,
        }
    }

    /// Counts and logs a connection that has not become a session.
    fn refuse(&self, now: Now<'_>, whence: Whence, reason: CloseReason) {
        let tally = &now.listener.counts.tally;
        tell_of_refusal(tally, reason, whence.0.ip(), false);
        Session::refuse(now.origin(whence, None), reason, &self.home.local);
    }

    /// Does something with what stands now.
    fn at_once(&self, act: impl FnOnce(Now<'_>)) {
        let snapshot = self.snapshot.load();
        let listener = self.follow(&snapshot);
        act(Now { snapshot: &snapshot, listener: &listener });
    }

    /// The listener's newest version.
    fn follow(&self, snapshot: &Snapshot) -> Ref<'_, Arc<Listener>> {
        let newest = snapshot.listeners.get(&self.listener.borrow().name).map(Arc::clone);
        if let Some(newest) = newest {
            self.listener.replace(newest);
        }
        self.listener.borrow()
    }
}

impl Arrival {
    fn whence(&self) -> Whence {
        (self.peer, self.accepted_at)
    }
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(reason) = self.reason {
            self.door.at_once(|now| self.door.refuse(now, self.whence, reason));
        }
    }
}

impl Now<'_> {
    fn origin(&self, (client, accepted_at): Whence, via: Option<Via>) -> Origin {
        let Self { snapshot, listener } = self;
        Origin {
            client,
            known: via.map(|via| Box::new(Known { via: Some(via), ..Known::default() })),
            accepted_at,
            tally: Arc::clone(&listener.counts.tally),
            mode: listener.mode,
            pool: listener.pool_for(client.ip(), Instant::now).map(Arc::clone),
            access_log: snapshot.access_log,
        }
    }
}

/// Asks at the door of the house, and tells the log of who is not let in.
fn admit(house: &Arc<Admission>, listener: &Listener, client: IpAddr, held: Option<Permit>) -> Result<Permit, Refusal> {
    let tally = &listener.counts.tally;
    let would = |refusal: Refusal| {
        tally.refusals().count_would(refusal.into());
        tell_of_refusal(tally, refusal.into(), client, true);
    };
    let permit = house.admit((&listener.policy, tally.memory()), client, held, Instant::now, would);
    if let Err(refusal) = permit {
        tell_of_refusal(tally, refusal.into(), client, false);
    }
    permit
}

/// Tells the log of a client that is refused, or would be but for a dry run.
fn tell_of_refusal(tally: &Tally, reason: CloseReason, client: IpAddr, dry_run: bool) {
    let (listener, reason) = (tally.listener(), reason.as_str());
    tracing::info!(%listener, reason, %client, dry_run, "clients are refused");
}
