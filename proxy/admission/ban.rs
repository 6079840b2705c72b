//! Addresses that were refused too often, and are left out for a while. Pure, and bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// When an address is banned, and for how long (`[listeners.NAME.ban]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// So many refusals ...
    pub after: u32,
    /// ... within this time.
    pub within: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

/// Addresses with refusals, and those that are banned for them.
#[derive(Debug, Default)]
pub struct Bans {
    known: HashMap<IpAddr, State>,
    /// When those that are over were last forgotten.
    swept: Option<Instant>,
    /// Bans so far.
    total: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Refused { times: u32, until: Instant },
    Banned { until: Instant },
}

/// Addresses known at once; further ones are refused like these, but not banned.
const ADDRESSES: usize = 100_000;

/// Between two looks for what is over in a full table.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Bans {
    /// Whether the address is banned now.
    pub fn has(&self, address: IpAddr, now: Instant) -> bool {
        matches!(self.known.get(&address), Some(State::Banned { until }) if *until > now)
    }

    /// How many are banned now.
    pub fn active(&self, now: Instant) -> usize {
        self.known.values().filter(|state| matches!(state, State::Banned { until } if *until > now)).count()
    }

    /// Those that are banned now, until when.
    pub fn all(&self, now: Instant) -> Vec<(IpAddr, Instant)> {
        let banned = self.known.iter().filter_map(|(&address, state)| match *state {
            State::Banned { until } if until > now => Some((address, until)),
            State::Banned { .. } | State::Refused { .. } => None,
        });
        banned.collect()
    }

    /// Lifts the bans of these addresses; how many there were.
    pub fn lift(&mut self, of: impl Fn(IpAddr) -> bool, now: Instant) -> usize {
        let before = self.active(now);
        self.known.retain(|&address, state| !(matches!(state, State::Banned { .. }) && of(address)));
        before - self.active(now)
    }

    /// How many bans there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Counts a refusal; whether the address is banned from now on.
    pub fn refused(&mut self, address: IpAddr, rule: Rule, now: Instant) -> bool {
        let (times, until) = match self.known.get(&address).copied() {
            Some(State::Banned { until }) if until > now => return false,
            Some(State::Refused { times, until }) if until > now => (times + 1, until),
            None if !self.has_room(now) => return false,
            Some(_) | None => (1, now + rule.within),
        };
        let is_banned = times >= rule.after;
        let state = if is_banned { State::Banned { until: now + rule.lasts } } else { State::Refused { times, until } };
        self.known.insert(address, state);
        self.total += u64::from(is_banned);
        is_banned
    }

    fn has_room(&mut self, now: Instant) -> bool {
        let is_due = self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_EVERY);
        if self.known.len() >= ADDRESSES && is_due {
            self.known.retain(|_, state| match state {
                State::Refused { until, .. } | State::Banned { until } => *until > now,
            });
            self.swept = Some(now);
        }
        self.known.len() < ADDRESSES
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const RULE: Rule = Rule { after: 3, within: Duration::from_secs(60), lasts: Duration::from_secs(600) };

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn so_many_refusals_within_the_time_ban_for_a_while() {
        let (mut bans, now) = (Bans::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let told: Vec<_> = [0, 59, 59, 60].map(|seconds| bans.refused(address(1), RULE, at(seconds))).into();
        assert_eq!(told, [false, false, true, false]);
        assert!(bans.has(address(1), at(658)) && !bans.has(address(1), at(659)) && !bans.has(address(2), at(59)));
        assert_eq!((bans.active(at(60)), bans.active(at(700)), bans.total()), (1, 0, 1));
        assert!(!bans.refused(address(1), RULE, at(700)), "it begins anew");
    }

    #[test]
    fn a_ban_can_be_lifted() {
        let (mut bans, now) = (Bans::default(), Instant::now());
        for number in [1, 2, 1, 2, 1, 2, 3] {
            bans.refused(address(number), RULE, now);
        }
        let mut all = bans.all(now);
        all.sort_unstable();
        assert_eq!(all, [(address(1), now + RULE.lasts), (address(2), now + RULE.lasts)]);
        assert_eq!([1, 3, 1].map(|number| bans.lift(|banned| banned == address(number), now)), [1, 0, 0]);
        assert!(!bans.has(address(1), now) && bans.has(address(2), now));
        assert!(!bans.refused(address(1), RULE, now), "it begins anew");
    }

    #[test]
    fn refusals_that_are_too_far_apart_do_not_add_up() {
        let (mut bans, now) = (Bans::default(), Instant::now());
        for minute in 0..100 {
            let at = now + Duration::from_secs(60 * minute);
            assert!(!bans.refused(address(1), RULE, at) && !bans.refused(address(1), RULE, at));
        }
        assert_eq!(bans.total(), 0);
    }

    #[test]
    fn a_million_addresses_take_bounded_memory_and_those_that_are_over_are_forgotten() {
        let (mut bans, now) = (Bans::default(), Instant::now());
        for number in 0..1_000_000 {
            bans.refused(address(number), RULE, now);
        }
        assert_eq!(bans.known.len(), ADDRESSES);
        bans.refused(address(2_000_000), RULE, now + Duration::from_secs(61));
        assert_eq!(bans.known.len(), 1);
    }
}
