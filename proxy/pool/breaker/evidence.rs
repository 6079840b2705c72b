//! What counts against a backend only if several clients have met it: a failure that a client can cause itself.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::net::client::ClientKey;

/// Clients that are remembered, and so the most that evidence can weigh. A rule that asks for more is satisfied by these: who
/// commands a thousand networks can have any number of failures.
pub(super) const CLIENTS_MAX: u32 = 1024;

/// How long a backend must have sent nobody a byte before resets prove anything. Games send several times a second, so a flood of
/// rubbish beside players who are served is never without an answer for so long; a server that has broken is found this much later.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// A failure that the client may have caused: whom it met, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// The client of the session.
    pub client: ClientKey,
    /// The session has waited for an answer for as long as the pool allows, so that nobody was answered for so long.
    pub waited: bool,
}

/// The distinct clients that a backend has failed since it last sent anybody a byte.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    clients: Vec<ClientKey>,
    /// When the first of them was failed.
    since: Option<Instant>,
    /// One of them has waited.
    waited: bool,
    /// The circuit would have opened, but could not; not asked again until the next failure.
    is_held: bool,
}

impl Evidence {
    /// Adds a failure. A client that is known already adds nothing.
    pub(super) fn add(&mut self, suspicion: Suspicion, now: Instant) {
        self.is_held = false;
        self.waited |= suspicion.waited;
        self.since.get_or_insert(now);
        if self.clients.len() < CLIENTS_MAX as usize && !self.clients.contains(&suspicion.client) {
            self.clients.push(suspicion.client);
        }
    }

    /// Forgets all of it: the backend has answered somebody.
    pub(super) fn clear(&mut self) {
        if !self.is_empty() {
            *self = Self::default();
        }
    }

    /// How many clients there are.
    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// How many failures in a row it stands for now: none before the backend has been silent for long enough.
    pub(super) fn weight(&self, now: Instant) -> u32 {
        let silent = self.since.is_some_and(|since| now.saturating_duration_since(since) >= SILENCE);
        if self.waited || silent { u32::try_from(self.clients.len()).unwrap_or(CLIENTS_MAX) } else { 0 }
    }

    /// Whether it weighs as much as so many failures.
    pub(super) fn weighs(&self, failures: NonZeroU32, now: Instant) -> bool {
        self.weight(now) >= failures.get().min(CLIENTS_MAX)
    }

    /// Notes that the circuit could not open for it.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Whether time alone may have made it weigh enough.
    pub(super) fn is_pending(&self) -> bool {
        !self.is_empty() && !self.is_held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reset(client: u64) -> Suspicion {
        Suspicion { client: ClientKey::Word(client), waited: false }
    }

    #[test]
    fn clients_are_counted_once_and_only_after_the_silence() {
        let (mut evidence, now) = (Evidence::default(), Instant::now());
        for client in [1, 2, 1, 1, 3] {
            evidence.add(reset(client), now);
        }
        assert_eq!((evidence.weight(now), evidence.weight(now + SILENCE)), (0, 3));
        evidence.add(Suspicion { waited: true, ..reset(3) }, now);
        assert_eq!(evidence.weight(now), 3, "one that has waited has been the silence");
        evidence.clear();
        assert!(evidence.is_empty() && evidence.weight(now + SILENCE) == 0);
    }

    #[test]
    fn a_botnet_takes_bounded_memory_and_is_enough_for_any_rule() {
        let (mut evidence, now) = (Evidence::default(), Instant::now());
        (0..5000).for_each(|client| evidence.add(reset(client), now));
        assert_eq!(evidence.clients.len(), CLIENTS_MAX as usize);
        assert!(evidence.weighs(NonZeroU32::MAX, now + SILENCE));
    }
}
