//! How many descriptors are open, and how many may be.

use std::fs;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Descriptors {
    open: u64,
    /// Absent where there is no limit.
    max: Option<u64>,
}

const OPEN: &str = "/proc/self/fd";

impl Descriptors {
    pub(super) fn now() -> Self {
        // The folder says its count by itself since Linux 6.2; before, its entries have to be counted.
        let said = fs::metadata(OPEN).map_or(0, |folder| folder.len());
        let open = if said > 0 { said } else { fs::read_dir(OPEN).map_or(0, |entries| entries.count() as u64) };
        Self { open, max: getrlimit(Resource::Nofile).current }
    }
}
