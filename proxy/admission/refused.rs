//! Which clients were refused a moment ago, for what they do themselves.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::net::client::ClientKey;

/// Clients that were refused lately, by a list, a ban or a limit by address: without a lock, as a flood writes here.
///
/// A table of as many places as it has, in which a client has the one that its hash says. One that comes to a place that is taken
/// takes it over: a client that is forgotten so is one of thousands that were refused.
#[derive(Debug)]
pub(super) struct RefusedClients {
    base: Instant,
    /// The upper half of the client's hash, and in the lower one the second of its refusal, counted from 1; 0 is nobody.
    places: Box<[AtomicU64]>,
}

/// 32 KiB for a listener.
const PLACES: usize = 4096;

/// How long a refusal is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Tells this use of a client's hash from others.
const SALT: &str = "refused";

impl RefusedClients {
    pub(super) fn note(&self, client: ClientKey, now: Instant) {
        let hash = client.hash(SALT);
        self.place(hash).store(hash & UPPER | self.second(now), Relaxed);
    }

    /// Whether the client was refused lately.
    pub(super) fn has(&self, client: ClientKey, now: Instant) -> bool {
        let hash = client.hash(SALT);
        let found = self.place(hash).load(Relaxed);
        let second = found & !UPPER;
        let is_recent = self.second(now).saturating_sub(second) <= REMEMBERED_FOR.as_secs();
        second > 0 && is_recent && found & UPPER == hash & UPPER
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        #[allow(clippy::cast_possible_truncation, reason = "less than the number of places")]
        let place = (hash % PLACES as u64) as usize;
        &self.places[place]
    }

    /// 32 bits last for 136 years.
    fn second(&self, now: Instant) -> u64 {
        (now.saturating_duration_since(self.base).as_secs() + 1).min(u64::from(u32::MAX))
    }
}

const UPPER: u64 = !(u32::MAX as u64);

impl Default for RefusedClients {
    fn default() -> Self {
        Self { base: Instant::now(), places: (0..PLACES).map(|_| AtomicU64::new(0)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_for_a_minute() {
        let (refused, now) = (RefusedClients::default(), Instant::now());
        let [one, other] = [1, 2].map(|last| ClientKey::of([192, 0, 2, last].into()));
        refused.note(one, now);
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!([0, 60, 62].map(|seconds| refused.has(one, at(seconds))), [true, true, false]);
        assert!(!refused.has(other, now));
    }

    #[test]
    fn a_flood_forgets_at_most_as_many_as_come_to_the_same_place() {
        let (refused, now) = (RefusedClients::default(), Instant::now());
        let clients = || (0..1000_u32).map(|number| ClientKey::of(number.to_be_bytes().into()));
        clients().for_each(|client| refused.note(client, now));
        let known = clients().filter(|&client| refused.has(client, now)).count();
        assert!(known > 800, "{known}");
    }
}
