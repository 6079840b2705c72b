//! The names of sessions.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::entropy;

/// The name of a session in logs: unlike any other of this process, of the processes before it, and of those on other machines. Of
/// two, the greater began later. Here is the count; the random half is the same for the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

/// Makes session ids, for all workers. And knows when it began to.
#[derive(Debug)]
pub struct Ids {
    started_at: Instant,
}

/// The first half of each id.
static PROCESS: LazyLock<u64> = LazyLock::new(entropy::number);

/// The second half of the next one.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A moment, in microseconds from the start: half the size of an [`Instant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl Ids {
    /// Ids of a proxy that starts now.
    pub fn new() -> Self {
        Self { started_at: Instant::now() }
    }

    /// The moment of an instant after the start.
    pub(super) fn moment(&self, at: Instant) -> Moment {
        let since = at.saturating_duration_since(self.started_at);
        Moment(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// The next one.
    #[allow(clippy::unused_self, reason = "whoever has the ids may make some")]
    pub fn next(&self) -> SessionId {
        SessionId(NEXT.fetch_add(1, Relaxed))
    }
}

impl Moment {
    /// The time from an earlier one until this.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}

/// As it is displayed: 32 hexadecimal digits.
impl FromStr for SessionId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let (process, count) = text.split_at_checked(16).ok_or(MalformedId)?;
        if digits(process)? == *PROCESS { digits(count).map(Self) } else { Err(MalformedId) }
    }
}

/// A text that is no id of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedId;

fn digits(text: &str) -> Result<u64, MalformedId> {
    let are_digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| are_digits).ok_or(MalformedId)
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", *PROCESS, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_order_and_none_comes_twice() {
        let ids = Ids::new();
        let made: Vec<_> = (0..100).map(|_| ids.next()).collect();
        assert!(made.is_sorted_by(|one, next| one < next));
        assert!(made.is_sorted_by_key(ToString::to_string), "as text, too");
        assert_eq!(made[0].to_string().len(), 32);
        assert_eq!(made[99].to_string().parse(), Ok(made[99]));
    }

    #[test]
    fn what_is_no_id_of_this_process_is_refused() {
        let good = Ids::new().next().to_string();
        let (process, count) = good.split_at(16);
        let other = format!("{:016x}{count}", !*PROCESS);
        let bad = ["", "ff", &good[1..], &format!("{good}0"), &format!("{process}+{}", &count[1..]), "ä", &other];
        for bad in bad {
            assert_eq!(bad.parse::<SessionId>(), Err(MalformedId), "{bad}");
        }
    }
}
