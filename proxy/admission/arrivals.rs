//! The line at a listener's door: who comes faster than its rate waits for a turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::Histogram;
use tokio::time::Instant;

use super::pace::{Pace, Rule};
use crate::metrics;
use crate::queue::{Class, Full, Queue, Waiting};

/// Who comes to one listener, over all its versions.
#[derive(Debug)]
pub struct Arrivals {
    pace: Mutex<Pace>,
    queue: Arc<Queue<(), ()>>,
}

/// A client's place in the line; given up when dropped.
#[derive(Debug)]
pub struct Turn {
    waiting: Waiting<(), ()>,
    /// How long it may wait.
    pub deadline: Instant,
}

impl Arrivals {
    /// Lets a client in, or gives it a place in the line.
    ///
    /// # Errors
    /// So many wait already.
    pub fn come(&self, rule: &Rule, class: impl FnOnce() -> Class, now: Instant) -> Result<Option<Turn>, Full> {
        // Held until the client stands in the line: of two that come at once the second sees the first.
        let mut pace = self.pace();
        if !self.queue.is_waited_in() && pace.pass(&rule.limit, now) {
            return Ok(None);
        }
        let waiting = self.queue.join((class(), ()), rule.max_waiting, now)?;
        Ok(Some(Turn { waiting, deadline: now + rule.wait_timeout }))
    }

    /// Lets those in whose turn it is; all, once there is no rule any more.
    pub fn serve(&self, rule: Option<&Rule>, now: Instant) {
        if self.queue.is_waited_in() {
            let mut pace = self.pace();
            self.queue.pump(now, |()| rule.is_none_or(|rule| pace.pass_next(&rule.limit, now)).then_some(()));
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.length()
    }

    /// How long those waited who were let in.
    pub fn wait(&self) -> &Histogram {
        self.queue.wait()
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Resolves when it has come; to `None` only when the proxy ends. Cancel safe.
    pub async fn granted(&mut self) -> Option<()> {
        self.waiting.granted().await
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { pace: Mutex::default(), queue: Arc::new(Queue::new(metrics::arrival_wait())) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::admission::rate::Limit;

    fn rule(max_waiting: usize) -> Rule {
        let limit = Limit { rate: "10/s".parse().unwrap(), burst: 2 };
        Rule { limit, max_waiting, wait_timeout: Duration::from_secs(10) }
    }

    /// Who of these has been let in, by their places in the list.
    fn let_in(turns: &mut [Turn]) -> Vec<usize> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut is_in = |turn: &mut Turn| std::pin::pin!(turn.granted()).poll(&mut cx).is_ready();
        (0..turns.len()).filter(|&index| is_in(&mut turns[index])).collect()
    }

    #[test]
    fn a_burst_passes_and_the_rest_is_let_in_at_the_rate_in_order() {
        let (arrivals, rule, now) = (Arrivals::default(), rule(4), Instant::now());
        let come = |class| arrivals.come(&rule, || class, now);
        assert!(come(Class::Newcomer).unwrap().is_none() && come(Class::Newcomer).unwrap().is_none());
        let classes = [Class::Newcomer, Class::Newcomer, Class::Reconnecting, Class::Newcomer];
        let mut turns: Vec<_> = classes.into_iter().map(|class| come(class).unwrap().unwrap()).collect();
        assert_eq!((come(Class::Reconnecting).unwrap_err(), arrivals.waiting()), (Full, 4));

        let mut served = Vec::new();
        for tenth in 0..5 {
            arrivals.serve(Some(&rule), now + Duration::from_millis(100) * tenth);
            served.push(turns.len() - arrivals.waiting());
        }
        assert_eq!(served, [0, 1, 2, 3, 4]);
        assert_eq!(let_in(&mut turns), [0, 1, 2, 3]);
        assert!(come(Class::Newcomer).unwrap().is_some(), "the burst is used up");
    }

    #[test]
    fn those_who_were_playing_come_first_and_leavers_cost_nobody_a_turn() {
        let (arrivals, rule, now) = (Arrivals::default(), rule(10), Instant::now());
        let mut turns = Vec::new();
        for class in
            [Class::Newcomer, Class::Newcomer, Class::Newcomer, Class::Newcomer, Class::Newcomer, Class::Reconnecting]
        {
            turns.extend(arrivals.come(&rule, || class, now).unwrap());
        }
        drop(turns.remove(0));
        assert_eq!(arrivals.waiting(), 3);
        arrivals.serve(Some(&rule), now + Duration::from_millis(100));
        assert_eq!(let_in(&mut turns), [2], "the one who was playing");
        arrivals.serve(Some(&rule), now + Duration::from_millis(200));
        assert_eq!(arrivals.waiting(), 1);
        arrivals.serve(None, now + Duration::from_millis(200));
        assert_eq!(arrivals.waiting(), 0, "without a rate nobody waits");
    }
}
