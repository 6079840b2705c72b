//! From text to tables. The parser goes on after an error, so several are found at once.
//!
//! It also bounds how deep values may nest, so that no file can exhaust the stack.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use crate::config::problem::{Place, Problem};

/// What could not be read.
#[derive(Debug, Default)]
pub(in crate::config) struct Damage {
    pub(in crate::config) problems: Vec<Problem>,
    /// The lines of the problems, in order. What the parser guessed from them is not to be judged.
    lines: Vec<Range<usize>>,
}

/// The tables that could be read, and the rest.
pub(in crate::config) fn parse(text: &str) -> (Spanned<DeTable<'_>>, Damage) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let newlines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    // One problem a line: the others there mostly follow from the first.
    let mut by_line = BTreeMap::new();
    for error in errors {
        let span = error.span().unwrap_or_default();
        let line = newlines.partition_point(|&newline| newline < span.start);
        by_line
            .entry(line)
            .or_insert_with(|| Problem::error(&Place { path: String::new(), span: Some(span) }, error.message()));
    }
    let line_range = |&line: &usize| {
        let start = line.checked_sub(1).map_or(0, |before| newlines[before] + 1);
        start..newlines.get(line).copied().unwrap_or(text.len()) + 1
    };
    let lines = by_line.keys().map(line_range).collect();
    (table, Damage { problems: by_line.into_values().collect(), lines })
}

impl Damage {
    /// Whether anything could not be read.
    pub(in crate::config) fn any(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether the byte `at` is on a line that could not be read.
    pub(in crate::config) fn covers(&self, at: usize) -> bool {
        let index = self.lines.partition_point(|line| line.end <= at);
        self.lines.get(index).is_some_and(|line| line.contains(&at))
    }
}
