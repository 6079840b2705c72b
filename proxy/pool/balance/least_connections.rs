//! Least connections, weighted: pure arithmetic, safe to share between threads without a lock.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Chooses whoever would have the fewest sessions relative to its weight with one more.
///
/// That is D'Hondt's rule for seats in a parliament: sessions that stay converge to the weights. A scan of all, since
/// counts change under it all the time and an ordered structure would need a lock: 1.5 µs for 1,000 candidates.
#[derive(Debug)]
pub(super) struct LeastConnections {
    weights: Box<[u16]>,
    /// Where the next scan begins: after the last one chosen, so that equals take turns, however many they are.
    /// Relaxed, and racing threads may overwrite each other: it decides nothing but ties.
    start: AtomicUsize,
}

impl LeastConnections {
    /// One candidate for each weight; those of weight 0 are never chosen.
    pub(super) fn new(weights: &[u16]) -> Self {
        Self { weights: weights.into(), start: AtomicUsize::new(0) }
    }

    /// The least loaded of the eligible candidates, given each one's live sessions; `None` if none is eligible.
    ///
    /// `eligible` is asked only of a candidate that is less loaded than all before it, so it may cost more than
    /// `sessions`.
    pub(super) fn pick(
        &self,
        sessions: impl Fn(usize) -> u32,
        mut eligible: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let start = self.start.load(Ordering::Relaxed);
        let mut least: Option<(Load, usize)> = None;
        for index in (start..self.weights.len()).chain(0..start) {
            let load = Load { sessions: u64::from(sessions(index)) + 1, weight: u64::from(self.weights[index]) };
            if load.weight > 0 && least.is_none_or(|(least, _)| load.is_less_than(least)) && eligible(index) {
                least = Some((load, index));
            }
        }
        let (_, index) = least?;
        self.start.store(index + 1, Ordering::Relaxed);
        Some(index)
    }
}

#[derive(Clone, Copy)]
struct Load {
    sessions: u64,
    weight: u64,
}

impl Load {
    /// Compares `sessions / weight` by cross multiplication: exact, and far from overflow (33 bits by 16).
    fn is_less_than(self, other: Self) -> bool {
        self.sessions * other.weight < other.sessions * self.weight
    }
}
