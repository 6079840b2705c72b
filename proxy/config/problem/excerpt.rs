//! The line that a problem is about.

use std::ops::Range;

use super::printable;

/// A text, and where its lines begin.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

/// Where a problem is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// From 1.
    pub(super) line: usize,
    /// Of the marked part, in characters, from 1.
    pub(super) column: usize,
    /// The line itself, unless it is too long to show.
    pub(super) excerpt: Option<Excerpt>,
}

/// A line that can be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// Without its end.
    pub(super) text: String,
    /// The bytes of [`Self::text`] to mark.
    pub(super) marked: Range<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let after_newline = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_newline).collect() }
    }

    /// The line where `span` begins; of a span over several lines, the first.
    pub(super) fn position(&self, span: Range<usize>) -> Position {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end).max(start);
        let line = self.starts.partition_point(|&first| first <= start);
        let first = self.starts[line - 1];
        let next = self.starts.get(line).copied().unwrap_or(self.text.len());
        let text = self.text[first..next].trim_end_matches(['\r', '\n']);
        let before = &text[..text.len().min(start - first)];
        let marked = &text[before.len()..text.len().min(end - first)];
        Position {
            line,
            column: before.chars().count() + 1,
            excerpt: (text.len() <= LINE_MAX).then(|| Excerpt::new(text, before, marked)),
        }
    }
}

impl Excerpt {
    /// The replacement for a character may be of another length, hence the counting anew.
    fn new(text: &str, before: &str, marked: &str) -> Self {
        let start = printable(before).len();
        Self { text: printable(text), marked: start..start + printable(marked).len() }
    }
}

/// In bytes. The renderer cuts a long line around the mark, but looks at all of it first, for each problem.
const LINE_MAX: usize = 4096;
