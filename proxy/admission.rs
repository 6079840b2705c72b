//! Who may come in. The order of the checks, cheapest first, stands in [`Admission::admit`].

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::time::Instant;

pub mod acl;
pub mod addresses;
mod arrivals;
pub mod ban;
pub mod banned;
pub mod level;
mod memory;
pub mod pace;
mod policy;
pub mod rate;
pub mod reconnect;
mod refused;
pub mod slots;
#[cfg(test)]
mod tests;

use self::acl::Networks;
use self::addresses::Seat;
pub use self::arrivals::{Arrivals, Turn};
use self::level::{Level, Marks, Shares};
pub use self::memory::Memory;
pub use self::policy::Policy;
use self::slots::{ListenerSlots, Slot, SlotCount};
use crate::net::client::ClientKey;
use crate::queue::Class;

/// The door of the whole process. Outlives reloads.
#[derive(Debug)]
pub struct Admission {
    /// Slots that any client may take. How many there are of them makes the service level.
    open: SlotCount,
    /// Slots that listeners keep for their staff and trusted clients.
    reserved: SlotCount,
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

/// Leave for one session to exist; counts while it is held.
#[derive(Debug)]
pub struct Permit {
    slots: Arc<ListenerSlots>,
    /// Boxed, for most listeners have no such limits, and sessions are mostly memory.
    claims: Option<Box<Claims>>,
}

/// What a permit holds beside a slot that any client may take.
#[derive(Debug)]
struct Claims {
    slot: Slot,
    _seat: Option<Seat>,
    /// Taken when the session waits for it.
    turn: Option<Turn>,
}

/// What a client may be known again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// Its address.
    pub address: IpAddr,
    /// The player key (`reconnect_key`), if the request has one.
    pub player: Option<PlayerId>,
}

/// A key that a client has chosen to send, and who is accountable for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayerId {
    /// The key: anything that a stranger may make up.
    pub key: ClientKey,
    /// The address that the request came from, as far as proxies in front tell it and are trusted.
    pub from: ClientKey,
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
    /// As many sessions live as may, in all or on the listener.
    AtCapacity,
    /// As many wait for their turn as may.
    QueueFull,
}

impl Admission {
    /// A door for so many live sessions.
    pub fn new(capacity: usize, levels: Shares, reconnect: reconnect::Rule) -> Self {
        Self {
            open: SlotCount::new(capacity),
            reserved: SlotCount::new(0),
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

    /// Changes how many may be in, how many of them in slots that listeners reserve, and what follows from how many are. Those who
    /// are in stay.
    pub fn set_capacity(&self, (capacity, reserved): (usize, usize), levels: Shares, reconnect: reconnect::Rule) {
        let open = capacity.saturating_sub(reserved);
        self.open.set_most(open);
        self.reserved.set_most(reserved);
        self.house.store(Arc::new(House { marks: Marks::new(levels, open), reconnect }));
        self.follow_level();
    }

    /// How many may be in.
    pub fn capacity(&self) -> usize {
        self.open.most() + self.reserved.most()
    }

    /// How many are in.
    pub fn active(&self) -> usize {
        self.open.taken() + self.reserved.taken()
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
        let is_trusted = policy.trusted.contain(client);
        if (!is_trusted && policy.has_banned(memory, client, &now)) || policy.denies(client) {
            refused(Refusal::Denied)?;
        }
        if policy.maintenance && !policy.staff.contain(client) {
            refused(Refusal::Maintenance)?;
        }
        if !is_trusted {
            if !policy.lets_come(memory, client, &now) {
                refused(Refusal::RateLimited)?;
            }
            match policy.seat(memory, client) {
                Ok(found) => seat = found,
                Err(full) => refused(full)?,
            }
        }
        if policy.may_use_reserved(client)
            && let Some(slot) = memory.slots(self).take_reserved()
        {
            // A client in a reserved slot neither waits nor is shed. What it held before is given back.
            let claims = Claims { slot, _seat: seat, turn: None };
            return Ok(Permit { slots: Arc::clone(memory.slots(self)), claims: Some(Box::new(claims)) });
        }
        if self.sheds(held.is_some(), (policy, memory), client, &now) {
            return Err(Refusal::Shed);
        }
        let mut permit = held.map_or_else(|| self.hold(memory), Ok)?;
        let turn = policy.turn(memory, || self.class(memory, client, now()), &now)?;
        if seat.is_some() || turn.is_some() {
            permit.claims = Some(Box::new(Claims { slot: Slot::Open, _seat: seat, turn }));
        }
        Ok(permit)
    }

    /// A slot for a client of whom nothing is known yet, on the listener whose memory this is.
    ///
    /// # Errors
    /// There is none left.
    pub fn hold(self: &Arc<Self>, memory: &Memory) -> Result<Permit, Refusal> {
        let slots = memory.slots(self);
        slots.take_open()?;
        Ok(Permit { slots: Arc::clone(slots), claims: None })
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

    /// Notes that a client has been served, if it is known by a key of its own.
    pub fn note_served(&self, memory: &Memory, who: Who, now: Instant) {
        if let Some(player) = who.player {
            let rule = self.house.load().reconnect;
            memory.regulars().note(player.key, player.from, now, rule);
        }
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
        if level < policy.shed_at || (self.open.is_full() && !has_place) {
            // The truer reason for a house without any room is that.
            return false;
        }
        level == Level::Overloaded || self.class(memory, client, now()) == Class::Newcomer
    }

    /// Notes the end of a session on the listener whose memory this is: its client may be back soon.
    fn note_end(&self, memory: &Memory, client: IpAddr, lasted: Duration, now: Instant) {
        let rule = self.house.load().reconnect;
        if lasted >= rule.min_session {
            memory.recent().note(ClientKey::of(client), now, rule);
        }
    }

    /// One log line for each change.
    fn follow_level(&self) {
        let before = self.level();
        let now = before.next(self.open.taken(), &self.house.load().marks);
        if now == before {
            return;
        }
        let swapped = self.level.compare_exchange(before as u8, now as u8, Relaxed, Relaxed);
        if swapped.is_ok() {
            let (service_level, active, capacity) = (now.as_str(), self.active(), self.capacity());
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
        self.slots.admission()
    }

    /// How soon its session's client is served in a line, on the listener whose memory this is.
    pub fn class(&self, memory: &Memory, client: IpAddr) -> Class {
        self.house().class(memory, client, Instant::now())
    }

    /// The turn that its session has to wait for first, if there is one.
    pub fn take_turn(&mut self) -> Option<Turn> {
        self.claims.as_mut()?.turn.take()
    }

    /// Notes that its session ends now: its client may be back soon.
    pub fn note_end(&self, memory: &Memory, client: IpAddr, lasted: Duration) {
        self.house().note_end(memory, client, lasted, Instant::now());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let slot = self.claims.as_ref().map_or(&Slot::Open, |claims| &claims.slot);
        self.slots.give_back(slot);
    }
}
