//! Spreads new sessions evenly over the workers.
//!
//! The kernel gives a connection to one of the workers' sockets by a hash of its addresses. Over thousands that evens out,
//! but of a few long sessions one worker may get nearly all, and a core idles beside one that is overrun. So a worker that
//! has more than its share hands a new connection on, once, before anything of its session has begun.

use std::cell::Cell;
use std::net;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::ACCEPTS_PER_TURN;
use crate::admission::Permit;
use crate::http::exchange::Counts;
use crate::http::front::Front;
use crate::http::handle::Shared;
use crate::http::serve::{Hosting, serve};
use crate::session::{Burden, CloseReason, Edge, Load, Local, Opened, Origin, Session};

/// Newcomers that wait for a worker to take them in. Beyond that they stay with the worker that accepted them.
const WAITING: usize = 1024;

/// How much more than the lightest worker one may have: half as many again, and two. Handing on costs a wake-up of another
/// thread. That is worth it for sessions that stay, of which chance seldom makes a greater difference unless they are few;
/// a coming and going of short ones evens out by itself.
fn fair_share(lightest: usize) -> usize {
    lightest + lightest / 2 + 2
}

/// The loads of all workers, and the ways to them.
#[derive(Debug)]
pub struct Spread {
    workers: Box<[Way]>,
}

/// One worker, as the others see it.
#[derive(Debug)]
struct Way {
    load: Arc<Load>,
    door: mpsc::Sender<Assigned>,
}

/// A connection with leave to become a session.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) stream: net::TcpStream,
    pub(super) origin: Origin,
    pub(super) permit: Permit,
    /// What it has to say before a backend is chosen.
    pub(super) edge: Option<Arc<Edge>>,
    /// What is done with its requests, and what they are counted in, if it is to send some.
    pub(super) requests: Option<(Arc<ArcSwap<Front>>, Arc<Counts>)>,
}

/// What a worker lends to its sessions.
#[derive(Debug, Clone)]
pub struct Home {
    /// To all of them.
    pub local: Rc<Local>,
    /// To those that carry requests.
    pub shared: Rc<Shared>,
    /// Sessions in this turn that others have accepted.
    arrivals: Rc<Cell<u32>>,
}

/// One that is assigned to a worker.
#[derive(Debug)]
pub struct Assigned {
    newcomer: Newcomer,
    burden: Burden,
}

impl Home {
    /// What the worker of `local` lends.
    pub fn new(local: Rc<Local>) -> Self {
        Self { local, shared: Rc::default(), arrivals: Rc::default() }
    }

    /// Begins a session that another worker has accepted; after some of them, leaves the worker's other tasks their turn.
    pub async fn take_in(&self, newcomer: Assigned) {
        newcomer.arrive(self);
        self.arrivals.set(self.arrivals.get() + 1);
        if self.arrivals.get() >= ACCEPTS_PER_TURN {
            self.arrivals.set(0);
            self.local.accept_turns().turn().await;
        }
    }
}

impl Spread {
    /// A spread over so many workers, and what comes through each one's door. The doors close when the last clone of the
    /// spread is gone.
    pub fn new(workers: usize) -> (Arc<Self>, Vec<mpsc::Receiver<Assigned>>) {
        let (workers, doors) = (0..workers)
            .map(|_| {
                let (door, newcomers) = mpsc::channel(WAITING);
                (Way { load: Arc::default(), door }, newcomers)
            })
            .unzip::<_, _, Vec<_>, _>();
        (Arc::new(Self { workers: workers.into() }), doors)
    }

    /// Begins a session for a connection that the worker of `local` has accepted: there, or on the lightest worker.
    pub(super) fn place(&self, newcomer: Newcomer, home: &Home) {
        let own = home.local.worker();
        let chosen = choose(own, self.workers.iter().map(|way| way.load.get()));
        let way = &self.workers[chosen];
        let assigned = Assigned { newcomer, burden: way.load.take_on() };
        if chosen == own {
            return assigned.begin(home);
        }
        if let Err(refused) = way.door.try_send(assigned) {
            let Assigned { newcomer, burden: _given_back } = refused.into_inner();
            Assigned { newcomer, burden: self.workers[own].load.take_on() }.begin(home);
        }
    }
}

impl Assigned {
    /// Begins the session on this worker, which another has accepted: unless its client was banned on the way here, when
    /// those who were here already were asked to go.
    fn arrive(self, home: &Home) {
        let Newcomer { origin, permit, .. } = &self.newcomer;
        if permit.house().has_banned(origin.client.ip()) {
            return Session::refuse(self.newcomer.origin, CloseReason::Denied, &home.local);
        }
        self.begin(home);
    }

    /// Begins the session on this worker.
    fn begin(self, home: &Home) {
        let Self { newcomer: Newcomer { stream, origin, permit, edge, requests }, burden } = self;
        let local = &home.local;
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                let (listener, client) = (origin.tally.listener(), origin.client);
                tracing::error!(%listener, %client, %error, "a connection could not be watched");
                return Session::refuse(origin, CloseReason::Killed, local);
            }
        };
        let session = Session::new(origin, permit, burden, local);
        let hosting = requests.map(|(front, counts)| Hosting { front, counts, shared: Rc::clone(&home.shared) });
        match (edge, hosting) {
            (None, None) => drop(spawn_local(session.run(stream))),
            (edge, hosting) => drop(spawn_local(open(session, stream, edge, hosting))),
        }
    }
}

/// Lives a session that has to hear something first, or that carries requests.
async fn open(session: Session, stream: TcpStream, edge: Option<Arc<Edge>>, hosting: Option<Hosting>) {
    match (session.open(edge.as_deref(), stream).await, hosting) {
        (Some(Opened::Plain(session, stream)), None) => session.run(stream).await,
        (Some(Opened::Encrypted(session, stream)), None) => session.run(stream).await,
        (Some(Opened::Plain(session, stream)), Some(hosting)) => Box::pin(serve(session, stream, hosting)).await,
        (Some(Opened::Encrypted(session, stream)), Some(hosting)) => Box::pin(serve(session, stream, hosting)).await,
        (None, _) => {}
    }
}

/// The worker for a new session that worker `own` has accepted: the lightest if `own` has clearly more, else itself.
fn choose(own: usize, loads: impl Iterator<Item = usize> + Clone) -> usize {
    let own_load = loads.clone().nth(own).unwrap_or(0);
    let lightest = loads.enumerate().min_by_key(|&(_, load)| load);
    match lightest {
        Some((worker, load)) if own_load > fair_share(load) => worker,
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stays_where_it_was_accepted_unless_another_has_clearly_less() {
        let cases: [(usize, &[usize], usize); 7] = [
            (0, &[0, 0], 0),
            (1, &[0, 2], 1),
            (1, &[0, 3], 0),
            (0, &[5, 2], 0),
            (0, &[6, 2], 1),
            (2, &[40, 33, 51], 2),
            (2, &[40, 32, 51], 1),
        ];
        for (own, loads, expected) in cases {
            assert_eq!(choose(own, loads.iter().copied()), expected, "{own} of {loads:?}");
        }
    }

    #[test]
    fn few_sessions_are_even_however_uneven_they_come() {
        let mut loads = [0; 4];
        for _ in 0..100 {
            loads[choose(0, loads.iter().copied())] += 1;
        }
        assert!(loads[0] <= fair_share(loads[1]) + 1, "{loads:?}");
        assert!(loads[1..].iter().all(|&load| load.abs_diff(loads[1]) <= 1), "{loads:?}");
    }
}
