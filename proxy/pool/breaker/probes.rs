//! The sessions that a half open circuit lets through to find out.

use std::time::Duration;

use tokio::time::Instant;

use super::Ticket;
use super::evidence::SILENCE;
use crate::net::client::ClientKey;

/// How long a probe may stay undecided before its slot is given to another session, so that a player who connects and
/// says nothing cannot keep a backend out.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// A client that has held a slot for less than this may come again at once: a look whether the server is there, before a player joins.
const BRIEF: Duration = Duration::from_millis(500);

/// The probes of one half open state, and who has had one.
///
/// A client whose probe has proved nothing leaves the slot to others for as long as it has held it: else a stranger who comes
/// again and again has every slot, and the circuit stays half open for good.
#[derive(Debug, Default)]
pub(super) struct Probes(Vec<Probe>);

#[derive(Debug)]
struct Probe {
    ticket: Ticket,
    client: ClientKey,
    claimed_at: Instant,
    /// When the slot is free again, at the latest.
    until: Instant,
}

impl Probes {
    /// How many slots are taken.
    pub(super) fn taken(&self, now: Instant) -> usize {
        self.0.iter().filter(|probe| now < probe.until).count()
    }

    /// Whether the client may have one, as far as it is for its own probes to say.
    pub(super) fn may_have(&self, client: ClientKey, now: Instant) -> bool {
        !self.0.iter().any(|probe| probe.client == client && probe.until <= now && now < probe.rested_at())
    }

    /// Gives the client a slot.
    ///
    /// The list stays short: of those that have ended, one is kept for as long as it has held its slot, and nobody had that
    /// slot meanwhile, so that the kept ones of a slot are each twice as long ago as the next.
    pub(super) fn push(&mut self, ticket: Ticket, client: ClientKey, now: Instant) {
        self.0.retain(|probe| now < probe.rested_at());
        self.0.push(Probe { ticket, client, claimed_at: now, until: now + PROBE_PATIENCE });
    }

    /// A probe has ended without a result.
    pub(super) fn end(&mut self, ticket: Ticket, now: Instant) {
        self.free(ticket, now);
    }

    /// A probe was failed, but maybe by its own doing. Its slot stays taken for a moment: a broken server must not be sent
    /// all who come while the evidence is gathered.
    pub(super) fn doubt(&mut self, ticket: Ticket, now: Instant) {
        self.free(ticket, now + SILENCE);
    }

    fn free(&mut self, ticket: Ticket, at: Instant) {
        if let Some(probe) = self.0.iter_mut().find(|probe| probe.ticket == ticket) {
            probe.until = probe.until.min(at);
        }
    }
}

impl Probe {
    /// When its client may have another one.
    fn rested_at(&self) -> Instant {
        let held = self.until.saturating_duration_since(self.claimed_at);
        if held < BRIEF { self.until } else { self.until + held }
    }
}
