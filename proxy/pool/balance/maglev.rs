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
    places: usize,
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
        Self { slots: slots.into(), places: candidates.len() }
    }

    /// The candidate of the client's slot, or of the first slot after it that has an eligible one; `None` if there is none.
    pub(super) fn pick(&self, field: &impl Field, client: ClientKey) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let own = below(self.slots.len(), client.hash(SALT));
        let mut asked = Asked::none();
        let mut warming = None;
        for slot in (own..self.slots.len()).chain(0..own) {
            let place = self.slots[slot] as usize;
            if !asked.is_first(place) {
                continue;
            }
            if field.is_eligible(place) {
                if takes(field.ramp(place), client) {
                    return Some(place);
                }
                warming.get_or_insert(place);
            }
            if asked.count() == self.places {
                break;
            }
        }
        // All that are left are warming up, and each would rather not: better than nobody.
        warming
    }
}

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

/// Candidates that have been asked: a few nearly always, so that nothing is allocated for them.
enum Asked {
    Few([usize; 8], usize),
    Many(Vec<bool>, usize),
}

impl Asked {
    fn none() -> Self {
        Self::Few([0; 8], 0)
    }

    fn count(&self) -> usize {
        match self {
            Self::Few(_, count) | Self::Many(_, count) => *count,
        }
    }

    /// Whether it had not been asked; it has from now on.
    fn is_first(&mut self, place: usize) -> bool {
        match self {
            Self::Few(places, count) => {
                if places[..*count].contains(&place) {
                    return false;
                }
                if *count < places.len() {
                    places[*count] = place;
                    *count += 1;
                    return true;
                }
                let (mut asked, count) = (Vec::new(), *count);
                places.iter().for_each(|&place| mark(&mut asked, place));
                *self = Self::Many(asked, count);
                self.is_first(place)
            }
            Self::Many(asked, count) => {
                let is_first = !asked.get(place).copied().unwrap_or(false);
                mark(asked, place);
                *count += usize::from(is_first);
                is_first
            }
        }
    }
}

fn mark(asked: &mut Vec<bool>, place: usize) {
    if asked.len() <= place {
        asked.resize(place + 1, false);
    }
    asked[place] = true;
}
