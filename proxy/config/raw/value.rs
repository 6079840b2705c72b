//! One value of the file, read as what it should be. Each reader reports what it cannot read, and returns `None`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::{Report, known};
use crate::config::problem::{Place, Problem, quoted};
use crate::config::scalar::duration::{self, DurationError};
use crate::config::scalar::{Explain, Share};

/// What a key or an entry of a list holds, and where.
#[derive(Debug)]
pub(in crate::config) struct Value<'a> {
    pub(in crate::config) place: Place,
    report: &'a Report,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn new(report: &'a Report, place: Place, value: &'a DeValue<'a>) -> Self {
        Self { place, report, value }
    }

    /// A text that `parse` understands.
    pub(in crate::config) fn parse<T, E: Explain>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text()?;
        parse(text).map_err(|error| self.refuse(format!("{}: {error}", quoted(text)), error.hint())).ok()
    }

    /// One of the words `known`; the words `later` will be known one day.
    pub(in crate::config) fn word<T: Copy>(&self, known: &[(&str, T)], later: &[&str]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, found)) = known.iter().find(|(word, _)| *word == text) {
            return Some(*found);
        }
        let words = || known.iter().map(|(word, _)| *word);
        let all = words().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        if later.contains(&text) {
            self.refuse(format!("{text:?} is not part of this version"), format!("this version has {all}"));
        } else if let Some(near) = known::nearest(text, words()) {
            self.refuse(format!("unknown value {}, did you mean {near:?}?", quoted(text)), format!("one of {all}"));
        } else {
            self.refuse(format!("unknown value {}", quoted(text)), format!("one of {all}"));
        }
        None
    }

    /// `true` or `false`.
    pub(in crate::config) fn flag(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.expected("true or false", None),
        }
    }

    /// A whole number within bounds.
    pub(in crate::config) fn whole(&self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let (least, most) = (bounds.start(), bounds.end());
        let DeValue::Integer(integer) = self.value else {
            return self.expected("a whole number", Some(format!("from {least} to {most}, without quotes")));
        };
        // A number beyond 128 bits is out of bounds like any other.
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let found = number.and_then(|number| u32::try_from(number).ok()).filter(|number| bounds.contains(number));
        if found.is_none() {
            let message = format!("the number must be from {least} to {most}");
            self.report.add(Problem::error(&self.place, message));
        }
        found
    }

    /// A share of a whole, such as `"50%"`.
    pub(in crate::config) fn share(&self) -> Option<Share> {
        if !self.is_text() {
            return self.expected("a percentage", Some(r#"for example "50%""#.to_owned()));
        }
        self.parse(str::parse::<Share>)
    }

    /// A number of percent, without a sign.
    pub(in crate::config) fn percent(&self) -> Option<Share> {
        let number = match self.value {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|n| n as f64),
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            _ => return self.expected("a number", Some("percent, from 0 to 100, without quotes".to_owned())),
        };
        let share = number.and_then(|number| Share::from_percent(number).ok());
        if share.is_none() {
            self.report.add(Problem::error(&self.place, "the number must be from 0 to 100"));
        }
        share
    }

    /// A duration longer than zero.
    pub(in crate::config) fn duration(&self) -> Option<Duration> {
        self.duration_or_zero().filter(|duration| {
            if duration.is_zero() {
                self.report.add(Problem::error(&self.place, "the duration must be longer than 0"));
            }
            !duration.is_zero()
        })
    }

    /// A duration, `"0s"` included.
    pub(in crate::config) fn duration_or_zero(&self) -> Option<Duration> {
        if !matches!(self.value, DeValue::String(_)) {
            return self.expected("a duration", Some(DurationError::NoUnit.hint()));
        }
        if self.is_off() {
            self.refuse(r#"this cannot be "off""#.into(), DurationError::Malformed.hint());
            return None;
        }
        self.parse(duration::parse)
    }

    /// A duration longer than zero, or `"off"`.
    pub(in crate::config) fn duration_or_off(&self) -> Option<Option<Duration>> {
        if self.is_off() {
            return Some(None);
        }
        let duration = self.duration_or_zero()?;
        if duration.is_zero() {
            self.refuse("the duration must be longer than 0".into(), r#"write "off" for no limit"#.into());
            return None;
        }
        Some(Some(duration))
    }

    /// The entries of a list.
    pub(in crate::config) fn list(&self, example: &str) -> Option<Vec<Self>> {
        let DeValue::Array(array) = self.value else {
            return self.expected("a list", Some(format!("for example {example}")));
        };
        let entry = |(index, entry): (usize, &'a toml::Spanned<DeValue<'a>>)| {
            let place = Place { path: format!("{}[{index}]", self.place.path), span: Some(entry.span()) };
            Self::new(self.report, place, entry.get_ref())
        };
        Some(array.iter().enumerate().map(entry).collect())
    }

    /// The entries of a list, each read by `read`: all of them, so that all of their problems are told.
    pub(in crate::config) fn each<T>(&self, example: &str, read: impl FnMut(&Self) -> Option<T>) -> Option<Vec<T>> {
        let found: Vec<Option<T>> = self.list(example)?.iter().map(read).collect();
        found.into_iter().collect()
    }

    /// The keys and values of a section that is written as `example`.
    pub(super) fn table(&self, example: &str) -> Option<&'a DeTable<'a>> {
        match self.value {
            DeValue::Table(table) => Some(table),
            _ => self.expected("a section", Some(format!("it is written as {example}"))),
        }
    }

    pub(in crate::config) fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    pub(in crate::config) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    pub(in crate::config) fn is_off(&self) -> bool {
        matches!(self.value, DeValue::String(text) if text == "off")
    }

    pub(in crate::config) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// Reports what only the reader of this value can see.
    pub(in crate::config) fn report(&self, problem: Problem) {
        self.report.add(problem);
    }

    /// Any text.
    pub(in crate::config) fn any_text(&self) -> Option<&'a str> {
        self.text()
    }

    /// The path of a file.
    pub(in crate::config) fn file(&self) -> Option<PathBuf> {
        let text = self.any_text()?;
        if text.is_empty() {
            self.report(Problem::error(&self.place, "the path of a file is empty"));
            return None;
        }
        Some(text.into())
    }

    fn text(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.expected("a text in quotes", None),
        }
    }

    pub(in crate::config) fn refuse(&self, message: String, hint: String) {
        self.report.add(Problem::error(&self.place, message).hint(hint));
    }

    fn expected<T>(&self, what: &str, hint: Option<String>) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(true) => "true",
            DeValue::Boolean(false) => "false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        let problem = Problem::error(&self.place, format!("expected {what}, found {found}"));
        self.report.add(Problem { hint, ..problem });
        None
    }
}
