//! Which lines of the log are left out because the same has just been said. Pure, and bounded.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// No line repeats sooner: a flood of sessions must not become one of the log.
const EVERY: Duration = Duration::from_secs(1);

/// When it is told by itself how many were left out: the next line like them would have said so, and has not come.
const OVERDUE: Duration = Duration::from_secs(2);

/// Lines known at once: several for each backend of a large house. Further ones count as one and the same.
const LINES: usize = 10_000;

/// Stands for all lines that find no room.
const FURTHER: u64 = u64::MAX;

/// The lines of the last second, each known by its key. `N` is what is kept of one that was left out, to tell of it later.
#[derive(Debug)]
pub(super) struct Repeats<N> {
    turns: HashMap<u64, Turn<N>>,
    /// When those that are over were last forgotten.
    swept: Option<Instant>,
}

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is told, and so many like it were not since the last one was.
    Told { left_out: u64 },
    /// It is not.
    LeftOut,
}

#[derive(Debug)]
struct Turn<N> {
    /// When it was last told.
    at: Instant,
    /// So many not since then, and one of them.
    left_out: u64,
    note: Option<N>,
}

impl<N> Default for Repeats<N> {
    fn default() -> Self {
        Self { turns: HashMap::new(), swept: None }
    }
}

impl<N> Repeats<N> {
    /// Whether a line is told. `note` is asked for at most once between two that are.
    pub(super) fn decide(&mut self, key: u64, now: Instant, note: impl FnOnce() -> N) -> Verdict {
        let is_known = self.turns.contains_key(&key) || self.has_room(now);
        let Some(turn) = self.turns.get_mut(if is_known { &key } else { &FURTHER }) else {
            let turn = Turn { at: now, left_out: 0, note: None };
            self.turns.insert(if is_known { key } else { FURTHER }, turn);
            return Verdict::Told { left_out: 0 };
        };
        if now.saturating_duration_since(turn.at) < EVERY {
            turn.left_out += 1;
            turn.note.get_or_insert_with(note);
            return Verdict::LeftOut;
        }
        Verdict::Told { left_out: turn.begin(now).1 }
    }

    /// Of each line that was left out and that nothing has followed: what was kept of it, and how many there were. That
    /// counts as telling it.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(N, u64)> {
        self.take(now, OVERDUE)
    }

    /// The same for all, however short ago they were told.
    pub(super) fn rest(&mut self, now: Instant) -> Vec<(N, u64)> {
        self.take(now, Duration::ZERO)
    }

    fn take(&mut self, now: Instant, after: Duration) -> Vec<(N, u64)> {
        let due = self.turns.values_mut().filter(|turn| now.saturating_duration_since(turn.at) >= after);
        due.filter(|turn| turn.note.is_some())
            .filter_map(|turn| {
                let (note, left_out) = turn.begin(now);
                note.map(|note| (note, left_out))
            })
            .collect()
    }

    fn has_room(&mut self, now: Instant) -> bool {
        let is_due = self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= EVERY);
        if self.turns.len() >= LINES && is_due {
            self.turns.retain(|_, turn| turn.left_out > 0 || now.saturating_duration_since(turn.at) < EVERY);
            self.swept = Some(now);
        }
        self.turns.len() < LINES
    }
}

impl<N> Turn<N> {
    /// It is told now; returns what was left out until then.
    fn begin(&mut self, now: Instant) -> (Option<N>, u64) {
        self.at = now;
        (self.note.take(), std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(left_out: u64) -> Verdict {
        Verdict::Told { left_out }
    }

    #[test]
    fn a_line_is_told_once_a_second_with_the_number_of_those_between() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let mut at = |millis, key| repeats.decide(key, start + Duration::from_millis(millis), || ());
        assert_eq!([0, 10, 999].map(|millis| at(millis, 1)), [told(0), Verdict::LeftOut, Verdict::LeftOut]);
        assert_eq!(at(500, 2), told(0), "another line is another matter");
        assert_eq!([1000, 1001, 2000, 4000].map(|millis| at(millis, 1)), [told(2), Verdict::LeftOut, told(1), told(0)]);
    }

    #[test]
    fn what_nothing_follows_is_told_once_by_what_was_kept_of_the_first() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        for (number, millis) in [0, 100, 200].into_iter().enumerate() {
            repeats.decide(1, at(millis), || number);
        }
        repeats.decide(2, at(0), || 9);
        assert_eq!(repeats.overdue(at(1999)), []);
        assert_eq!(repeats.overdue(at(2000)), [(1, 2)]);
        assert_eq!(repeats.overdue(at(60_000)), []);
        assert_eq!(repeats.decide(1, at(2500), || 5), Verdict::LeftOut, "the note was a line like it");
        assert_eq!(repeats.rest(at(2500)), [(5, 1)]);
    }

    #[test]
    fn a_line_that_is_told_takes_its_count_with_it() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        for millis in [0, 100, 1000] {
            repeats.decide(1, start + Duration::from_millis(millis), || ());
        }
        assert_eq!(repeats.rest(start + Duration::from_secs(60)), []);
    }

    #[test]
    fn a_million_lines_take_bounded_memory_and_what_finds_no_room_is_told_once_a_second() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let lines = 1_000_000;
        let passed = (0..lines).filter(|key| repeats.decide(*key, start, || ()) != Verdict::LeftOut).count();
        assert_eq!((passed, repeats.turns.len()), (LINES + 1, LINES + 1));
        let later = start + EVERY;
        assert_eq!(repeats.decide(lines, later, || ()), told(0), "those of before are forgotten");
        assert_eq!(repeats.turns.len(), 2, "but what was left out is still to be told");
        assert_eq!(repeats.rest(later), [((), lines - LINES as u64 - 1)]);
    }
}
