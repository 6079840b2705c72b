//! The way down: not ready, then no new sessions, then none at all.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::state::State;
use super::{Control, all_ended, next_shutdown};
use crate::config::model::Server;
use crate::config::scalar::Rate;
use crate::drain::pace::{Pace, too_many};
use crate::drain::{Phase, next_notice};
use crate::session::{CloseReason, SessionId};
use crate::telemetry;
use crate::worker::{Ask, Command, Mailbox};

/// How long workers may take to end their sessions once they are told to: closing is a loop over them, and the last words that
/// are still being said then have this long.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// Between two looks at how many sessions are due.
const TICK: Duration = Duration::from_millis(100);

impl Control {
    /// The whole way. A second signal skips what is left of it.
    pub(super) async fn drain(&mut self) {
        let Server { shutdown_delay, drain_timeout, drain_pace, .. } = *self.reloader.server();
        let started = Instant::now();
        let before = self.drained_sessions();
        let sessions = self.state.admission().active();
        tracing::info!(sessions, "draining");
        self.supervisor.stopping(shutdown_delay + drain_timeout, sessions);

        self.trigger.advance(Phase::Leaving);
        let in_a_hurry = tokio::select! {
            () = sleep(shutdown_delay) => false,
            () = next_shutdown(&mut self.signals, &mut self.requests) => true,
        };
        let (now, ends_at) = (Instant::now(), Instant::now() + drain_timeout);
        self.trigger.drain_until(ends_at);
        if !in_a_hurry {
            let mailboxes: Vec<_> = self.workers.iter().map(|worker| worker.mailbox().clone()).collect();
            tokio::select! {
                () = all_ended(&mut self.workers) => {}
                () = sleep_until(ends_at) => {}
                () = next_shutdown(&mut self.signals, &mut self.requests) => tracing::warn!("asked again: ending now"),
                () = count_down(&self.state, ends_at) => {}
                () = end_evenly(&self.state, &mailboxes, drain_pace, (now + drain_timeout / 2, ends_at)) => {}
            }
        }
        self.trigger.advance(Phase::Cutting);
        let _overdue = timeout_at(Instant::now() + CUT_GRACE, all_ended(&mut self.workers)).await;

        let took = telemetry::shown(started.elapsed());
        match self.drained_sessions() - before {
            0 => tracing::info!(%took, "drained: every session has ended by itself"),
            cut => tracing::warn!(cut, %took, "drained: the sessions that were left have been cut"),
        }
    }

    /// Sessions that a drain has cut so far.
    fn drained_sessions(&self) -> u64 {
        let snapshot = self.state.snapshot();
        snapshot.listeners.values().map(|listener| listener.counts.tally.ended(CloseReason::Drained)).sum()
    }
}

/// Tells the log how many are left, as often as clients are told. Never done.
async fn count_down(state: &State, ends_at: Instant) {
    while let Some(next) = next_notice(Instant::now(), ends_at) {
        sleep_until(next).await;
        let seconds_left = ends_at.saturating_duration_since(Instant::now()).as_secs_f32().round();
        tracing::info!(left = state.admission().active(), seconds_left, "draining");
    }
    std::future::pending::<()>().await;
}

/// From `begins_at` on, ends the sessions that are left evenly until `ends_at`, the youngest first, no faster than `most`.
/// Never done.
async fn end_evenly(state: &State, workers: &[Mailbox], most: Option<Rate>, (begins_at, ends_at): (Instant, Instant)) {
    let Some(most) = most else { return std::future::pending().await };
    sleep_until(begins_at).await;
    let mut left = sessions(workers).await;
    tracing::info!(left = left.len(), drain_pace = %most, "ending the sessions that are left, the youngest first");
    let overdue = too_many(left.len(), most, ends_at.saturating_duration_since(begins_at));
    if overdue > 0 {
        tracing::warn!(
            overdue,
            "drain_pace is too slow: these sessions will be ended together when drain_timeout is over"
        );
    }
    let mut pace = Pace::new(most, Instant::now());
    loop {
        sleep(TICK).await;
        let mut due = pace.due(state.admission().active(), Instant::now(), ends_at);
        while due > 0 && !left.is_empty() {
            let youngest = left.split_off(left.len().saturating_sub(due));
            due = due.saturating_sub(end(workers, youngest).await);
        }
    }
}

/// All sessions, the youngest last, and the worker of each. Nobody new comes during a drain.
async fn sessions(workers: &[Mailbox]) -> Vec<(SessionId, usize)> {
    let mut all = Vec::new();
    for (worker, mailbox) in workers.iter().enumerate() {
        let (told, listed) = oneshot::channel();
        mailbox.send(Command::Sessions(Ask::List(told))).await;
        // A worker that has ended has none.
        all.extend(listed.await.unwrap_or_default().into_iter().map(|session| (session, worker)));
    }
    all.sort_unstable();
    all
}

/// Ends these sessions, and says how many of them were still there to be ended.
async fn end(workers: &[Mailbox], sessions: Vec<(SessionId, usize)>) -> usize {
    let mut ended = 0;
    for (worker, mailbox) in workers.iter().enumerate() {
        let its: Vec<_> = sessions.iter().filter(|(_, of)| *of == worker).map(|(session, _)| *session).collect();
        if !its.is_empty() {
            let (told, counted) = oneshot::channel();
            mailbox.send(Command::Sessions(Ask::Drain(its, told))).await;
            ended += counted.await.unwrap_or_default();
        }
    }
    ended
}
