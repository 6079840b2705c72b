//! Round robin, weighted: a pure queue of turns in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::{FULL_RAMP, Field};

/// Chooses in turn, as often as weights say and as evenly spread as they allow: 5, 1, 1 gives `aabaaca`.
///
/// Stride scheduling (Waldspurger and Weihl, MIT, 1995), which Envoy knows as its earliest-deadline-first scheduler:
/// each candidate's turns lie on a line of virtual time, `1 / weight` apart, and the earliest is next. First turns are
/// staggered by position in the file, so that equals keep the file's order and light candidates don't come in a bunch.
///
/// A turn that finds its candidate ineligible is forfeit. So its share falls to the others as their weights say, and
/// nothing is made up for when it returns. One that warms up forfeits turns in proportion. A pick is O(log n), and O(log n) more for each turn forfeited on the way, at
/// most one for each candidate.
#[derive(Debug)]
pub(super) struct RoundRobin {
    /// The next turn of each candidate, earliest first.
    turns: BinaryHeap<Reverse<Turn>>,
}

impl RoundRobin {
    /// One candidate for each weight; those of weight 0 are never chosen.
    pub(super) fn new(weights: &[u16]) -> Self {
        let weighted = weights.iter().enumerate().filter(|&(_, &weight)| weight > 0);
        let turns = weighted.map(|(index, &weight)| Reverse(Turn::first(index, weight, weights.len())));
        Self { turns: turns.collect() }
    }

    /// The eligible candidate whose turn is next; `None`, and no turn is lost, if none is eligible.
    ///
    /// Each candidate is asked at most twice whether it is eligible.
    pub(super) fn pick(&mut self, field: &impl Field) -> Option<usize> {
        // Else a pool that is down would, for every client it turns away, take the whole heap apart: 30 µs for 1,000.
        if !self.turns.iter().any(|turn| field.is_eligible(turn.0.index)) {
            return None;
        }
        // Candidates that warm up forfeit most turns: if there are only such, one of them has to take one all the same.
        self.next(|turn| field.is_eligible(turn.index) && turn.is_taken(field.ramp(turn.index)))
            .or_else(|| self.next(|turn| field.is_eligible(turn.index)))
    }

    fn next(&mut self, mut takes: impl FnMut(&mut Turn) -> bool) -> Option<usize> {
        let mut passed = Vec::new();
        let picked = loop {
            let Some(mut earliest) = self.turns.peek_mut() else {
                break None; // they became ineligible meanwhile
            };
            if takes(&mut earliest.0) {
                let turn = earliest.0;
                earliest.0 = turn.next_after(turn.due);
                break Some(turn);
            }
            passed.push(PeekMut::pop(earliest));
        };
        if let Some(picked) = picked {
            for Reverse(turn) in &mut passed {
                *turn = turn.next_after(picked.due);
            }
        }
        self.turns.extend(passed);
        picked.map(|turn| turn.index)
    }
}

/// When a candidate is next to be chosen. Ordered by time, then by position in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// In virtual time. 128 bits hold 2^80 laps.
    due: u128,
    index: usize,
    /// The distance to the turn after.
    stride: u64,
    /// What a candidate that warms up has saved of its forfeited turns, in parts of one.
    credit: u32,
}

impl Turn {
    /// The virtual time in which each candidate has as many turns as its weight. Strides are rounded to whole units, so
    /// even the heaviest weight's is exact to one part in 2^32.
    const LAP: u64 = 1 << 48;

    fn first(index: usize, weight: u16, of: usize) -> Self {
        let stride = Self::LAP / u64::from(weight);
        Self { due: u128::from(stride) * index as u128 / of as u128, index, stride, credit: 0 }
    }

    /// Whether the candidate takes this turn, where it takes only a part of them: evenly spread.
    fn is_taken(&mut self, ramp: u32) -> bool {
        if ramp >= FULL_RAMP {
            return true;
        }
        self.credit += ramp;
        let is_taken = self.credit >= FULL_RAMP;
        if is_taken {
            self.credit -= FULL_RAMP;
        }
        is_taken
    }

    /// This candidate's first turn after `time`, which is not before this one.
    fn next_after(self, time: u128) -> Self {
        let stride = u128::from(self.stride);
        let strides = (time - self.due) / stride + 1;
        Self { due: self.due + strides * stride, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_on_past_what_64_bits_hold() {
        let mut balancer = RoundRobin::new(&[1, 1, 3]);
        let mut pattern = || [(); 10].map(|()| balancer.next(|_| true));
        let early = pattern();
        let ages = u128::from(Turn::LAP) << 64;
        let late = balancer.turns.drain().map(|Reverse(turn)| {
            let due = turn.due + ages;
            Reverse(Turn { due, ..turn })
        });
        balancer.turns = late.collect();
        assert_eq!([(); 10].map(|()| balancer.next(|_| true)), early);
    }
}
