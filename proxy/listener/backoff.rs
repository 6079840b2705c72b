//! How long an accept loop pauses after errors. Pure, without a clock.

use std::time::Duration;

use crate::snapshot::AcceptError;

/// The first pause for want of descriptors or memory. Long enough not to spin, short enough for players not to notice one.
const EXHAUSTED_FIRST: Duration = Duration::from_millis(50);
/// What doubling ends at: sessions end all the time, so room is likely within a second.
const EXHAUSTED_LAST: Duration = Duration::from_secs(1);

/// Connections in a row that may be gone before they are accepted: as many as one client may well have begun and reset. Each of
/// these errors takes one connection out of the queue, so that there is an end to them.
const GONE_IN_A_ROW: u32 = 64;
/// The first pause when there was none to them. Short, because good clients may wait behind bad ones.
const GONE_FIRST: Duration = Duration::from_millis(1);
/// What doubling ends at.
const GONE_LAST: Duration = Duration::from_millis(50);

/// The errors since the last accept that succeeded.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    gone: u32,
    last: Option<Duration>,
}

impl Backoff {
    /// An accept has succeeded.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The pause after an error of this kind, if there is to be one.
    pub(super) fn after(&mut self, kind: AcceptError) -> Option<Duration> {
        let (first, last) = match kind {
            AcceptError::Exhausted => (EXHAUSTED_FIRST, EXHAUSTED_LAST),
            AcceptError::Connection | AcceptError::Unusable => {
                self.gone += 1;
                if self.gone < GONE_IN_A_ROW {
                    return None;
                }
                self.gone = 0;
                (GONE_FIRST, GONE_LAST)
            }
        };
        let pause = self.last.map_or(first, |before| (before * 2).clamp(first, last));
        self.last = Some(pause);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_that_goes_on_makes_the_loop_pause_for_longer_and_longer() {
        let millis = |kind, errors: usize| {
            let mut backoff = Backoff::default();
            let pauses = (0..errors).filter_map(|_| backoff.after(kind));
            pauses.map(|pause| pause.as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(millis(AcceptError::Exhausted, 7), [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(millis(AcceptError::Connection, 63), [0; 0]);
        assert_eq!(millis(AcceptError::Connection, 64 * 8), [1, 2, 4, 8, 16, 32, 50, 50]);
        assert_eq!(millis(AcceptError::Unusable, 64 * 2), [1, 2]);
    }

    #[test]
    fn a_success_forgets_the_errors_before_it() {
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            assert_eq!(backoff.after(AcceptError::Exhausted), Some(EXHAUSTED_FIRST));
            backoff.reset();
        }
    }
}
