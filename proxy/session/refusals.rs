//! Whom a dry run has let in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::CloseReason;

/// The refusals of one listener.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Those that a dry run has let in.
    would: [AtomicU64; CloseReason::ALL.len()],
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
}
