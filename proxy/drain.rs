//! The way down: take nothing new, let what runs finish, until a deadline.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

pub mod pace;

/// How far the process is on its way down. Only ever moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not on its way down.
    Running,
    /// Says that it is not ready, and still takes new sessions (`shutdown_delay`).
    Leaving,
    /// Takes no new sessions; those that live go on.
    Draining,
    /// Ends the sessions that are left.
    Cutting,
}

/// Moves the process on.
#[derive(Debug)]
pub struct Trigger(watch::Sender<Way>);

/// Follows the process on its way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watch(watch::Receiver<Way>);

#[derive(Debug, Clone, Copy)]
struct Way {
    phase: Phase,
    /// When the sessions that are left will be ended.
    ends_at: Option<Instant>,
}

/// A trigger and a first watch on it.
pub fn channel() -> (Trigger, Watch) {
    let (sender, receiver) = watch::channel(Way { phase: Phase::Running, ends_at: None });
    (Trigger(sender), Watch(receiver))
}

/// When it is time to say again how long a drain still takes, if ever: whenever half of what was left has passed, down to
/// about a second.
pub fn next_notice(now: Instant, ends_at: Instant) -> Option<Instant> {
    let half = ends_at.saturating_duration_since(now) / 2;
    (half > Duration::from_millis(500)).then(|| now + half)
}

impl Trigger {
    /// Moves on to a phase. Going back is ignored.
    pub fn advance(&self, to: Phase) {
        self.move_on(to, None);
    }

    /// Begins to drain, until then at the latest.
    pub fn drain_until(&self, ends_at: Instant) {
        self.move_on(Phase::Draining, Some(ends_at));
    }

    fn move_on(&self, to: Phase, ends_at: Option<Instant>) {
        self.0.send_if_modified(|way| {
            let moves = to > way.phase;
            if moves {
                *way = Way { phase: to, ends_at: ends_at.or(way.ends_at) };
            }
            moves
        });
    }
}

impl Watch {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        self.0.borrow().phase
    }

    /// When the sessions that are left will be ended, once that is known.
    pub fn ends_at(&self) -> Option<Instant> {
        self.0.borrow().ends_at
    }

    /// Resolves when this phase, or one after it, has been reached. With the trigger gone, all of them have been.
    pub async fn reached(&mut self, phase: Phase) {
        let _trigger_gone = self.0.wait_for(|way| way.phase >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_move_on() {
        let (trigger, mut watch) = channel();
        let ends_at = Instant::now();
        trigger.drain_until(ends_at);
        trigger.advance(Phase::Leaving);
        assert_eq!((watch.phase(), watch.ends_at()), (Phase::Draining, Some(ends_at)));
        watch.reached(Phase::Leaving).await;
        watch.reached(Phase::Draining).await;
        trigger.advance(Phase::Cutting);
        assert_eq!((watch.phase(), watch.ends_at()), (Phase::Cutting, Some(ends_at)));
    }

    #[tokio::test]
    async fn whoever_waits_is_freed_when_the_trigger_is_gone() {
        let (trigger, mut watch) = channel();
        drop(trigger);
        watch.reached(Phase::Cutting).await;
    }

    #[test]
    fn a_countdown_halves() {
        let begun = Instant::now();
        let ends_at = begun + Duration::from_secs(30);
        let times = std::iter::successors(Some(begun), |&at| next_notice(at, ends_at));
        let left: Vec<_> = times.map(|at| (ends_at - at).as_millis()).collect();
        assert_eq!(left, [30_000, 15_000, 7500, 3750, 1875, 937]);
        assert_eq!(next_notice(ends_at, begun), None);
    }
}
