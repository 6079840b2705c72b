//! The last ten minutes, second by second. A pure record: who keeps it has the clock.

use std::collections::{BTreeMap, VecDeque};

use crate::config::scalar::Name;

/// Points that are kept, one a second.
const KEPT: usize = 600;

/// What became of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// Seconds since 1970.
    pub(super) at: u64,
    /// Sessions that lived at its end.
    pub(super) sessions: usize,
    /// Sessions that began.
    pub(super) new: u64,
    /// Clients that were not let in.
    pub(super) refused: u64,
}

/// What a listener has counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Who came, those included who were not let in.
    pub(super) came: u64,
    /// Those.
    pub(super) refused: u64,
}

/// The points so far.
#[derive(Debug, Default)]
pub(super) struct History {
    points: VecDeque<Point>,
    /// By listener: one that goes takes its counts along.
    last: BTreeMap<Name, Totals>,
}

impl History {
    /// Adds a second.
    pub(super) fn note(&mut self, at: u64, sessions: usize, totals: BTreeMap<Name, Totals>) {
        let (mut came, mut refused) = (0, 0);
        for (name, now) in &totals {
            // One with fewer is another one of the same name.
            let before = self.last.get(name).filter(|before| before.came <= now.came).copied().unwrap_or_default();
            came += now.came - before.came;
            refused += now.refused.saturating_sub(before.refused);
        }
        self.last = totals;
        if self.points.len() == KEPT {
            self.points.pop_front();
        }
        self.points.push_back(Point { at, sessions, new: came.saturating_sub(refused), refused });
    }

    /// The oldest first.
    pub(super) fn points(&self) -> impl ExactSizeIterator<Item = Point> {
        self.points.iter().copied()
    }

    /// The newest.
    pub(super) fn newest(&self) -> Option<Point> {
        self.points.back().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(counts: &[(&str, u64, u64)]) -> BTreeMap<Name, Totals> {
        let one = |&(name, came, refused): &(&str, u64, u64)| (name.parse().unwrap(), Totals { came, refused });
        counts.iter().map(one).collect()
    }

    #[test]
    fn a_second_is_what_came_since_the_last() {
        let mut history = History::default();
        history.note(100, 3, totals(&[("game", 10, 7)]));
        history.note(101, 4, totals(&[("game", 13, 9)]));
        assert_eq!(history.newest(), Some(Point { at: 101, sessions: 4, new: 1, refused: 2 }));
        // One listener goes, and one comes.
        history.note(102, 4, totals(&[("web", 2, 0)]));
        assert_eq!(history.newest(), Some(Point { at: 102, sessions: 4, new: 2, refused: 0 }));
        // One of the same name came after it, and counts from 0.
        history.note(103, 1, totals(&[("web", 1, 1)]));
        assert_eq!(history.newest(), Some(Point { at: 103, sessions: 1, new: 0, refused: 1 }));
    }

    #[test]
    fn ten_minutes_are_kept() {
        let mut history = History::default();
        for at in 1..=700 {
            history.note(at, 0, BTreeMap::new());
        }
        let points: Vec<_> = history.points().map(|point| point.at).collect();
        assert_eq!((points.len(), points[0], points[599]), (600, 101, 700));
    }
}
