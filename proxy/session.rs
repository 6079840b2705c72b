//! One client connection, from accept to the access log line.
//!
//! [`Session::run`] is its whole life: connect to a backend, pass bytes, finish. There is one way out, its record,
//! which counts and logs whatever happened, a panic included.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;

mod connect;
mod local;
mod outcome;
mod record;

pub use self::local::{Local, SessionId};
pub use self::outcome::{CloseReason, Tally};
use self::{local::Place, record::Record};
use crate::admission::Permit;
use crate::net::socket;
use crate::pool::{Failure, Lease, Pool};
use crate::relay::{self, Direction, Limits, Side};

/// A session that has been admitted.
#[derive(Debug)]
pub struct Session {
    record: Record,
    pool: Arc<Pool>,
    place: Place,
    /// Given back last, when both connections are closed.
    _permit: Permit,
}

/// Where a session comes from and where it is to go.
#[derive(Debug)]
pub struct Origin {
    /// The client's address.
    pub client: SocketAddr,
    /// The counts of the listener that accepted it.
    pub tally: Arc<Tally>,
    /// The pool that the listener leads to.
    pub pool: Arc<Pool>,
    /// Whether it leaves a line in the access log.
    pub access_log: bool,
}

impl Session {
    /// Begins a session on the worker that owns `local`.
    pub fn new(origin: Origin, permit: Permit, local: &Rc<Local>) -> Self {
        let place = Local::seat(local);
        let pool = Arc::clone(&origin.pool);
        Self { record: Record::new(origin, place.id()), pool, place, _permit: permit }
    }

    /// Counts and logs a session that may not begin. The client is closed when the caller drops its connection.
    pub fn refuse(origin: Origin, reason: CloseReason, local: &Rc<Local>) {
        Record::new(origin, Local::seat(local).id()).finish(reason, None);
    }

    /// Lives the session. Both connections are closed when it is over.
    #[allow(
        clippy::manual_async_fn,
        reason = "an async fn holds its arguments twice, and a session is mostly its future"
    )]
    pub fn run(mut self, mut downstream: TcpStream) -> impl Future<Output = ()> {
        async move {
            let reason = self.serve(&mut downstream).await;
            self.record.finish(reason, Some(&downstream));
            drop(downstream);
        }
    }

    async fn serve(&mut self, downstream: &mut TcpStream) -> CloseReason {
        let (mut upstream, lease) = match self.connect(downstream).await {
            Ok(connected) => connected,
            Err(reason) => return reason,
        };
        let end = self.relay(downstream, &mut upstream, &lease).await;
        self.report(&lease, end);
        match end {
            relay::End::Reset(Side::Downstream) => socket::reset_on_close(&upstream),
            relay::End::Reset(Side::Upstream) => socket::reset_on_close(downstream),
            _ => {}
        }
        outcome::of_relay(end, self.place.stop_reason())
    }

    /// A connection to a backend, and the claim on it. Given up when the client's breaks.
    async fn connect(&mut self, downstream: &TcpStream) -> Result<(TcpStream, Lease), CloseReason> {
        tokio::select! {
            biased;
            () = self.place.stop().asked() => Err(self.place.stop_reason()),
            gone = broken(downstream) => Err(gone),
            // Boxed, so that a session carries it no longer than it takes.
            connected = Box::pin(connect::dial_any(&self.pool, &mut self.record)) => connected,
        }
    }

    /// Passes bytes until the session ends.
    async fn relay(&mut self, downstream: &mut TcpStream, upstream: &mut TcpStream, lease: &Lease) -> relay::End {
        let timeouts = self.pool.timeouts();
        let limits = Limits {
            idle: timeouts.idle,
            request: timeouts.request,
            ends_at: timeouts.lifetime.map(|lifetime| self.record.accepted_at + lifetime),
        };
        let observer =
            Observer { place: &self.place, tally: &self.record.tally, lease, first_byte_at: Cell::new(None) };
        let (buffer, stop) = (self.place.buffer(), self.place.stop());
        let session = relay::Session { buffer, limits, observer: &observer, stop };
        let end = relay::run(downstream, upstream, session).await;
        self.record.first_byte_at = observer.first_byte_at.get();
        (self.record.bytes_up, self.record.bytes_down) = self.place.bytes();
        end
    }

    /// Tells the circuit how the backend did, where its first byte has not told it already.
    fn report(&self, lease: &Lease, end: relay::End) {
        match end {
            relay::End::RequestTimeout => lease.failed(Failure::RequestTimeout, Instant::now()),
            relay::End::Reset(Side::Upstream) if self.record.first_byte_at.is_none() => {
                lease.failed(Failure::BackendReset, Instant::now());
            }
            _ => {}
        }
    }
}

/// Resolves when the client's connection breaks. One that only closes its side may well wait for the backend to speak.
async fn broken(downstream: &TcpStream) -> CloseReason {
    match downstream.peek(&mut [0]).await {
        Ok(_) => std::future::pending().await,
        Err(_reset) => CloseReason::ClientReset,
    }
}

/// Hears of what the relay passes: counts bytes, and tells the circuit of the first one.
struct Observer<'a> {
    place: &'a Place,
    tally: &'a Tally,
    lease: &'a Lease,
    first_byte_at: Cell<Option<Instant>>,
}

impl relay::Observe for Observer<'_> {
    fn passed(&self, direction: Direction, bytes: usize) {
        self.place.passed(direction, bytes);
        self.tally.passed(self.place.worker(), direction, bytes);
    }

    fn answered(&self) {
        let now = Instant::now();
        self.first_byte_at.set(Some(now));
        self.lease.succeeded(now);
    }
}
