//! How long the last connects to a backend took.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Connects that are remembered: enough for a median that moves with the backend, and a quarter of a KiB for each.
const REMEMBERED: usize = 64;

/// The last connects, by how long they took. Written by all workers at once, without a lock: what is read meanwhile may be a
/// mixture of old and new ones.
#[derive(Debug)]
pub struct Recent {
    /// How many there were.
    noted: AtomicUsize,
    /// In microseconds.
    took: [AtomicU32; REMEMBERED],
}

/// The middle of some numbers, and what all but one in a hundred do not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// Half of them are not greater.
    pub median: u32,
    /// 99 of 100 are not greater.
    pub p99: u32,
}

impl Recent {
    pub(super) fn note(&self, took: Duration) {
        let place = self.noted.fetch_add(1, Relaxed) % REMEMBERED;
        self.took[place].store(u32::try_from(took.as_micros()).unwrap_or(u32::MAX), Relaxed);
    }

    /// In microseconds; `None` if there was none.
    pub fn digest(&self) -> Option<Digest> {
        let noted = self.noted.load(Relaxed).min(REMEMBERED);
        Digest::of(&mut self.took[..noted].iter().map(|took| took.load(Relaxed)).collect::<Vec<_>>())
    }
}

impl Digest {
    /// Of these numbers, which are sorted by it; `None` if there is none.
    pub fn of(numbers: &mut [u32]) -> Option<Self> {
        numbers.sort_unstable();
        // The smallest number that so many percent do not exceed (nearest rank).
        let at = |percent: usize| numbers.get((numbers.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self { median: at(50)?, p99: at(99)? })
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self { noted: AtomicUsize::new(0), took: [const { AtomicU32::new(0) }; REMEMBERED] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_one_of_the_numbers() {
        let of = |numbers: &[u32]| Digest::of(&mut numbers.to_vec()).map(|digest| (digest.median, digest.p99));
        assert_eq!((of(&[]), of(&[7])), (None, Some((7, 7))));
        assert_eq!((of(&[3, 1]), of(&[3, 1, 2])), (Some((1, 3)), Some((2, 3))));
        assert_eq!(of(&(1..=100).collect::<Vec<_>>()), Some((50, 99)));
        assert_eq!(of(&(1..=200).rev().collect::<Vec<_>>()), Some((100, 198)));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let recent = Recent::default();
        assert_eq!(recent.digest(), None);
        recent.note(Duration::from_secs(9));
        assert_eq!(recent.digest(), Some(Digest { median: 9_000_000, p99: 9_000_000 }));
        for _ in 0..REMEMBERED {
            recent.note(Duration::from_micros(250));
        }
        assert_eq!(recent.digest(), Some(Digest { median: 250, p99: 250 }));
    }
}
