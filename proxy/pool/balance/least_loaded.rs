//! The least loaded, weighted: pure arithmetic, safe to share between threads without a lock.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Field;

/// Chooses whoever would have the fewest sessions (or players) relative to its weight with one more.
///
/// That is D'Hondt's rule for seats in a parliament: sessions that stay converge to the weights. A scan of all, since
/// counts change under it all the time and an ordered structure would need a lock: 1.5 µs for 1,000 candidates.
#[derive(Debug)]
pub(super) struct LeastLoaded {
    weights: Box<[u16]>,
    /// Where the next scan begins: after the last one chosen, so that equals take turns, however many they are.
    /// Relaxed, and racing threads may overwrite each other: it decides nothing but ties.
    start: AtomicUsize,
}

impl LeastLoaded {
    /// One candidate for each weight; those of weight 0 are never chosen.
    pub(super) fn new(weights: &[u16]) -> Self {
        Self { weights: weights.into(), start: AtomicUsize::new(0) }
    }

    /// The least loaded of the eligible candidates, by `count`; `None` if none is eligible.
    ///
    /// Only a candidate that is less loaded than all before it is asked whether it is eligible.
    pub(super) fn pick(&self, field: &impl Field, count: impl Fn(usize) -> u32) -> Option<usize> {
        let start = self.start.load(Ordering::Relaxed);
        let mut least: Option<(Load, usize)> = None;
        for place in (start..self.weights.len()).chain(0..start) {
            let load = Load::with_one_more(count(place), self.weights[place], field.ramp(place));
            let less = least.is_none_or(|(least, _)| load.is_less_than(least));
            if self.weights[place] > 0 && less && field.is_eligible(place) {
                least = Some((load, place));
            }
        }
        let (_, place) = least?;
        self.start.store(place + 1, Ordering::Relaxed);
        Some(place)
    }
}

/// Sessions relative to weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    sessions: u64,
    /// In parts of a weight: 26 bits.
    weight: u64,
}

impl Load {
    /// Of a candidate with so many sessions, when it gets another one.
    pub(super) fn with_one_more(sessions: u32, weight: u16, ramp: u32) -> Self {
        Self { sessions: u64::from(sessions) + 1, weight: u64::from(weight) * u64::from(ramp) }
    }

    /// Compares `sessions / weight` by cross multiplication: exact, and far from overflow (33 bits by 26).
    pub(super) fn is_less_than(self, other: Self) -> bool {
        self.sessions * other.weight < other.sessions * self.weight
    }
}
