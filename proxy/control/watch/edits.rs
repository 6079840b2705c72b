//! When an edit is over, so that the files can be read. Pure: takes `now` as an argument.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

/// An editor saves in several steps; they are over when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(200);

/// Changes that follow one another without a pause do not put a reload off for longer.
const LONGEST: Duration = Duration::from_millis(600);

/// A writer that has written nothing for so long is taken to be done, though it has not closed the file: one that was
/// stopped, or a program that keeps its files open.
const STALLED: Duration = Duration::from_secs(10);

/// A writer that goes on and on does not put a reload off for longer. The longest list is copied over a slow line by then.
const WRITING_MAX: Duration = Duration::from_secs(120);

/// What has happened to a file that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Something was written, by somebody who has it open.
    Written,
    /// Somebody who had written closed it.
    Closed,
    /// Another file has its place now, or none.
    Replaced,
    /// Anything else that may change what is read.
    Other,
    /// Events were lost: nothing is known of writers any more.
    Unknown,
}

/// The changes of the files since they were read last.
#[derive(Debug, Default)]
pub(super) struct EditTracker {
    /// Files that are being written, with the time of the first and of the last write.
    open: BTreeMap<PathBuf, (Instant, Instant)>,
    /// The first change that nobody is writing at any more, and the last one.
    changed: Option<(Instant, Instant)>,
}

impl EditTracker {
    /// Takes in what has happened to a file.
    pub(super) fn note(&mut self, path: &Path, step: Step, now: Instant) {
        let was_written = self.is_written();
        match step {
            Step::Written => {
                self.open.entry(path.to_owned()).or_insert((now, now)).1 = now;
                return;
            }
            Step::Closed | Step::Replaced => drop(self.open.remove(path)),
            Step::Unknown => self.open.clear(),
            Step::Other => {}
        }
        let first = self.changed.filter(|_| !was_written).map_or(now, |(first, _)| first);
        self.changed = Some((first, now));
    }

    /// When the files are to be read; `None` while nothing has happened.
    pub(super) fn due(&self) -> Option<Instant> {
        let first_write = self.open.values().map(|(first, _)| *first).min();
        let last_write = self.open.values().map(|(_, last)| *last).max();
        if let (Some(first), Some(last)) = (first_write, last_write) {
            return Some((last + STALLED).min(first + WRITING_MAX));
        }
        self.changed.map(|(first, last)| (last + QUIET).min(first + LONGEST))
    }

    /// Whether somebody is writing.
    pub(super) fn is_written(&self) -> bool {
        !self.open.is_empty()
    }

    /// The files are read now; those that were not closed. Their writers are known again with their next write.
    pub(super) fn take(&mut self) -> Vec<PathBuf> {
        self.changed = None;
        std::mem::take(&mut self.open).into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn due_after(tracker: &EditTracker, began: Instant) -> Option<Duration> {
        tracker.due().map(|due| due - began)
    }

    #[test]
    fn a_file_is_read_when_it_is_closed_and_not_before() {
        let (mut tracker, began) = (EditTracker::default(), Instant::now());
        let (config, list) = (Path::new("/a/portti.toml"), Path::new("/a/deny"));
        assert_eq!(tracker.due(), None);
        tracker.note(config, Step::Written, began);
        assert_eq!(due_after(&tracker, began), Some(STALLED));
        tracker.note(config, Step::Written, began + 9 * SECOND);
        assert_eq!(due_after(&tracker, began), Some(19 * SECOND));
        tracker.note(list, Step::Written, began + 9 * SECOND);
        tracker.note(config, Step::Closed, began + 9 * SECOND);
        assert_eq!(due_after(&tracker, began), Some(19 * SECOND), "the list is not whole yet");
        tracker.note(list, Step::Closed, began + 11 * SECOND);
        assert_eq!(due_after(&tracker, began), Some(11 * SECOND + QUIET));
        assert!(tracker.take().is_empty());
        assert_eq!(tracker.due(), None);
    }

    #[test]
    fn a_writer_that_never_closes_blocks_nobody_for_ever() {
        let (mut tracker, began) = (EditTracker::default(), Instant::now());
        let file = Path::new("/a/portti.toml");
        for second in 0..=119 {
            tracker.note(file, Step::Written, began + second * SECOND);
        }
        assert_eq!(due_after(&tracker, began), Some(WRITING_MAX));
        assert_eq!(tracker.take(), [file]);
        tracker.note(file, Step::Other, began + WRITING_MAX);
        assert!(!tracker.is_written());
    }

    #[test]
    fn another_file_in_its_place_is_no_longer_being_written() {
        let (mut tracker, began) = (EditTracker::default(), Instant::now());
        for step in [Step::Replaced, Step::Unknown] {
            tracker.note(Path::new("/a/deny"), Step::Written, began);
            tracker.note(Path::new("/a/deny"), step, began + MS);
            assert!(!tracker.is_written());
            tracker.take();
        }
    }

    #[test]
    fn steps_of_an_editor_are_waited_for_within_bounds() {
        let (mut tracker, began) = (EditTracker::default(), Instant::now());
        for step in 0..6 {
            tracker.note(Path::new("/a/portti.toml"), Step::Replaced, began + 150 * MS * step);
            let quiet = 150 * MS * step + QUIET;
            assert_eq!(due_after(&tracker, began), Some(quiet.min(LONGEST)));
        }
    }
}
