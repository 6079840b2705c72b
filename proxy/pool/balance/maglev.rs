//! Maglev: the same candidate for the same client, on every proxy, with little disruption when candidates come and go.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::{Candidate, FULL_RAMP, Field};
use crate::net::client::ClientKey;

/// The lookup table of Google's load balancer (Eisenbud et al., *Maglev: A Fast and Reliable Software Network Load
/// Balancer*, NSDI 2016, section 3.4), with weights as Envoy has them: a candidate of half the weight has half the turns.
///
/// Each candidate has its own order of all slots. In turn, each takes the first slot of its order that is free, until none
/// is. So each has its share, and a candidate that goes leaves nearly all other slots where they were.
#[derive(Debug)]
pub(super) struct Maglev {
    /// For each slot, the place of its candidate. Empty when there is no candidate with a weight.
    slots: Box<[u32]>,
    /// The places of those that have slots.
    places: Box<[usize]>,
}

/// The paper's smaller size: a prime, more than a hundred slots for each of up to 650 candidates. 256 KB for a pool.
const SLOTS: usize = 65_537;

/// Tells this use of a client's hash from others.
const SALT: &str = "maglev";
const RAMP_SALT: &str = "maglev ramp";

impl Maglev {
    /// The table for these, in whatever order; those of weight 0 have no slot.
    pub(super) fn new(candidates: &[Candidate<'_>]) -> Self {
        let mut orders: Vec<Order> = candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| candidate.weight > 0)
            .map(|(place, candidate)| Order::new(place, *candidate))
            .collect();
        // Whoever is asked first has a slight advantage: it must not be the file that decides.
        orders.sort_by(|one, other| candidates[one.place].label.cmp(candidates[other.place].label));
        let most = orders.iter().map(|order| order.weight).max().unwrap_or(0);
        let (mut slots, mut filled) = (vec![FREE; if orders.is_empty() { 0 } else { SLOTS }], 0);
        while filled < slots.len() {
            for order in &mut orders {
                // The heaviest has a turn each time, the others in proportion.
                order.turns += u64::from(order.weight);
                if order.turns < u64::from(most) || filled == slots.len() {
                    continue;
                }
                order.turns -= u64::from(most);
                let slot = order.first_free(&slots);
                slots[slot] = u32::try_from(order.place).unwrap_or(FREE);
                filled += 1;
            }
        }
        let mut has_slots = vec![false; candidates.len()];
        slots.iter().for_each(|&place| has_slots[place as usize] = true);
        let places = (0..candidates.len()).filter(|&place| has_slots[place]).collect();
        Self { slots: slots.into(), places }
    }

    /// The candidate of the client's slot, or of the first slot after it that has an eligible one; `None` if there is none.
    ///
    /// Each candidate is asked at most once whether it is eligible.
    pub(super) fn pick(&self, field: &impl Field, client: ClientKey) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let own = below(self.slots.len(), client.hash(SALT));
        self.pick_along(field, client, (own..self.slots.len()).chain(0..own))
    }

    /// The same, along these slots.
    fn pick_along(&self, field: &impl Field, client: ClientKey, slots: impl Iterator<Item = usize>) -> Option<usize> {
        let mut walk = slots.map(|slot| self.slots[slot] as usize);
        let (mut asked, mut warming) = (Asked::default(), None);
        for place in walk.by_ref().take(STEPS) {
            if !asked.is_first(place) {
                continue;
            }
            if field.is_eligible(place) {
                if takes(field.ramp(place), client) {
                    return Some(place);
                }
                warming.get_or_insert(place);
            }
            if asked.count == self.places.len() {
                return warming;
            }
            if asked.is_full() {
                break;
            }
        }
        self.pick_further(field, client, (&asked, warming), walk)
    }

    /// Where those met first were not eligible, or are only warming up: asks all others, so that the walk goes no further than
    /// there is one to be found.
    fn pick_further(
        &self,
        field: &impl Field,
        client: ClientKey,
        (asked, mut warming): (&Asked, Option<usize>),
        walk: impl Iterator<Item = usize>,
    ) -> Option<usize> {
        let is_left = |&&place: &&usize| !asked.has(place) && field.is_eligible(place);
        let mut left: Vec<usize> = self.places.iter().filter(is_left).copied().collect();
        for place in walk {
            if left.is_empty() {
                break;
            }
            let Ok(at) = left.binary_search(&place) else { continue };
            if takes(field.ramp(place), client) {
                return Some(place);
            }
            left.remove(at);
            warming.get_or_insert(place);
        }
        // All that are left are warming up, and each would rather not: better than nobody.
        warming
    }
}

/// Slots that are looked at one by one before all candidates are asked: nearly always the first has an eligible one.
const STEPS: usize = 64;

/// Whether a candidate that takes only a part of its weight takes this client. One that is taken stays taken as it grows.
fn takes(ramp: u32, client: ClientKey) -> bool {
    ramp >= FULL_RAMP || client.hash(RAMP_SALT) % u64::from(FULL_RAMP) < u64::from(ramp)
}

/// No candidate yet.
const FREE: u32 = u32::MAX;

/// One candidate's order of all slots: from `offset`, `skip` at a time. As the number of slots is prime, it meets them all.
#[derive(Debug)]
struct Order {
    place: usize,
    weight: u16,
    turns: u64,
    next: usize,
    skip: usize,
}

impl Order {
    fn new(place: usize, candidate: Candidate<'_>) -> Self {
        let offset = below(SLOTS, hash(candidate.label, 0));
        let skip = below(SLOTS - 1, hash(candidate.label, 1)) + 1;
        Self { place, weight: candidate.weight, turns: 0, next: offset, skip }
    }

    fn first_free(&mut self, slots: &[u32]) -> usize {
        loop {
            let slot = self.next;
            self.next = (self.next + self.skip) % SLOTS;
            if slots[slot] == FREE {
                return slot;
            }
        }
    }
}

/// A hash as one of so many numbers from 0.
fn below(most: usize, hash: u64) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "less than a usize")]
    let remainder = (hash % most as u64) as usize;
    remainder
}

/// The same on every machine and in every version.
fn hash(label: &str, which: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(which, 0);
    hasher.write(label.as_bytes());
    hasher.finish()
}

/// The first few candidates that were asked, so that nothing is allocated for them.
#[derive(Default)]
struct Asked {
    places: [usize; 8],
    count: usize,
}

impl Asked {
    fn has(&self, place: usize) -> bool {
        self.places[..self.count].contains(&place)
    }

    /// Whether it had not been asked; it has from now on. To be called while there is room.
    fn is_first(&mut self, place: usize) -> bool {
        if self.has(place) || self.is_full() {
            return false;
        }
        self.places[self.count] = place;
        self.count += 1;
        true
    }

    fn is_full(&self) -> bool {
        self.count == self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Whom this says may be chosen, each without sessions.
    struct Only<E: Fn(usize) -> bool>(E);

    impl<E: Fn(usize) -> bool> Field for Only<E> {
        fn sessions(&self, _: usize) -> u32 {
            0
        }

        fn players(&self, _: usize) -> Option<u32> {
            None
        }

        fn ramp(&self, _: usize) -> u32 {
            FULL_RAMP
        }

        fn is_eligible(&self, place: usize) -> bool {
            (self.0)(place)
        }
    }

    /// Slots that are looked at for a client, and the choice.
    fn steps(weights: &[u16], eligible: impl Fn(usize) -> bool) -> (usize, Option<usize>) {
        let labels: Vec<_> = (0..weights.len()).map(|place| format!("a{place}")).collect();
        let candidates: Vec<_> =
            weights.iter().zip(&labels).map(|(&weight, label)| Candidate { weight, label }).collect();
        let (maglev, steps) = (Maglev::new(&candidates), Cell::new(0));
        let slots = (0..SLOTS).inspect(|_| steps.set(steps.get() + 1));
        let client = ClientKey::of([192, 0, 2, 1].into());
        let picked = maglev.pick_along(&Only(eligible), client, slots);
        (steps.get(), picked)
    }

    #[test]
    fn where_nobody_can_be_chosen_the_walk_ends_soon() {
        for weights in [&[1, 1, 0][..], &[1; 9], &[1, 0], &[60_000, 1], &[1; 100]] {
            let (steps, picked) = steps(weights, |_| false);
            assert!(picked.is_none() && steps <= STEPS + 1, "{steps} for {weights:?}");
        }
    }

    #[test]
    fn a_walk_finds_the_only_one_that_can_be_chosen() {
        for (weights, place) in [(&[1, 1, 0, 1][..], 3), (&[60_000, 1], 1), (&[1; 100], 99)] {
            assert_eq!(steps(weights, |asked| asked == place).1, Some(place), "{weights:?}");
            assert_eq!(steps(weights, |asked| asked == 2 && weights[2] == 0).1, None, "without a weight");
        }
    }
}
