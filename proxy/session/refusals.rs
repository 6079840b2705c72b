//! Who was not let in, for the log: often, and so seldom told.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::CloseReason;
use crate::config::scalar::Name;

/// A flood must not become one of the log.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The refusals of one listener.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Those that a dry run has let in.
    would: [AtomicU64; CloseReason::ALL.len()],
    told: Mutex<[Told; CloseReason::ALL.len()]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Told {
    last: Option<Instant>,
    /// Since then.
    more: u64,
}

impl Refusals {
    /// What a dry run does not refuse for.
    pub const DRY: [CloseReason; 3] = [CloseReason::Denied, CloseReason::RateLimited, CloseReason::PerIpLimit];

    /// How often a dry run would have refused for this reason.
    pub fn would(&self, reason: CloseReason) -> u64 {
        self.would[reason as usize].load(Relaxed)
    }

    /// Counts one that a dry run lets in.
    pub fn count_would(&self, reason: CloseReason) {
        self.would[reason as usize].fetch_add(1, Relaxed);
    }

    /// Tells the log, at most once a second for each reason.
    pub fn tell(&self, listener: &Name, reason: CloseReason, client: IpAddr, dry_run: bool) {
        if let Some(more) = self.is_due(reason, Instant::now()) {
            let reason = reason.as_str();
            tracing::info!(%listener, reason, %client, more, dry_run, "clients are refused");
        }
    }

    /// How many were left untold since the last time, if it is time again.
    fn is_due(&self, reason: CloseReason, now: Instant) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = &mut told[reason as usize];
        if told.last.is_some_and(|last| now.saturating_duration_since(last) < TELL_EVERY) {
            told.more += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once_a_second_with_the_number_of_those_between() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let at = |millis, reason| refusals.is_due(reason, now + Duration::from_millis(millis));
        assert_eq!([0, 10, 999].map(|millis| at(millis, CloseReason::Shed)), [Some(0), None, None]);
        assert_eq!(at(500, CloseReason::Denied), Some(0));
        assert_eq!([1000, 1001, 2000].map(|millis| at(millis, CloseReason::Shed)), [Some(2), None, Some(1)]);
    }
}
