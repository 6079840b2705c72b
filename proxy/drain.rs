//! The way down: take nothing new, let what runs finish, until a deadline.

use tokio::sync::watch;

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
pub struct Trigger(watch::Sender<Phase>);

/// Follows the process on its way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watch(watch::Receiver<Phase>);

/// A trigger and a first watch on it.
pub fn channel() -> (Trigger, Watch) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Trigger(sender), Watch(receiver))
}

impl Trigger {
    /// Moves on to a phase. Going back is ignored.
    pub fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let moves = to > *phase;
            *phase = to.max(*phase);
            moves
        });
    }
}

impl Watch {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Resolves when this phase, or one after it, has been reached. With the trigger gone, all of them have been.
    pub async fn reached(&mut self, phase: Phase) {
        let _trigger_gone = self.0.wait_for(|now| *now >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_move_on() {
        let (trigger, mut watch) = channel();
        trigger.advance(Phase::Draining);
        trigger.advance(Phase::Leaving);
        assert_eq!(watch.phase(), Phase::Draining);
        watch.reached(Phase::Leaving).await;
        watch.reached(Phase::Draining).await;
    }

    #[tokio::test]
    async fn whoever_waits_is_freed_when_the_trigger_is_gone() {
        let (trigger, mut watch) = channel();
        drop(trigger);
        watch.reached(Phase::Cutting).await;
    }
}
