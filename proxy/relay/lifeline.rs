//! Whether a peer still acknowledges what it is sent.
//!
//! The kernel ends a connection whose bytes stay unacknowledged for too long (`TCP_USER_TIMEOUT`), but counts anew when it finds that the
//! next machine on the way does not answer either, which may add most of a minute. So it is looked at from here, too.

use std::num::NonZeroU32;
use std::time::Duration;

/// Since when one peer has left bytes unacknowledged, as far as looks can tell.
#[derive(Debug, Default)]
pub(super) struct Lifeline {
    /// In milliseconds of the session's life: half a session's memory is its future.
    since: Option<NonZeroU32>,
}

impl Lifeline {
    /// A look, in a session that has lasted for `age`. `silence` is how long the peer has acknowledged nothing; `None` if no bytes wait for
    /// that. Whether the peer has been silent for `limit` while bytes waited.
    pub(super) fn look(&mut self, silence: Option<Duration>, age: Duration, limit: Duration) -> bool {
        let Some(silence) = silence else {
            self.since = None;
            return false;
        };
        // What was silent long before it was sent anything has the whole time from now on.
        let heard = millis(age.saturating_sub(silence));
        let since = self.since.map_or_else(|| millis(age), |since| since.max(heard));
        self.since = Some(since);
        age.saturating_sub(Duration::from_millis(since.get().into())) >= limit
    }

    /// Whether bytes were unacknowledged at the last look.
    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }
}

fn millis(age: Duration) -> NonZeroU32 {
    u32::try_from(age.as_millis()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_peer_is_gone_when_it_has_acknowledged_nothing_for_the_limit_while_bytes_waited() {
        let mut lifeline = Lifeline::default();
        for age in (1000..1120).step_by(8) {
            assert!(!lifeline.look(Some(seconds(age - 990)), seconds(age), LIMIT), "{age}");
        }
        assert!(lifeline.look(Some(seconds(130)), seconds(1120), LIMIT));
    }

    #[test]
    fn a_long_silence_before_the_first_byte_does_not_count() {
        let mut lifeline = Lifeline::default();
        assert!(!lifeline.look(Some(seconds(3600)), seconds(4000), LIMIT));
        assert!(lifeline.is_waiting());
        assert!(!lifeline.look(Some(seconds(3660)), seconds(4060), LIMIT));
        assert!(lifeline.look(Some(seconds(3720)), seconds(4120), LIMIT));
    }

    #[test]
    fn every_acknowledgement_counts_even_if_bytes_wait_at_each_look() {
        let mut lifeline = Lifeline::default();
        for age in (10..4000).step_by(8) {
            assert!(!lifeline.look(Some(Duration::from_millis(20)), seconds(age), LIMIT));
        }
        assert!(!lifeline.look(None, seconds(4000), LIMIT) && !lifeline.is_waiting());
    }
}
