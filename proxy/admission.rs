//! Who may come in. The order of the checks, cheapest first, stands in [`Admission::admit`].

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::time::Instant;

pub mod acl;
pub mod addresses;
mod arrivals;
pub mod ban;
pub mod banned;
pub mod level;
pub mod pace;
mod policy;
pub mod rate;
pub mod reconnect;
mod refused;
#[cfg(test)]
mod tests;

use self::acl::Networks;
use self::addresses::{Addresses, Seat};
pub use self::arrivals::{Arrivals, Turn};
use self::ban::Bans;
use self::level::{Level, Marks, Shares};
pub use self::policy::Policy;
use self::reconnect::{Recent, Regulars};
use self::refused::RefusedClients;
use crate::net::client::ClientKey;
use crate::queue::Class;

/// The door of the whole process. Outlives reloads.
#[derive(Debug)]
pub struct Admission {
    capacity: AtomicUsize,
    active: AtomicUsize,
    level: AtomicU8,
    house: ArcSwap<House>,
    /// Who may not come in anywhere, by hand; `None` while that is nobody.
    banned: ArcSwapOption<Networks>,
}

/// What holds for the whole house, in one version of the config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct House {
    marks: Marks,
    reconnect: reconnect::Rule,
}

/// What a listener remembers of its clients, over all its versions.
#[derive(Debug, Default)]
pub struct Memory {
    addresses: Arc<Addresses>,
    recent: Mutex<Recent>,
    regulars: Mutex<Regulars>,
    bans: Mutex<Bans>,
    refused: RefusedClients,
    arrivals: Arrivals,
    /// The same for TLS handshakes.
    handshakes: Arrivals,
}

/// Leave for one session to exist; counts while it is held.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    /// Boxed, for most listeners have no such limits, and sessions are mostly memory.
    claims: Option<Box<Claims>>,
}

/// What a permit holds beside its place in the house.
#[derive(Debug)]
struct Claims {
    _seat: Option<Seat>,
    /// Taken when the session waits for it.
    turn: Option<Turn>,
}

/// What a client may be known again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// Its address.
    pub address: IpAddr,
    /// A word of its own, if it has said one.
    pub player: Option<ClientKey>,
}

impl From<IpAddr> for Who {
    fn from(address: IpAddr) -> Self {
        Self { address, player: None }
    }
}

/// Why a client may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// By a list, or a ban.
    Denied,
    /// Only staff may come in.
    Maintenance,
    /// Its address comes too often.
    RateLimited,
    /// Its address has as many sessions as it may.
    PerIpLimit,
    /// The house is too full for newcomers.
    Shed,
    /// As many sessions live as may.
    AtCapacity,
    /// As many wait for their turn as may.
    QueueFull,
}

impl Admission {
    /// A door for so many live sessions.
    pub fn new(capacity: usize, levels: Shares, reconnect: reconnect::Rule) -> Self {
        Self {
            capacity: AtomicUsize::new(capacity),
            active: AtomicUsize::new(0),
            level: AtomicU8::new(Level::Full as u8),
            house: ArcSwap::from_pointee(House { marks: Marks::new(levels, capacity), reconnect }),
            banned: ArcSwapOption::empty(),
        }
    }

    /// Changes who is banned by hand. Those who are in stay until they are asked to go.
    pub fn set_banned(&self, networks: Networks) {
        self.banned.store(Some(networks).filter(|networks| !networks.is_empty()).map(Arc::new));
    }

    /// Whether a client is banned by hand.
    pub fn has_banned(&self, client: IpAddr) -> bool {
        self.banned.load().as_deref().is_some_and(|networks| networks.contain(client))
    }

    /// Changes how many may be in, and what follows from how many are. Those who are in stay.
    pub fn set_capacity(&self, capacity: usize, levels: Shares, reconnect: reconnect::Rule) {
        self.capacity.store(capacity, Relaxed);
        self.house.store(Arc::new(House { marks: Marks::new(levels, capacity), reconnect }));
        self.follow_level(self.active());
    }

    /// How many may be in.
    pub fn capacity(&self) -> usize {
        self.capacity.load(Relaxed)
    }

    /// How many are in.
    pub fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    /// How full it is.
    pub fn level(&self) -> Level {
        Level::ALL[usize::from(self.level.load(Relaxed))]
    }

    /// Lets a client in, or into the line before the door: then its permit has a turn to wait for.
    ///
    /// `held` is the place that it has in the house already, if it does.
    ///
    /// # Errors
    /// Why not. With `dry_run`, `would` hears of it instead where the address is to blame.
    pub fn admit(
        self: &Arc<Self>,
        (policy, memory): (&Policy, &Memory),
        client: IpAddr,
        held: Option<Permit>,
        now: impl Fn() -> Instant,
        would: impl Fn(Refusal),
    ) -> Result<Permit, Refusal> {
        let refused = |refusal| {
            policy.note_refusal(memory, client, &now);
            if !policy.dry_run {
                return Err(refusal);
            }
            would(refusal);
            Ok(())
        };
        if self.has_banned(client) {
            // An operator has meant this one: neither a dry run nor trust counts for anything.
            return Err(Refusal::Denied);
        }
        let mut seat = None;
        if policy.has_banned(memory, client, &now) || policy.denies(client) {
            refused(Refusal::Denied)?;
        }
        if policy.maintenance && !policy.staff.contain(client) {
            refused(Refusal::Maintenance)?;
        }
        if !policy.trusted.contain(client) {
            if !policy.lets_come(memory, client, &now) {
                refused(Refusal::RateLimited)?;
            }
            match policy.seat(memory, client) {
                Ok(found) => seat = found,
                Err(full) => refused(full)?,
            }
        }
        if self.sheds(held.is_some(), (policy, memory), client, &now) {
            return Err(Refusal::Shed);
        }
        let mut permit = held.map_or_else(|| self.hold(), Ok)?;
        let turn = policy.turn(memory, || self.class(memory, client, now()), &now)?;
        if seat.is_some() || turn.is_some() {
            permit.claims = Some(Box::new(Claims { _seat: seat, turn }));
        }
        Ok(permit)
    }

    /// A place in the house for a client of whom nothing is known yet.
    ///
    /// # Errors
    /// There is none left.
    pub fn hold(self: &Arc<Self>) -> Result<Permit, Refusal> {
        self.enter()?;
        Ok(Permit { admission: Arc::clone(self), claims: None })
    }

    /// How soon a client's turn is in any line.
    pub fn class(&self, memory: &Memory, who: impl Into<Who>, now: Instant) -> Class {
        let has_played = memory.has_just_played(who.into(), now, self.house.load().reconnect);
        if has_played { Class::Reconnecting } else { Class::Newcomer }
    }

    /// Whether the house is too full for a request of this client, whose connection is in already. As with connections, those who
    /// were just playing are served one level longer than newcomers are anywhere.
    pub fn sheds_request(&self, shed_at: Level, memory: &Memory, who: Who, now: impl Fn() -> Instant) -> bool {
        let level = self.level();
        level >= shed_at && (level == Level::Overloaded || self.class(memory, who, now()) == Class::Newcomer)
    }

    /// The client as a witness of what a backend has failed to do; `None` if its word does not count, because it is banned or was
    /// refused a moment ago for what it does.
    pub fn witness(&self, memory: &Memory, client: IpAddr, now: Instant) -> Option<ClientKey> {
        let key = ClientKey::of(client);
        let is_credible = !self.has_banned(client) && !memory.refused.has(key, now);
        is_credible.then_some(key)
    }

    /// Notes that a client has been served that is known by a word of its own.
    pub fn note_served(&self, memory: &Memory, player: ClientKey, now: Instant) {
        let rule = self.house.load().reconnect;
        memory.regulars().note(player, now, rule);
    }

    /// Whether the house is too full for this client. Those who were just playing are let in one level longer than
    /// newcomers are anywhere; at the last level nobody is.
    fn sheds(
        &self,
        has_place: bool,
        (policy, memory): (&Policy, &Memory),
        client: IpAddr,
        now: impl Fn() -> Instant,
    ) -> bool {
        let level = self.level();
        if level < policy.shed_at || (self.active() >= self.capacity() && !has_place) {
            // The truer reason for a house without any room is that.
            return false;
        }
        level == Level::Overloaded || self.class(memory, client, now()) == Class::Newcomer
    }

    fn enter(&self) -> Result<(), Refusal> {
        let capacity = self.capacity();
        let before = self.active.fetch_update(Relaxed, Relaxed, |active| (active < capacity).then(|| active + 1));
        let active = before.map_err(|_full| Refusal::AtCapacity)? + 1;
        self.follow_level(active);
        Ok(())
    }

    /// Notes the end of a session on the listener whose memory this is: its client may be back soon.
    fn note_end(&self, memory: &Memory, client: IpAddr, lasted: Duration, now: Instant) {
        let rule = self.house.load().reconnect;
        if lasted >= rule.min_session {
            memory.recent().note(ClientKey::of(client), now, rule);
        }
    }

    /// One log line for each change.
    fn follow_level(&self, active: usize) {
        let before = self.level();
        let now = before.next(active, &self.house.load().marks);
        if now == before {
            return;
        }
        let swapped = self.level.compare_exchange(before as u8, now as u8, Relaxed, Relaxed);
        if swapped.is_ok() {
            let (service_level, capacity) = (now.as_str(), self.capacity());
            if now > before {
                tracing::warn!(service_level, active, capacity, "service level: fuller");
            } else {
                tracing::info!(service_level, active, capacity, "service level: emptier");
            }
        }
    }
}

impl Permit {
    /// The house that it is for.
    pub fn house(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// How soon its session's client is served in a line, on the listener whose memory this is.
    pub fn class(&self, memory: &Memory, client: IpAddr) -> Class {
        self.admission.class(memory, client, Instant::now())
    }

    /// The turn that its session has to wait for first, if there is one.
    pub fn take_turn(&mut self) -> Option<Turn> {
        self.claims.as_mut()?.turn.take()
    }

    /// Notes that its session ends now: its client may be back soon.
    pub fn note_end(&self, memory: &Memory, client: IpAddr, lasted: Duration) {
        self.admission.note_end(memory, client, lasted, Instant::now());
    }
}

impl Memory {
    /// Whether a client had a session here that ended a moment ago, or was served until then.
    pub fn has_just_played(&self, who: Who, now: Instant, rule: reconnect::Rule) -> bool {
        let is_regular = |player| self.regulars().has(player, now, rule);
        self.recent().has(ClientKey::of(who.address), now, rule) || who.player.is_some_and(is_regular)
    }

    /// Clients whose sessions have ended lately, the last first, so many at most; some of them again, and further back.
    pub fn newest_ended(&self, most: usize) -> Vec<(ClientKey, Instant)> {
        self.recent().newest(most)
    }

    /// Clients known by a word that were served lately, from when to when, so many at most.
    pub fn newest_served(&self, most: usize) -> Vec<(ClientKey, Instant, Instant)> {
        self.regulars().newest(most)
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

    /// Who waits for a turn.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Who waits to begin a TLS handshake.
    pub fn handshakes(&self) -> &Arrivals {
        &self.handshakes
    }

    fn bans(&self) -> std::sync::MutexGuard<'_, Bans> {
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn regulars(&self) -> std::sync::MutexGuard<'_, Regulars> {
        self.regulars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let active = self.admission.active.fetch_sub(1, Relaxed) - 1;
        self.admission.follow_level(active);
    }
}
