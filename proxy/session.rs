//! One client connection, from accept to the access log line.
//!
//! [`Session::open`] hears what must be known first, if anything; [`Session::run`] is the life from there: connect to a backend
//! (after waiting in line, if need be), pass bytes, finish. There is one way out, its record, which counts and logs whatever
//! happened, a panic included.

use std::net::{self, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;

mod connect;
mod cut;
mod edge;
mod farewell;
mod handle;
mod id;
mod known;
mod list;
mod local;
mod outcome;
mod preread;
mod record;
mod refusals;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;
mod visitor;
mod waiting;

pub use self::edge::{Edge, Terminator};
use self::farewell::Farewell;
pub use self::id::{Ids, MalformedId, SessionId};
pub use self::known::{Known, Via};
pub use self::list::{Filter, Listing, Mark, Query, Row, Sort};
use self::local::Place;
pub use self::local::{Burden, FAREWELLS, Load, Local};
pub use self::outcome::{CloseReason, Tally};
pub use self::preread::Opened;
use self::record::{Carries, Last, Record};
pub use self::refusals::Refusals;
pub use self::tunnel::{Offshoot, Offshoots};
pub use self::upstream::{NoConnection, Upstream};
pub use self::visitor::Visitor;
use crate::admission::{Permit, Refusal};
use crate::config::model::{Language, Mode, Occasion};
use crate::net::tls::Connection;
use crate::net::{socket, tcp_info};
use crate::pool::{Failure, Lease, Pool};
use crate::queue::Class;
use crate::relay::{self, Direction, Quality, Side};

/// A session that has been admitted.
#[derive(Debug)]
pub struct Session {
    record: Record,
    place: Place,
    /// Given back last, when both connections are closed.
    permit: Permit,
}

/// Where a session comes from and where it is to go.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The client's address.
    pub client: SocketAddr,
    /// What is known of it beside that.
    pub known: Option<Box<Known>>,
    /// When it was accepted.
    pub accepted_at: Instant,
    /// The counts of the listener that accepted it.
    pub tally: Arc<Tally>,
    /// What that speaks.
    pub mode: Mode,
    /// The pool that the listener leads to, if it is one for all.
    pub pool: Option<Arc<Pool>>,
    /// Whether it leaves a line in the access log.
    pub access_log: bool,
}

impl Session {
    /// Begins a session on the worker that owns `local`, whose burden it is.
    pub fn new(origin: Origin, permit: Permit, burden: Burden, local: &Rc<Local>) -> Self {
        let record = Record::new(origin, local.ids());
        let place = Local::seat(local, Rc::clone(record.handle()), burden);
        Self { record, place, permit }
    }

    /// Counts and logs a session that cannot begin. The client is closed when the caller drops its connection.
    pub fn refuse(origin: Origin, reason: CloseReason, local: &Local) {
        Record::new(origin, local.ids()).finish(reason, &Last::default());
    }

    /// The same for one that may not begin; its client is told why, if its listener has words for it.
    pub fn turn_away(
        (downstream, edge): (net::TcpStream, Option<&Edge>),
        origin: Origin,
        refusal: Refusal,
        local: &Rc<Local>,
    ) {
        let tally = Arc::clone(&origin.tally);
        Self::refuse(origin, refusal.into(), local);
        let tls = edge.and_then(|edge| edge.tls.as_ref()).map(Arc::clone);
        // Words are not worth a handshake that others wait for.
        let may =
            || edge.is_none_or(|edge| matches!(edge.handshake_turn(tally.memory(), || Class::Newcomer), Ok(None)));
        farewell::begin(downstream, (refusal.into(), may), (tally.messages().as_deref(), tls), local);
    }

    /// Lives the session. Both connections are closed when it is over.
    #[allow(
        clippy::manual_async_fn,
        reason = "an async fn holds its arguments twice, and a session is mostly its future"
    )]
    pub fn run<D: Connection>(mut self, mut downstream: D) -> impl Future<Output = ()> {
        async move {
            let reason = self.serve(&mut downstream).await;
            self.finish(reason, Some(downstream.tcp()));
            if let Some(farewell) = self.farewell(reason) {
                Box::pin(self.part(farewell, downstream)).await;
            }
        }
    }

    /// What the client is told at the end.
    fn farewell(&self, reason: CloseReason) -> Option<Farewell> {
        let (occasion, messages) = (farewell::occasion(reason)?, self.record.tally().messages());
        let messages = messages.as_deref();
        if !self.record.has_connected() {
            return Farewell::on(occasion, messages);
        }
        // Behind the bytes of a backend only plain text has a place.
        let messages = messages.filter(|messages| messages.language == Language::Text);
        if self.place.was_told() { Farewell::silent(messages) } else { Farewell::on(occasion, messages) }
    }

    /// Gives up everything but the connection, and tells the client.
    async fn part<D: Connection>(self, farewell: Farewell, downstream: D) {
        let Self { place, permit, record } = self;
        drop((permit, record));
        if let Some(_counted) = place.farewell() {
            farewell.say(downstream).await;
        }
    }

    async fn serve<D: Connection>(&mut self, downstream: &mut D) -> CloseReason {
        let (mut upstream, lease) = match self.connect(downstream.tcp()).await {
            Ok(connected) => connected,
            Err(reason) => return reason,
        };
        self.place.handle().connected_to(lease.backend());
        if lease.is_ended() {
            // Those who were connected have been asked to go meanwhile.
            return CloseReason::Killed;
        }
        let observer = Observer { place: &self.place, record: &self.record, lease: &lease };
        let session = self.relay_session(&observer);
        let end = match &mut upstream {
            Upstream::Plain(upstream) => relay::run(downstream, upstream, session).await,
            // Boxed, so that plain sessions are not as large.
            Upstream::Encrypted(upstream) => Box::pin(relay::run(downstream, upstream, session)).await,
        };
        self.report(&lease, end);
        // Boxed, so that a session carries it no longer than it takes.
        Box::pin(cut::pass_on(end, (&*downstream, upstream.tcp()), self.place.stop())).await;
        outcome::of_relay(end, self.place.stop_reason())
    }

    /// A connection to a backend, and the claim on it. Given up when the client's breaks; one that only closes its side may well
    /// wait for the backend to speak.
    async fn connect(&mut self, downstream: &TcpStream) -> Result<(Upstream, Lease), CloseReason> {
        tokio::select! {
            biased;
            () = self.place.stop().asked() => Err(self.place.stop_reason()),
            () = socket::broken(downstream) => Err(CloseReason::ClientReset),
            // Boxed, so that a session carries it no longer than it takes.
            connected = Box::pin(reach(&mut self.record, &mut self.permit, downstream)) => connected,
        }
    }

    /// What the relay needs to know.
    fn relay_session<'a>(&'a self, observer: &'a Observer<'a>) -> relay::Session<'a, Observer<'a>> {
        relay::Session {
            buffer: self.place.buffer(),
            limits: self.record.limits(),
            began: self.record.accepted_at,
            observer,
            stop: self.place.stop(),
        }
    }

    /// Tells the circuit how the backend did, where its first byte has not told it already.
    fn report(&self, lease: &Lease, end: relay::End) {
        let failure = match end {
            relay::End::RequestTimeout => Failure::RequestTimeout,
            relay::End::Reset(Side::Upstream) | relay::End::CutOff(Side::Upstream) if !self.record.has_first_byte() => {
                Failure::BackendReset
            }
            _ => return,
        };
        let (now, memory, client) = (Instant::now(), self.record.tally().memory(), self.record.client());
        lease.failed(failure, || self.permit.house().witness(memory, client, now), now);
    }

    /// The end, whatever it was.
    fn finish(&mut self, reason: CloseReason, downstream: Option<&TcpStream>) {
        let downstream = downstream.filter(|_| self.record.is_logged());
        let quality = downstream.and_then(|downstream| tcp_info::read(downstream).ok());
        self.record.finish(reason, &Last { bytes: self.place.handle().bytes(), quality });
        // Who only waited did not play.
        if self.record.has_connected() || self.record.carries == Carries::Answers {
            self.permit.note_end(self.record.tally().memory(), self.record.client(), self.record.accepted_at.elapsed());
        }
    }
}

/// Waits for the session's turn, if it has to, and connects.
async fn reach(
    record: &mut Record,
    permit: &mut Permit,
    downstream: &TcpStream,
) -> Result<(Upstream, Lease), CloseReason> {
    if let Some(turn) = permit.take_turn() {
        waiting::for_turn(turn, downstream).await?;
    }
    connect::dial_any(record, permit, downstream).await
}

/// Hears of what the relay passes: counts bytes, and tells the circuit of the first one, and that the backend is not silent.
struct Observer<'a> {
    place: &'a Place,
    record: &'a Record,
    lease: &'a Lease,
}

impl relay::Observe for Observer<'_> {
    fn passed(&self, direction: Direction, bytes: usize) {
        self.place.handle().passed(direction, bytes);
        if direction == Direction::Down {
            self.lease.note_answer();
        }
        if self.record.carries != Carries::Stream {
            self.record.tally().passed(self.place.worker(), direction, bytes);
        }
    }

    fn answered(&self) {
        let now = Instant::now();
        self.record.note_first_byte(now);
        self.lease.succeeded(now);
    }

    fn backend_ended(&self) {
        self.lease.give_back();
    }

    fn notice(&self) -> Option<String> {
        // What was agreed on by a request has no place for words of text.
        if self.record.carries != Carries::Bytes {
            return None;
        }
        let (left, messages) = (self.place.time_left()?, self.record.tally().messages());
        let messages = messages.as_ref().filter(|messages| messages.language == Language::Text)?;
        let words = messages.on(Occasion::Drain)?;
        let is_due = !self.place.was_told() || words.counts_down();
        self.place.note_told();
        is_due.then(|| words.filled(messages.retry_after, left))
    }

    fn measured(&self, quality: Quality) {
        self.place.handle().note_quality(quality);
    }

    fn truncated(&self, side: Side) {
        self.record.truncated.set(Some(side));
    }
}
