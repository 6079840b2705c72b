//! A line of the log, before it has a form.

use std::fmt::{self, Debug};
use std::hash::{DefaultHasher, Hash as _, Hasher};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

/// The target of the lines that finished sessions and requests leave.
pub(super) const ACCESS: &str = "access";

/// The field that holds the words of a line.
pub(super) const MESSAGE: &str = "message";

/// The field that says how many lines like this one were left out.
const LEFT_OUT: &str = "left_out";

/// Fields that make a line another one, beside where it stands in the program and its words: what it is about, and what was set by
/// hand. Whose session it was, how long something took and what exactly the operating system said do not.
const TELL_APART: [&str; 13] = [
    "listener",
    "pool",
    "backend",
    "reason",
    "service_level",
    "name",
    "address",
    "folder",
    "dry_run",
    "network",
    "weight",
    "worker",
    "location",
];

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    /// Something that can be written as text.
    Shown(&'a dyn Debug),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
}

/// A line: an event, or what was kept of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) metadata: &'static Metadata<'static>,
    words: Words<'a>,
    /// Lines like this one that were left out before it.
    left_out: u64,
}

#[derive(Debug, Clone, Copy)]
enum Words<'a> {
    Event(&'a Event<'a>),
    Note(&'a Note),
}

/// What a line says, and what is kept of it if it is left out: its words, and what tells it apart.
#[derive(Debug)]
pub(super) struct Note {
    metadata: &'static Metadata<'static>,
    fields: Vec<(&'static str, Kept)>,
}

#[derive(Debug, Hash)]
enum Kept {
    Text(String),
    Unsigned(u64),
    Signed(i64),
    Bool(bool),
}

impl<'a> Line<'a> {
    pub(super) fn of(event: &'a Event<'a>, left_out: u64) -> Self {
        Self { metadata: event.metadata(), words: Words::Event(event), left_out }
    }

    pub(super) fn of_note(note: &'a Note, left_out: u64) -> Self {
        Self { metadata: note.metadata, words: Words::Note(note), left_out }
    }

    /// Shows each field, the words first.
    pub(super) fn each(&self, mut show: impl FnMut(&'static str, Value<'_>)) {
        match self.words {
            Words::Event(event) => event.record(&mut Fields(&mut show)),
            Words::Note(note) => note.fields.iter().for_each(|(name, kept)| show(name, kept.value())),
        }
        if self.left_out > 0 {
            show(LEFT_OUT, Value::Unsigned(self.left_out));
        }
    }
}

impl Note {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut fields = Vec::new();
        each_that_tells_apart(event, |name, value| fields.push((name, Kept::of(value))));
        Self { metadata: event.metadata(), fields }
    }

    /// The same for lines that say the same.
    pub(super) fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.metadata.callsite().hash(&mut hasher);
        self.fields.hash(&mut hasher);
        hasher.finish()
    }
}

impl Kept {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Unsigned(number) => Self::Unsigned(number),
            Value::Signed(number) => Self::Signed(number),
            Value::Bool(is) => Self::Bool(is),
            Value::Text(_) | Value::Shown(_) | Value::Float(_) => Self::Text(value.to_string()),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Unsigned(number) => Value::Unsigned(*number),
            Self::Signed(number) => Value::Signed(*number),
            Self::Bool(is) => Value::Bool(*is),
        }
    }
}

fn each_that_tells_apart(event: &Event<'_>, mut show: impl FnMut(&'static str, Value<'_>)) {
    event.record(&mut Fields(&mut |name, value: Value<'_>| {
        if name == MESSAGE || TELL_APART.contains(&name) {
            show(name, value);
        }
    }));
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Shown(shown) => write!(f, "{shown:?}"),
            Self::Unsigned(number) => write!(f, "{number}"),
            Self::Signed(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Bool(is) => write!(f, "{is}"),
        }
    }
}

/// Shows each field of an event under its name.
struct Fields<'a, F>(&'a mut F);

impl<F: FnMut(&'static str, Value<'_>)> Visit for Fields<'_, F> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        (self.0)(name(field), Value::Shown(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        (self.0)(name(field), Value::Text(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        (self.0)(name(field), Value::Unsigned(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        (self.0)(name(field), Value::Signed(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        (self.0)(name(field), Value::Float(rounded(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        (self.0)(name(field), Value::Bool(value));
    }
}

/// To six places: what lies behind them is what binary fractions add.
fn rounded(number: f64) -> f64 {
    let rounded = (number * 1e6).round() / 1e6;
    if rounded.is_finite() { rounded } else { number }
}

fn name(field: &Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}
