//! Clients known by a key of their own (`reconnect_key`), whose requests come one by one. Pure, and bounded.
//!
//! A key is whatever a client chooses to send, so it counts for the address that brought it first: no address has more than its
//! share of the table, and one that makes keys up pushes out its own.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::{CLIENTS, Rule, SECOND_CHANCES, is_over};
use crate::net::client::ClientKey;

/// Keys of one address. Behind a carrier's NAT there may be hundreds of players.
const KEYS_PER_ADDRESS: usize = 1000;

/// Between two looks for those that are over in a full table.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// From when to when clients were served, by their keys.
#[derive(Debug, Default)]
pub struct Regulars {
    served: HashMap<ClientKey, Served>,
    /// The keys of each address, by when they were last looked at here.
    of_address: HashMap<ClientKey, VecDeque<(Instant, ClientKey)>>,
    /// All addresses that have keys, by how many they have.
    by_keys: BTreeSet<(usize, ClientKey)>,
    /// When those that are over were last forgotten.
    swept: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Served {
    first: Instant,
    last: Instant,
}

impl Regulars {
    /// Notes that a client was served, whose request came from this address.
    pub fn note(&mut self, key: ClientKey, address: ClientKey, now: Instant, rule: Rule) {
        if let Some(served) = self.served.get_mut(&key) {
            if is_over(served.last, now, rule) {
                served.first = now;
            }
            served.last = now;
            return;
        }
        self.make_room(address, now, rule);
        self.served.insert(key, Served { first: now, last: now });
        let keys = self.of_address.entry(address).or_default();
        self.by_keys.remove(&(keys.len(), address));
        keys.push_back((now, key));
        self.by_keys.insert((keys.len(), address));
    }

    /// Goes on with what another process has known. Which address brought the key is not known any more: it stands for itself.
    pub fn resume(&mut self, key: ClientKey, first: Instant, last: Instant, rule: Rule) {
        self.note(key, key, last, rule);
        if let Some(served) = self.served.get_mut(&key) {
            served.first = served.first.min(first);
        }
    }

    /// Whether the client was served until a moment ago, and for long enough.
    pub fn has(&self, key: ClientKey, now: Instant, rule: Rule) -> bool {
        self.served.get(&key).is_some_and(|served| {
            !is_over(served.last, now, rule) && served.last.saturating_duration_since(served.first) >= rule.min_session
        })
    }

    /// All that were served, from when to when.
    pub fn all(&self) -> Vec<(ClientKey, Instant, Instant)> {
        self.served.iter().map(|(&key, served)| (key, served.first, served.last)).collect()
    }

    /// Room for one more key of this address: its own goes if it has as many as it may, or the most of all where the table is full.
    fn make_room(&mut self, address: ClientKey, now: Instant, rule: Rule) {
        self.forget_those_over(now, rule);
        let own = self.of_address.get(&address).map_or(0, VecDeque::len);
        if own >= KEYS_PER_ADDRESS {
            self.forget_one(address, now, rule);
        } else if self.served.len() >= CLIENTS
            && let Some(&(most, found)) = self.by_keys.last()
        {
            self.forget_one(if most > own { found } else { address }, now, rule);
        }
    }

    /// Forgets the key of an address that has not been used for the longest time, as far as a few looks can tell.
    fn forget_one(&mut self, address: ClientKey, now: Instant, rule: Rule) {
        let Some(keys) = self.of_address.get_mut(&address) else { return };
        self.by_keys.remove(&(keys.len(), address));
        for chance in 0..=SECOND_CHANCES {
            let Some((at, key)) = keys.pop_front() else { break };
            match self.served.get(&key) {
                Some(served) if served.last > at && !is_over(served.last, now, rule) && chance < SECOND_CHANCES => {
                    keys.push_back((served.last, key));
                }
                _ => {
                    self.served.remove(&key);
                    break;
                }
            }
        }
        if keys.is_empty() {
            self.of_address.remove(&address);
        } else {
            self.by_keys.insert((keys.len(), address));
        }
    }

    /// Forgets clients that have not come for too long: each window, and each second while the table is full.
    fn forget_those_over(&mut self, now: Instant, rule: Rule) {
        let every = if self.served.len() < CLIENTS { rule.window } else { SWEEP_EVERY.min(rule.window) };
        let swept = *self.swept.get_or_insert(now);
        if now.saturating_duration_since(swept) < every {
            return;
        }
        self.swept = Some(now);
        let served = &mut self.served;
        served.retain(|_, served| !is_over(served.last, now, rule));
        self.of_address.retain(|_, keys| {
            keys.retain(|(_, key)| served.contains_key(key));
            !keys.is_empty()
        });
        self.by_keys = self.of_address.iter().map(|(&address, keys)| (keys.len(), address)).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const RULE: Rule = Rule { min_session: Duration::from_secs(10), window: Duration::from_secs(120) };

    fn key(number: u32) -> ClientKey {
        ClientKey::Word(number.into())
    }

    fn address(number: u32) -> ClientKey {
        ClientKey::of(Ipv4Addr::from(number).into())
    }

    /// The three views of the table agree.
    fn assert_consistent(regulars: &Regulars) {
        let queued: usize = regulars.of_address.values().map(VecDeque::len).sum();
        assert_eq!(queued, regulars.served.len());
        let by_keys: BTreeSet<_> = regulars.of_address.iter().map(|(&address, keys)| (keys.len(), address)).collect();
        assert_eq!(regulars.by_keys, by_keys);
        assert!(regulars.served.len() <= CLIENTS);
        assert!(regulars.of_address.values().all(|keys| (1..=KEYS_PER_ADDRESS).contains(&keys.len())));
    }

    #[test]
    fn a_regular_was_served_for_a_while_until_a_moment_ago() {
        let (mut regulars, now) = (Regulars::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        for second in [0, 5, 9] {
            regulars.note(key(1), address(1), at(second), RULE);
            assert!(!regulars.has(key(1), at(second), RULE));
        }
        regulars.note(key(1), address(1), at(100), RULE);
        assert!(regulars.has(key(1), at(100), RULE) && regulars.has(key(1), at(219), RULE));
        assert!(!regulars.has(key(1), at(220), RULE) && !regulars.has(key(2), at(100), RULE));
        // Others come, and it is remembered as long as it comes itself.
        for second in 0..1000 {
            regulars.note(key(2 + second), address(2), at(100 + u64::from(second)), RULE);
            if second % 100 == 0 {
                regulars.note(key(1), address(1), at(100 + u64::from(second)), RULE);
            }
        }
        assert!(regulars.has(key(1), at(1100), RULE));
        assert!(regulars.served.len() < 260, "{}", regulars.served.len());
        regulars.note(key(1), address(1), at(5000), RULE);
        assert!(!regulars.has(key(1), at(5000), RULE), "it begins anew");
        regulars.note(key(3), address(3), at(5001), RULE);
        assert_eq!(regulars.served.len(), 2);
        assert_consistent(&regulars);
    }

    #[test]
    fn made_up_keys_push_out_those_of_the_same_address_alone() {
        let (mut regulars, now) = (Regulars::default(), Instant::now());
        let later = now + RULE.min_session;
        for at in [now, later] {
            (0..100).for_each(|player| regulars.note(key(player), address(player), at, RULE));
        }
        for number in 0..u32::try_from(CLIENTS).unwrap() * 3 {
            regulars.note(key(1_000_000 + number), address(1_000_000), later, RULE);
        }
        assert!((0..100).all(|player| regulars.has(key(player), later, RULE)));
        assert_eq!(regulars.served.len(), 100 + KEYS_PER_ADDRESS);
        assert_consistent(&regulars);
    }

    #[test]
    fn a_player_behind_the_same_address_is_kept_while_he_plays() {
        let (mut regulars, now) = (Regulars::default(), Instant::now());
        let later = now + RULE.min_session;
        regulars.note(key(1), address(1), now, RULE);
        for number in 0..100_000 {
            regulars.note(key(1_000_000 + number), address(1), later, RULE);
            if number % 500 == 0 {
                regulars.note(key(1), address(1), later + Duration::from_nanos(number.into()), RULE);
            }
        }
        assert!(regulars.has(key(1), later, RULE));
        assert_consistent(&regulars);
    }

    #[test]
    fn a_full_table_makes_room_where_most_keys_are() {
        let (mut regulars, now) = (Regulars::default(), Instant::now());
        let later = now + RULE.min_session;
        for at in [now, later] {
            (0..1000).for_each(|player| regulars.note(key(player), address(player), at, RULE));
        }
        // A hundred addresses with as many keys as they may have fill it twice over.
        for number in 0..200_000 {
            regulars.note(key(1_000_000 + number), address(1_000_000 + number % 100), later, RULE);
        }
        assert_eq!(regulars.served.len(), CLIENTS);
        (1000..2000).for_each(|player| regulars.note(key(player), address(player), later, RULE));
        let kept = (0..1000).filter(|&player| regulars.has(key(player), later, RULE)).count();
        assert_eq!(kept, 1000, "players that are still known");
        assert_consistent(&regulars);
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded() {
        let (mut regulars, now) = (Regulars::default(), Instant::now());
        for number in 0..u32::try_from(CLIENTS).unwrap() + 20_000 {
            regulars.note(key(number), address(number), now, RULE);
        }
        assert_eq!(regulars.served.len(), CLIENTS);
        assert_consistent(&regulars);
        regulars.note(key(1_000_000), address(7), now + RULE.window, RULE);
        assert_eq!(regulars.served.len(), 1);
        assert_consistent(&regulars);
    }

    #[test]
    fn what_was_known_goes_on() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut regulars = Regulars::default();
        for (number, second) in [(1, 0), (2, 10), (1, 20)] {
            regulars.note(key(number), address(1), at(second), RULE);
        }
        let mut all = regulars.all();
        all.sort_unstable_by_key(|&(_, _, last)| last);
        assert_eq!(all, [(key(2), at(10), at(10)), (key(1), at(0), at(20))]);
        let mut other = Regulars::default();
        all.into_iter().for_each(|(client, first, last)| other.resume(client, first, last, RULE));
        assert!(other.has(key(1), at(139), RULE) && !other.has(key(1), at(140), RULE));
        assert!(!other.has(key(2), at(20), RULE), "it was not served for long");
        assert_consistent(&other);
    }
}
