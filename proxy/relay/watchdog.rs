//! The limits on silence and on age, for one timer and without a clock read per message.

use std::time::Duration;

use tokio::time::Instant;

use super::{Direction, End, Limits};

/// The idle limit is looked at in so many parts: a session is ended between `idle` and `idle × 17/16` after its last
/// byte, never earlier, and passing a byte costs a flag instead of a clock read and a re-armed timer.
const IDLE_PARTS: u32 = 16;

/// How often a direction that may not be read from is checked for a reset. Such a side would otherwise be noticed only
/// when the far side takes bytes again, which may be never; half of the second within which a reset must pass.
const STALL_LOOK: Duration = Duration::from_millis(500);

/// When a session counts as settled. Most that are short never are, and save what only long ones need.
const SETTLE_AFTER: Duration = Duration::from_secs(30);

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
    /// The session has lasted for [`SETTLE_AFTER`].
    settled: bool,
    /// A look within [`STALL_LOOK`] is planned already.
    watches_stall: bool,
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
            watches_stall: false,
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

    /// When to fire instead of at `planned`, if what has happened since cannot wait that long.
    pub(super) fn sooner(&mut self, planned: Instant, stalled: bool) -> Option<Instant> {
        let stall_look = (stalled && !self.watches_stall).then(|| Instant::now() + STALL_LOOK);
        self.watches_stall |= stalled;
        stall_look.into_iter().chain(self.answer_due).min().filter(|&sooner| sooner < planned)
    }

    /// Whether the session has just settled. True once.
    pub(super) fn settles(&mut self, now: Instant) -> bool {
        let settles = !self.settled && now >= self.began + SETTLE_AFTER;
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
        Ok(self.plan(now, stalled))
    }

    /// When the timer is to fire next.
    pub(super) fn plan(&mut self, now: Instant, stalled: bool) -> Instant {
        self.watches_stall = stalled;
        let stall_look = stalled.then(|| now + STALL_LOOK);
        let idle_look = self.limits.idle.map(|idle| now + idle / IDLE_PARTS);
        let end = self.limits.lifetime.map(|lifetime| self.began + lifetime);
        let settling = (!self.settled).then(|| self.began + SETTLE_AFTER);
        let looks = [stall_look, idle_look, end, self.answer_due, settling];
        looks.into_iter().flatten().min().unwrap_or(now + FAR)
    }
}
