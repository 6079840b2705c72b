//! What a listener remembers of its clients.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::time::Instant;

use super::addresses::Addresses;
use super::ban::Bans;
use super::reconnect::{self, Recent, Regulars};
use super::refused::RefusedClients;
use super::slots::ListenerSlots;
use super::{Admission, Arrivals, PlayerId, Who};
use crate::net::client::ClientKey;

/// What a listener remembers of its clients, over all its versions.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) addresses: Arc<Addresses>,
    recent: Mutex<Recent>,
    regulars: Mutex<Regulars>,
    bans: Mutex<Bans>,
    pub(super) refused: RefusedClients,
    pub(super) arrivals: Arrivals,
    /// The same for TLS handshakes.
    handshakes: Arrivals,
    /// Made with the first session, or the first version of the listener's limits.
    slots: OnceLock<Arc<ListenerSlots>>,
}

impl Memory {
    /// Whether a client had a session here that ended a moment ago, or was served until then.
    pub fn has_just_played(&self, who: Who, now: Instant, rule: reconnect::Rule) -> bool {
        let is_regular = |player: PlayerId| self.regulars().has(player.key, now, rule);
        self.recent().has(ClientKey::of(who.address), now, rule) || who.player.is_some_and(is_regular)
    }

    /// Live sessions of the listener.
    pub fn live_sessions(&self) -> usize {
        self.slots.get().map_or(0, |slots| slots.taken())
    }

    /// Live sessions in slots that the listener reserves.
    pub fn live_in_reserved(&self) -> usize {
        self.slots.get().map_or(0, |slots| slots.reserved_taken())
    }

    /// Whether anything is remembered that still counts, beside live sessions: bans, or clients who were just playing.
    pub fn is_worth_keeping(&self, rule: reconnect::Rule, now: Instant) -> bool {
        let counts = |at: Instant| now.saturating_duration_since(at) < rule.window;
        self.bans().active(now) > 0
            || self.ended().into_iter().any(|(_, at)| counts(at))
            || self.served().into_iter().any(|(_, _, last)| counts(last))
    }

    /// Clients whose sessions have ended lately, and when; some of them so long ago that they count no more.
    pub fn ended(&self) -> Vec<(ClientKey, Instant)> {
        self.recent().all()
    }

    /// Clients known by a key of their own that were served lately, from when to when; the same holds for them.
    pub fn served(&self) -> Vec<(ClientKey, Instant, Instant)> {
        self.regulars().all()
    }

    /// Goes on with what another process has known: the end of a client's session. The oldest comes first.
    pub fn resume_ended(&self, client: ClientKey, at: Instant, rule: reconnect::Rule) {
        self.recent().note(client, at, rule);
    }

    /// Goes on with what another process has known: from when to when a client was served. The oldest comes first.
    pub fn resume_served(&self, client: ClientKey, (first, last): (Instant, Instant), rule: reconnect::Rule) {
        self.regulars().resume(client, first, last, rule);
    }

    /// Bans so far, and how many there are now.
    pub fn bans_total_and_active(&self, now: Instant) -> (u64, usize) {
        let bans = self.bans();
        (bans.total(), bans.active(now))
    }

    /// Addresses that are banned by rule now, until when.
    pub fn bans_by_rule(&self, now: Instant) -> Vec<(IpAddr, Instant)> {
        self.bans().all(now)
    }

    /// Lifts the bans by rule of these addresses; how many there were.
    pub fn lift_bans(&self, of: impl Fn(IpAddr) -> bool, now: Instant) -> usize {
        self.bans().lift(of, now)
    }

    /// The live sessions of its listener.
    pub fn slots(&self, admission: &Arc<Admission>) -> &Arc<ListenerSlots> {
        self.slots.get_or_init(|| Arc::new(ListenerSlots::new(admission)))
    }

    /// Who waits for a turn.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Who waits to begin a TLS handshake.
    pub fn handshakes(&self) -> &Arrivals {
        &self.handshakes
    }

    pub(super) fn bans(&self) -> MutexGuard<'_, Bans> {
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn regulars(&self) -> MutexGuard<'_, Regulars> {
        self.regulars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
