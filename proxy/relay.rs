//! Both directions of one session, from connect to close: half-close, reset, backpressure, and the limits on silence and
//! on age.
//!
//! A leaf: it knows two byte streams, a buffer, some limits and an observer, and nothing of pools, listeners or logs.
//!
//! Bytes pass through one buffer that all sessions of a worker share, so an idle session owns none. Only what the far
//! side would not take is copied into a buffer of the session's own ([`BUFFER_BYTES`] a direction at most), and nothing
//! more is read in that direction until it is gone: that is the backpressure. What a client is told from outside comes on
//! top.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

mod flow;
mod lifeline;
mod limits;
mod pacer;
mod socket;
mod stop;
#[cfg(test)]
mod tests;
mod turns;
mod watchdog;

use self::flow::{Flow, Pace};
pub use self::limits::{Limits, Liveness};
pub use self::pacer::Pacer;
pub use self::socket::Socket;
pub use self::stop::{Asked, Stop};
pub use self::turns::{Ticket, TurnQueue};
use self::watchdog::Watchdog;

/// Bytes read at once, and so the most that one direction of a session ever holds: 64 KiB, where larger reads stopped
/// paying in bulk transfers.
pub const BUFFER_BYTES: usize = 64 * 1024;

/// The most that bulk transfers pass between two polls of the I/O driver before they have to queue, beside the one whose turn it
/// is: a few sessions that keep up with each other need not queue, and many cannot keep a small message waiting.
const UNQUEUED_BYTES: usize = 512 * 1024;

/// What the sessions of one worker share: the buffer that they read into, and the turns of those that always have bytes to pass.
pub struct Buffer {
    bytes: RefCell<Box<[u8]>>,
    turns: TurnQueue,
}

/// A direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From client to backend.
    Up,
    /// From backend to client.
    Down,
}

/// One of the two peers of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Downstream,
    /// The backend.
    Upstream,
}

impl Side {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "client",
            Self::Upstream => "backend",
        }
    }
}

/// Why a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Closed in order: this side closed first, and the other one closed too, or was silent for [`Limits::half_close`] after that.
    Closed(Side),
    /// This side's connection broke. The other one's should be reset too.
    Reset(Side),
    /// This side's connection ended in the middle of what it said. All that came of it has been handed to the other one, which should
    /// be reset when it has it.
    CutOff(Side),
    /// No byte passed in either direction for [`Limits::idle`].
    IdleTimeout,
    /// The backend did not answer the first byte that it was sent for [`Limits::request`].
    RequestTimeout,
    /// The session has lasted for [`Limits::lifetime`].
    MaxLifetime,
    /// The relay was asked to, through its [`Stop`].
    Stopped,
}

/// The quality of a connection, as its end here has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    /// Smoothed round-trip time, in microseconds.
    pub rtt_us: u32,
    /// Segments sent again, over the connection's whole life.
    pub retransmits: u32,
}

/// Hears of what passes.
pub trait Observe {
    /// So many bytes were handed to the far side's socket. Called for every write: must cost next to nothing.
    fn passed(&self, direction: Direction, bytes: usize);
    /// The backend's first byte has come.
    fn answered(&self);
    /// The backend has closed its side: it says nothing more. May be called more than once.
    fn backend_ended(&self);
    /// What the client is to be told, now that the relay was asked to; goes between the bytes of the backend.
    fn notice(&self) -> Option<String>;
    /// How the client is connected, now that the relay was asked to find out.
    fn measured(&self, quality: Quality);
    /// This side's connection ended without a word that it was at its end, where there is such a word.
    fn truncated(&self, side: Side) {
        let _ = side;
    }
}

/// Passes bytes between two connected peers until the session ends. The streams are the caller's to close.
///
/// Not an `async fn`: that would hold its arguments twice, and memory is mostly what idle sessions cost.
pub fn run<'a, D: Socket, U: Socket, O: Observe>(
    downstream: &'a mut D,
    upstream: &'a mut U,
    session: Session<'a, O>,
) -> impl Future<Output = End> + use<'a, D, U, O> {
    let Session { buffer, limits, began, observer, stop } = session;
    let mut relay = Relay {
        downstream,
        upstream,
        up: Flow::new(Direction::Up),
        down: Flow::new(Direction::Down),
        first_closed: None,
        watchdog: Watchdog::new(limits, began, Instant::now()),
        buffer,
        observer,
        stop,
        ticket: Ticket::default(),
    };
    async move {
        let mut timer = pin!(sleep_until(relay.watchdog.plan(Instant::now(), false)));
        poll_fn(|cx| relay.poll(cx, timer.as_mut())).await
    }
}

/// What a relay needs to know of its session.
#[derive(Debug)]
pub struct Session<'a, O> {
    /// The worker's shared buffer.
    pub buffer: &'a Buffer,
    /// How long the session may be silent, and how long it may last.
    pub limits: &'a Limits,
    /// When its life began, which may be before the relay's.
    pub began: Instant,
    /// Hears of what passes.
    pub observer: &'a O,
    /// Ends the relay from outside.
    pub stop: &'a Stop,
}

struct Relay<'a, D, U, O> {
    downstream: &'a mut D,
    upstream: &'a mut U,
    up: Flow,
    down: Flow,
    /// The side whose end of stream came first.
    first_closed: Option<Side>,
    watchdog: Watchdog<'a>,
    buffer: &'a Buffer,
    observer: &'a O,
    stop: &'a Stop,
    /// Held while a bulk transfer waits for its next turn.
    ticket: Ticket,
}

impl<D: Socket, U: Socket, O: Observe> Relay<'_, D, U, O> {
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<End> {
        match self.stop.poll(cx) {
            Asked::Nothing => {}
            Asked::Measure => self.measure(),
            Asked::Notice => self.tell(),
            Asked::End => return Poll::Ready(End::Stopped),
        }
        if let Some(end) = self.poll_flows(cx) {
            return Poll::Ready(end);
        }
        if let Some(sooner) = self.watchdog.sooner(timer.deadline(), self.is_stalled()) {
            timer.as_mut().reset(sooner);
        }
        while timer.as_mut().poll(cx).is_ready() {
            match self.look() {
                Ok(next) => timer.as_mut().reset(next),
                Err(end) => return Poll::Ready(end),
            }
        }
        Poll::Pending
    }

    /// Finds out how the client is connected.
    fn measure(&self) {
        if let Some(quality) = self.downstream.quality() {
            self.observer.measured(quality);
        }
    }

    /// Has the client told what there is to tell.
    fn tell(&mut self) {
        if let Some(notice) = self.observer.notice() {
            self.down.insert(notice.as_bytes());
        }
    }

    /// Passes all that can pass now.
    fn poll_flows(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let has_turn = self.has_turn(cx);
        let mut buffer = self.buffer.bytes.borrow_mut();
        let mut seen = Seen { observer: self.observer, watchdog: &mut self.watchdog };

        let was_cut = [self.up.is_cut(), self.down.is_cut()];
        if self.up.is_done() {
            self.down.ends_by_drop(D::ENDS_WHEN_DROPPED);
        } else if self.down.is_done() {
            self.up.ends_by_drop(U::ENDS_WHEN_DROPPED);
        }
        let mut up = Poll::Pending;
        if has_turn || self.up.pace() == Pace::Small {
            up = self.up.poll(cx, (&mut *self.downstream, &mut *self.upstream), &mut buffer, &mut seen);
        }
        if self.up.saw_end() && self.first_closed.is_none() {
            self.first_closed = Some(Side::Downstream);
        }
        let had_ended = self.down.saw_end();
        let mut down = Poll::Pending;
        if has_turn || self.down.pace() == Pace::Small {
            down = self.down.poll(cx, (&mut *self.upstream, &mut *self.downstream), &mut buffer, &mut seen);
        }
        if self.down.saw_end() && self.first_closed.is_none() {
            self.first_closed = Some(Side::Upstream);
        }
        drop(buffer);
        self.note_ends(had_ended);
        if has_turn {
            self.end_turn(cx);
        }
        for (flow, side) in [(&self.up, Side::Downstream), (&self.down, Side::Upstream)] {
            if flow.is_cut() && !was_cut[side as usize] {
                self.observer.truncated(side);
            }
        }
        match (up, down) {
            (Poll::Ready(Err(flow::Unreadable)), _) => Some(self.broken(Side::Downstream)),
            (_, Poll::Ready(Err(flow::Unreadable))) => Some(self.broken(Side::Upstream)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Some(self.finished()),
            _ => None,
        }
    }

    /// One side has closed, or its end has been passed on: what follows from that.
    fn note_ends(&mut self, backend_had_ended: bool) {
        let Some(side) = self.first_closed else { return };
        if self.down.saw_end() && !backend_had_ended {
            self.watchdog.backend_ended();
            self.observer.backend_ended();
        }
        if self.up.is_done() || self.down.is_done() {
            self.watchdog.half_closed(side);
        }
    }

    /// Whether a bulk transfer may go on now. It waits for a turn where it used one up before, or where others have passed so
    /// much that small messages would wait.
    fn has_turn(&mut self, cx: &mut Context<'_>) -> bool {
        let turns = &self.buffer.turns;
        let must_queue = match self.pace() {
            Pace::Small => false,
            Pace::Bulk => self.ticket.is_queued() || turns.has_spent(UNQUEUED_BYTES),
            Pace::Endless => true,
        };
        !must_queue || turns.poll_turn(&mut self.ticket, cx).is_ready()
    }

    /// Notes what was passed, and queues for the next turn where there is more.
    fn end_turn(&mut self, cx: &mut Context<'_>) {
        let turns = &self.buffer.turns;
        match self.pace() {
            Pace::Small => {}
            Pace::Bulk => turns.spend(flow::BULK_BYTES),
            Pace::Endless => {
                turns.spend(flow::TURN_BYTES);
                let queued = turns.poll_turn(&mut self.ticket, cx);
                debug_assert!(queued.is_pending(), "a turn takes a poll of the driver");
            }
        }
    }

    fn pace(&self) -> Pace {
        self.up.pace().max(self.down.pace())
    }

    /// Both directions are done.
    fn finished(&self) -> End {
        for (flow, side) in [(&self.up, Side::Upstream), (&self.down, Side::Downstream)] {
            if flow.broke_off() {
                return End::Reset(side);
            }
            if flow.is_refused() {
                return self.broken(side);
            }
        }
        End::Closed(self.first_closed.unwrap_or(Side::Downstream))
    }

    /// A side's connection broke. Where that side had closed before, this is only how the kernel answers bytes that came
    /// too late for it: the session was closed, not reset.
    fn broken(&self, side: Side) -> End {
        let flow = if side == Side::Downstream { &self.up } else { &self.down };
        match side {
            _ if self.first_closed == Some(side) => End::Closed(side),
            _ if flow.is_cut() => End::CutOff(side),
            _ => End::Reset(side),
        }
    }

    /// Whether a side may not be read from because the other takes nothing.
    fn is_stalled(&self) -> bool {
        self.up.is_stalled() || self.down.is_stalled()
    }

    /// The timer has fired: has a limit passed, or a side that may not be read from broken? If not, when it is to fire next.
    fn look(&mut self) -> Result<Instant, End> {
        if self.up.is_stalled() && leaves(&mut self.up, self.downstream) {
            return Err(self.broken(Side::Downstream));
        }
        if self.down.is_stalled() {
            if leaves(&mut self.down, self.upstream) {
                return Err(self.broken(Side::Upstream));
            }
            if self.upstream.has_ended() {
                self.observer.backend_ended();
            }
        }
        let now = Instant::now();
        if self.watchdog.settles(now) {
            self.downstream.settle(self.watchdog.liveness());
            self.upstream.settle(self.watchdog.liveness());
        }
        let (downstream, upstream) = (&*self.downstream, &*self.upstream);
        if let Some(side) = self.watchdog.vanished(now, || downstream.unacknowledged(), || upstream.unacknowledged()) {
            return Err(self.broken(side));
        }
        self.watchdog.look(now, self.is_stalled())
    }
}

impl<D, U, O> Drop for Relay<'_, D, U, O> {
    fn drop(&mut self) {
        self.buffer.turns.leave(&mut self.ticket);
    }
}

/// A flow may not be read from: whether the session ends because the connection of its reader has broken. What such a reader has said
/// is still passed on where it should have said that it was at its end, for as long as the far side goes on taking it.
fn leaves<R: Socket>(flow: &mut Flow, reader: &R) -> bool {
    if reader.is_broken() {
        if !R::MARKS_END {
            return true;
        }
        flow.reader_broke();
    }
    flow.gives_up()
}

/// Passes what a flow saw on to the watchdog and the observer.
struct Seen<'a, 'limits, O> {
    observer: &'a O,
    watchdog: &'a mut Watchdog<'limits>,
}

impl<O: Observe> flow::Sight for Seen<'_, '_, O> {
    fn read(&mut self, direction: Direction) {
        if direction == Direction::Down && self.watchdog.answered() {
            self.observer.answered();
        }
    }

    fn wrote(&mut self, direction: Direction, bytes: usize) {
        self.watchdog.passed(direction);
        self.observer.passed(direction, bytes);
    }
}

impl Buffer {
    /// A buffer of [`BUFFER_BYTES`].
    pub fn new() -> Self {
        Self { bytes: RefCell::new(vec![0; BUFFER_BYTES].into_boxed_slice()), turns: TurnQueue::default() }
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffer")
    }
}
