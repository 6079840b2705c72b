//! What is wrong with a config file, and how that is shown: one text for standard error, the log and the admin API.
//!
//! What comes from the file is escaped and shortened on its way in, so that no file can send a terminal commands or fill
//! a log.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use self::excerpt::{Lines, Position};
use super::scalar::is_unprintable;

mod excerpt;

/// All that was found in one text, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    errors: usize,
    /// Counted, but not kept.
    omitted: usize,
}

/// One thing that is wrong, or surprising.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file can be used in spite of it.
    pub severity: Severity,
    /// The key's path, as `pools.game.backends[0].weight`; empty where no key is meant.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The bytes it is about; `None` is the file as a whole.
    pub span: Option<Range<usize>>,
}

/// What a problem is about, by key and by bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) span: Option<Range<usize>>,
}

/// Whether a file can be used in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but perhaps not as it was meant.
    Warning,
}

impl Problems {
    /// Keeps a problem, or only counts it when there are too many to be of use.
    pub(super) fn add(&mut self, problem: Problem) {
        self.errors += usize::from(problem.severity == Severity::Error);
        if self.list.len() < KEPT_MAX {
            self.list.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    /// Brings them into the order of the file. What is about the file as a whole comes last.
    pub(super) fn sort(&mut self) {
        self.list.sort_by_key(|problem| problem.span.as_ref().map_or(usize::MAX, |span| span.start));
    }

    /// Each in turn.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many of them forbid to use the file.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// One text for people: each problem with its place, its line and a caret below. Empty if there are none.
    ///
    /// `text` is what was parsed; where it was not UTF-8, its lossy form.
    pub fn render(&self, file_name: &str, text: &str) -> String {
        let lines = Lines::new(text);
        let shown: Vec<_> = self.list.iter().take(SHOWN_MAX).map(|problem| problem.render(file_name, &lines)).collect();
        let mut output = shown.join("\n\n");
        match self.list.len() + self.omitted - shown.len() {
            0 => {}
            more => {
                let _infallible = write!(output, "\n\nand {more} more");
            }
        }
        output
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        let mut problems = Self::default();
        problems.add(problem);
        problems
    }
}

impl Problem {
    /// A reason not to use the file.
    pub(super) fn error(place: &Place, message: impl Into<String>) -> Self {
        let Place { path, span } = place.clone();
        Self { severity: Severity::Error, path, message: message.into(), hint: None, span }
    }

    /// A reason to look again.
    pub(super) fn warning(place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// With what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn render(&self, file_name: &str, lines: &Lines<'_>) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let separator = if self.path.is_empty() { "" } else { ": " };
        let title = level.primary_title(format!("{}{separator}{}", self.path, self.message));
        let position = self.span.as_ref().map(|span| lines.position(span.clone()));
        let mut group = located(Group::with_title(title), printable(file_name), position);
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint));
        }
        let rendered = Renderer::plain().term_width(TERM_WIDTH).render(&[group]);
        rendered.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// Adds ` --> file:line:column` and the line itself.
fn located(group: Group<'_>, file_name: String, position: Option<Position>) -> Group<'_> {
    match position {
        None => group.element(Origin::path(file_name)),
        Some(Position { line, column, excerpt: None }) => {
            group.element(Origin::path(file_name).line(line).char_column(column))
        }
        Some(Position { line, excerpt: Some(excerpt), .. }) => {
            let mark = AnnotationKind::Primary.span(excerpt.marked);
            group.element(Snippet::source(excerpt.text).path(file_name).line_start(line).annotation(mark))
        }
    }
}

/// Text of the file in double quotes, for a message: escaped, and shortened where it is long.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED_MAX).collect();
    if quoted.len() < text.len() {
        quoted.push_str("...");
    }
    printable(&format!("{quoted:?}"))
}

/// The text with every character replaced that a terminal might obey instead of showing it, one for one.
fn printable(text: &str) -> String {
    text.chars().map(|c| if is_command(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A tab is shown as what it is.
fn is_command(c: char) -> bool {
    c != '\t' && is_unprintable(c)
}

/// More than anyone reads at once; a file of rubbish has as many problems as lines.
const SHOWN_MAX: usize = 100;

/// Enough to sort before cutting to [`SHOWN_MAX`]; each costs memory, and a large file of rubbish has a million.
const KEPT_MAX: usize = 1000;

/// Wide enough for a host name; a longer text is recognised by its beginning.
const QUOTED_MAX: usize = 80;

/// In characters; longer lines are cut around the mark.
const TERM_WIDTH: usize = 120;

#[cfg(test)]
mod tests;
