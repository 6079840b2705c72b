//! The accept loop: accepts, asks for a permit, begins the session. It waits for no client.

use std::cell::{Ref, RefCell};
use std::io;
use std::net::{self, IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout};

mod spread;

pub use self::spread::{Newcomer, Spread};
use crate::admission::{Admission, Permit, Refusal};
use crate::net::socket;
use crate::relay::Stop;
use crate::session::{Local, Origin, Session};
use crate::snapshot::{AcceptError, Listener, Snapshot};

/// The wait after an accept that failed for want of descriptors or memory; doubles while that lasts, up to
/// [`MAX_BACKOFF`]. Long enough not to spin, short enough for players not to notice one.
const BACKOFF: Duration = Duration::from_millis(50);
/// What doubling ends at: sessions end all the time, so room is likely within a second.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// One worker's accept loop on one address of a listener.
#[derive(Debug)]
pub struct Acceptor {
    /// The listener's policy. Follows the snapshot; a listener that is not in it any more keeps what it had, for the
    /// connections that still wait in its queue.
    pub listener: RefCell<Arc<Listener>>,
    /// Where the listener's policy is found at each accept.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Finds the worker for each session.
    pub spread: Arc<Spread>,
    /// What the worker lends to sessions.
    pub local: Rc<Local>,
    /// Ends the loop.
    pub stop: Rc<Stop>,
}

/// Asks at the door of the house, and tells the log of who is not let in.
fn admit(door: &Arc<Admission>, listener: &Listener, client: IpAddr) -> Result<Permit, Refusal> {
    let tally = &listener.counts.tally;
    let would = |refusal: Refusal| {
        tally.refusals().count_would(refusal.into());
        tally.refusals().tell(tally.listener(), refusal.into(), client, true);
    };
    let permit = door.admit((&listener.policy, tally.memory()), client, Instant::now, would);
    if let Err(refusal) = permit {
        tally.refusals().tell(tally.listener(), refusal.into(), client, false);
    }
    permit
}

impl Acceptor {
    /// Accepts until it is told to stop, then takes what already waits in the kernel's queue and closes the socket.
    pub async fn run(self, socket: AsyncFd<net::TcpListener>) {
        let mut backoff = BACKOFF;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.asked() => break,
                accepted = socket.async_io(Interest::READABLE, socket::accept) => accepted,
            };
            match accepted {
                Ok((stream, client)) => {
                    backoff = BACKOFF;
                    self.begin(stream, client);
                }
                Err(error) => {
                    if self.note_error(&error) == AcceptError::Exhausted {
                        let _stopped = timeout(backoff, self.stop.asked()).await;
                        backoff = (backoff * 2).min(MAX_BACKOFF);
                    }
                }
            }
        }
        if let Err(error) = self.take_waiting(socket.get_ref()) {
            tracing::warn!(listener = %self.listener.borrow().name, %error, "clients that were waiting to be accepted are lost");
        }
    }

    /// Begins what the kernel has accepted already: closing the socket would reset it. Asks the kernel itself, because
    /// the runtime may not have heard of the newest connections yet.
    fn take_waiting(&self, socket: &net::TcpListener) -> io::Result<()> {
        loop {
            match socket::accept(socket) {
                Ok((stream, client)) => self.begin(stream, client),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.note_error(&error) == AcceptError::Connection => {}
                Err(exhausted) => return Err(exhausted),
            }
        }
    }

    /// Begins a session, here or on a worker that has fewer.
    fn begin(&self, stream: net::TcpStream, client: SocketAddr) {
        let snapshot = self.snapshot.load();
        let listener = self.follow(&snapshot);
        let origin = Origin {
            client,
            tally: Arc::clone(&listener.counts.tally),
            pool: Arc::clone(listener.pool_for(client.ip(), Instant::now)),
            access_log: snapshot.access_log,
        };
        match admit(&snapshot.admission, &listener, client.ip()) {
            Ok(permit) => self.spread.place(stream, origin, permit, &self.local),
            Err(refusal) => Session::turn_away(stream, origin, refusal, &self.local),
        }
    }

    /// The listener's newest version.
    fn follow(&self, snapshot: &Snapshot) -> Ref<'_, Arc<Listener>> {
        let newest = snapshot.listeners.get(&self.listener.borrow().name).map(Arc::clone);
        if let Some(newest) = newest {
            self.listener.replace(newest);
        }
        self.listener.borrow()
    }

    fn note_error(&self, error: &io::Error) -> AcceptError {
        let kind = if socket::is_exhaustion(error) { AcceptError::Exhausted } else { AcceptError::Connection };
        let listener = self.listener.borrow();
        listener.counts.count_accept_error(kind);
        let listener = &listener.name;
        match kind {
            AcceptError::Exhausted => tracing::warn!(%listener, %error, "cannot accept; trying again soon"),
            AcceptError::Connection => {
                tracing::debug!(%listener, %error, "a connection was gone before it was accepted");
            }
        }
        kind
    }
}
