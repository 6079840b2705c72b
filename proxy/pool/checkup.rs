//! A backend's health as its checker and the workers share it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::health::{Health, Rule, Verdict};

/// What health checks say of one backend, and how often they did.
#[derive(Debug)]
pub struct Checkup {
    seen: Mutex<Seen>,
    /// It is down, and no session is sent there. Read for every choice.
    out: AtomicBool,
    /// It asks whether it may be out, and is counted as if it were.
    asks: AtomicBool,
    /// It is down, but too many of the pool are out already.
    held: AtomicBool,
    /// Players in the upper half, and in the lower half the sessions it had then.
    players: AtomicU64,
    passed: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
struct Seen {
    health: Health,
    last: Option<LastCheck>,
}

/// The newest check of a backend.
#[derive(Debug, Clone)]
pub struct LastCheck {
    /// When it ended.
    pub at: SystemTime,
    /// What failed, if it did.
    pub failure: Option<String>,
}

/// No number of players was ever read.
const UNTOLD: u64 = u64::MAX;

impl Checkup {
    /// Whether it is well.
    pub fn verdict(&self) -> Verdict {
        self.lock().health.verdict()
    }

    /// The newest check.
    pub fn last(&self) -> Option<LastCheck> {
        self.lock().last.clone()
    }

    /// Checks that passed.
    pub fn passed(&self) -> u64 {
        self.passed.load(Relaxed)
    }

    /// Checks that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// The number of players that the server told last.
    pub fn players_told(&self) -> Option<u32> {
        let told = self.players.load(Relaxed);
        (told != UNTOLD).then_some((told >> 32) as u32)
    }

    pub(super) fn is_out(&self) -> bool {
        self.out.load(Relaxed)
    }

    /// Whether it counts among those that are out: it is, or is about to be.
    pub(super) fn counts_as_out(&self) -> bool {
        self.is_out() || self.asks.load(Relaxed)
    }

    pub(super) fn is_held_in(&self) -> bool {
        self.held.load(Relaxed)
    }

    /// The players told last, and the sessions that came since: between two checks, newcomers must not all be sent to
    /// whoever had the fewest.
    pub(super) fn players(&self, active: u32) -> Option<u32> {
        let told = self.players_told()?;
        #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
        let active_then = self.players.load(Relaxed) as u32;
        Some(told.saturating_add(active.saturating_sub(active_then)))
    }

    /// Takes in a result. `may_be_out` says whether one more of the pool may be out, with this one counted already.
    pub(super) fn note(
        &self,
        result: Result<Option<u32>, String>,
        rule: Rule,
        active: u32,
        may_be_out: impl FnOnce() -> bool,
    ) -> Option<Verdict> {
        let mut seen = self.lock();
        let changed = seen.health.on_result(result.is_ok(), rule);
        let verdict = seen.health.verdict();
        let failure = match result {
            Ok(players) => {
                self.passed.fetch_add(1, Relaxed);
                if let Some(players) = players {
                    self.players.store(u64::from(players) << 32 | u64::from(active), Relaxed);
                }
                None
            }
            Err(failure) => {
                self.failed.fetch_add(1, Relaxed);
                Some(failure)
            }
        };
        seen.last = Some(LastCheck { at: SystemTime::now(), failure });
        drop(seen);
        self.follow(verdict, may_be_out);
        changed
    }

    /// Goes on with what another process has known: it is down.
    pub(super) fn resume_down(&self, may_be_out: impl FnOnce() -> bool) {
        self.lock().health = Health::DOWN;
        self.follow(Verdict::Down, may_be_out);
    }

    fn follow(&self, verdict: Verdict, may_be_out: impl FnOnce() -> bool) {
        // One that is held in asks again with every check, and takes sessions until it may be out.
        let down = verdict == Verdict::Down;
        self.asks.store(down, Relaxed);
        let out = down && may_be_out();
        self.out.store(out, Relaxed);
        self.held.store(down && !out, Relaxed);
        self.asks.store(false, Relaxed);
    }

    pub(super) fn forget(&self) {
        *self.lock() = Seen::default();
        self.out.store(false, Relaxed);
        self.held.store(false, Relaxed);
        self.players.store(UNTOLD, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Checkup {
    fn default() -> Self {
        Self {
            seen: Mutex::default(),
            out: AtomicBool::new(false),
            asks: AtomicBool::new(false),
            held: AtomicBool::new(false),
            players: AtomicU64::new(UNTOLD),
            passed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self { health: Health::UNKNOWN, last: None }
    }
}
