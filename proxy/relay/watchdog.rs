//! The limits on silence and on age, for one timer and without a clock read per message.

use std::time::Duration;

use tokio::time::Instant;

use super::lifeline::Lifeline;
use super::{Direction, End, Limits, Liveness, Side};

/// The limits on silence are looked at in so many parts: a session is ended between `idle` and `idle × 17/16` after its last
/// byte, never earlier, and passing a byte costs a flag instead of a clock read and a re-armed timer.
const IDLE_PARTS: u32 = 16;

/// How often a direction that may not be read from is checked for a reset. Such a side would otherwise be noticed only
/// when the far side takes bytes again, which may be never; half of the second within which a reset must pass.
const STALL_LOOK: Duration = Duration::from_millis(500);

/// When a session counts as settled, at the latest. Most that are short never are, and save what only long ones need.
const SETTLE_AFTER: Duration = Duration::from_secs(30);

/// Peers that are sent bytes are looked at so many times in the time that these may stay unacknowledged.
const LIFE_PARTS: u32 = 16;

/// Where no limit is set, the timer still needs an instant: far enough to cost nothing.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

/// Watches over the limits of one relay. It is told what passes, and looks at the clock when its timer fires.
#[derive(Debug)]
pub(super) struct Watchdog<'a> {
    limits: &'a Limits,
    /// When the session's life began.
    began: Instant,
    /// A byte has passed since the last look.
    moved: bool,
    /// The latest instant at which a byte may have passed, as far as looks can tell.
    quiet_since: Instant,
    /// The backend has sent its first byte: the request limit is over for good.
    answered: bool,
    /// When the backend's silence has lasted too long, once it has been sent something.
    answer_due: Option<Instant>,
    /// The session has lasted long enough to be settled.
    settled: bool,
    /// The side that closed first, once its end has been passed on.
    half_closed: Option<Side>,
    /// The timer was planned before a shorter limit came into force.
    replans: bool,
    /// A look within [`STALL_LOOK`] is planned already.
    watches_stall: bool,
    /// Looks at whether peers acknowledge what they are sent are planned.
    watches_life: bool,
    client: Lifeline,
    backend: Lifeline,
}

impl<'a> Watchdog<'a> {
    pub(super) fn new(limits: &'a Limits, began: Instant, now: Instant) -> Self {
        Self {
            limits,
            began,
            moved: false,
            quiet_since: now,
            answered: false,
            answer_due: None,
            settled: false,
            half_closed: None,
            replans: false,
            watches_stall: false,
            watches_life: false,
            client: Lifeline::default(),
            backend: Lifeline::default(),
        }
    }

    /// Bytes have passed. Reads the clock once: for the first byte that the backend is to answer. What the client sends after
    /// that does not put the end of the backend's silence off.
    pub(super) fn passed(&mut self, direction: Direction) {
        self.moved = true;
        if direction == Direction::Up && !self.answered && self.answer_due.is_none() {
            self.answer_due = self.limits.request.map(|request| Instant::now() + request);
        }
    }

    /// The backend has sent bytes. Whether they are its first.
    pub(super) fn answered(&mut self) -> bool {
        self.answer_due = None;
        !std::mem::replace(&mut self.answered, true)
    }

    /// The backend has closed its side: what it has not answered, it never will.
    pub(super) fn backend_ended(&mut self) {
        self.answered = true;
        self.answer_due = None;
    }

    /// The end of stream of this side has been passed on. Reads the clock once: the silence of the other side counts from here.
    pub(super) fn half_closed(&mut self, side: Side) {
        if self.half_closed.is_none() {
            self.half_closed = Some(side);
            if self.limits.half_close.is_some() {
                self.replans = true;
                (self.moved, self.quiet_since) = (false, Instant::now());
            }
        }
    }

    /// When the kernel is to give up peers.
    pub(super) fn liveness(&self) -> Liveness {
        self.limits.liveness
    }

    /// When to fire instead of at `planned`, if what has happened since cannot wait that long.
    pub(super) fn sooner(&mut self, planned: Instant, stalled: bool) -> Option<Instant> {
        let stall_look = (stalled && !self.watches_stall).then(|| Instant::now() + STALL_LOOK);
        self.watches_stall |= stalled;
        let silence_look = std::mem::take(&mut self.replans).then(|| self.silence_look(self.quiet_since)).flatten();
        let life_look = (self.moved && !self.watches_life).then(|| self.begin_to_watch_life()).flatten();
        let looks = [stall_look, silence_look, life_look, self.answer_due];
        looks.into_iter().flatten().min().filter(|&sooner| sooner < planned)
    }

    /// Bytes have passed after a silence: when peers are to be looked at. Reads the clock, once until they are.
    fn begin_to_watch_life(&mut self) -> Option<Instant> {
        self.watches_life = true;
        self.limits.liveness.user_timeout.map(|timeout| Instant::now() + timeout / LIFE_PARTS)
    }

    /// The timer has fired: the side that has acknowledged nothing for too long, if one has. Each is asked only while bytes pass, or
    /// wait.
    pub(super) fn vanished(
        &mut self,
        now: Instant,
        client: impl FnOnce() -> Option<Duration>,
        backend: impl FnOnce() -> Option<Duration>,
    ) -> Option<Side> {
        let limit = self.limits.liveness.user_timeout.filter(|_| self.moved || self.watches_life)?;
        let age = now.duration_since(self.began);
        let is_client_gone = self.client.look(client(), age, limit);
        let is_backend_gone = self.backend.look(backend(), age, limit);
        self.watches_life = self.moved || self.client.is_waiting() || self.backend.is_waiting();
        if is_client_gone {
            return Some(Side::Downstream);
        }
        is_backend_gone.then_some(Side::Upstream)
    }

    /// Whether the session has just settled. True once.
    pub(super) fn settles(&mut self, now: Instant) -> bool {
        let settles = !self.settled && now >= self.settling();
        self.settled |= settles;
        settles
    }

    /// The timer has fired: when it is to fire next.
    ///
    /// # Errors
    /// The limit that has passed.
    pub(super) fn look(&mut self, now: Instant, stalled: bool) -> Result<Instant, End> {
        if std::mem::take(&mut self.moved) {
            self.quiet_since = now;
        }
        if self.limits.lifetime.is_some_and(|lifetime| now >= self.began + lifetime) {
            return Err(End::MaxLifetime);
        }
        if self.answer_due.is_some_and(|at| now >= at) {
            return Err(End::RequestTimeout);
        }
        if self.limits.idle.is_some_and(|idle| now >= self.quiet_since + idle) {
            return Err(End::IdleTimeout);
        }
        if let (Some(side), Some(half_close)) = (self.half_closed, self.limits.half_close)
            && now >= self.quiet_since + half_close
        {
            return Err(End::Closed(side));
        }
        Ok(self.plan(now, stalled))
    }

    /// When the timer is to fire next.
    pub(super) fn plan(&mut self, now: Instant, stalled: bool) -> Instant {
        self.watches_stall = stalled;
        let stall_look = stalled.then(|| now + STALL_LOOK);
        let end = self.limits.lifetime.map(|lifetime| self.began + lifetime);
        let settling = (!self.settled).then(|| self.settling());
        let life_look = self.limits.liveness.user_timeout.filter(|_| self.watches_life);
        let life_look = life_look.map(|timeout| now + timeout / LIFE_PARTS);
        let looks = [stall_look, life_look, self.silence_look(now), end, self.answer_due, settling];
        looks.into_iter().flatten().min().unwrap_or(now + FAR)
    }

    /// When the limits on silence are to be looked at next.
    fn silence_look(&self, now: Instant) -> Option<Instant> {
        let half_close = self.limits.half_close.filter(|_| self.half_closed.is_some());
        let silence = self.limits.idle.into_iter().chain(half_close).min()?;
        Some(now + silence / IDLE_PARTS)
    }

    /// When the session is settled: soon enough for limits that are shorter than usual to hold within half as much again.
    fn settling(&self) -> Instant {
        let Liveness { user_timeout, keepalive } = self.limits.liveness;
        let shortest = user_timeout.into_iter().chain(keepalive).min();
        self.began + shortest.map_or(SETTLE_AFTER, |shortest| SETTLE_AFTER.min(shortest / 2))
    }
}
