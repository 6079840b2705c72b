//! What the file says: sections, keys and values, each with its place.
//!
//! Deriving serde's `Deserialize` would be shorter, but it stops at the first problem, and a file is to be mended in one
//! go. So a section is read key by key; whatever is wrong is reported and read as if it were absent, and when a section
//! has been read, the keys that nobody asked for are reported too.

use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem, quoted};

pub(super) use self::report::Report;
pub(super) use self::value::Value;

pub(super) mod known;
mod report;
pub(super) mod syntax;
mod value;

/// One table of the file, or the absence of one.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) report: &'a Report,
    /// Its header.
    pub(super) place: Place,
    table: Option<&'a DeTable<'a>>,
    /// As [`Place::path`], with `*` for names and `[]` for positions.
    pattern: String,
    asked: Vec<&'static str>,
    /// Keys that have another name now, and were read by their old one.
    renamed: Vec<&'static str>,
}

/// What one key says.
#[derive(Debug, Clone)]
pub(super) struct Setting<T> {
    /// The default where the key is absent, or where it is wrong.
    pub(super) value: T,
    /// Of the value; where there is none, of the section.
    pub(super) place: Place,
    pub(super) origin: Origin,
}

/// Where a setting's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The file.
    Written,
    /// The key is absent.
    Default,
    /// What the file says was refused and reported: what follows from the default is not its fault.
    Refused,
}

impl<T> Setting<T> {
    pub(super) fn written(value: T, place: Place) -> Self {
        Self { value, place, origin: Origin::Written }
    }

    /// The same key, with a part of its value.
    pub(super) fn with<U>(self, value: U) -> Setting<U> {
        let Self { place, origin, .. } = self;
        Setting { value, place, origin }
    }

    pub(super) fn is_written(&self) -> bool {
        self.origin == Origin::Written
    }

    pub(super) fn is_refused(&self) -> bool {
        self.origin == Origin::Refused
    }

    /// The place to blame for not fitting to another key: rather what is written than a default.
    pub(super) fn blamed<'a, U>(&'a self, other: &'a Setting<U>) -> &'a Place {
        if self.origin == Origin::Default { &other.place } else { &self.place }
    }
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn root(table: &'a DeTable<'a>, report: &'a Report) -> Self {
        Self {
            report,
            place: Place::default(),
            table: Some(table),
            pattern: String::new(),
            asked: Vec::new(),
            renamed: Vec::new(),
        }
    }

    /// Reports a problem that is seen only here.
    pub(super) fn add(&self, problem: Problem) {
        self.report.add(problem);
    }

    /// What a key says, read by `read`, or else `default`.
    pub(super) fn setting<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Setting<T> {
        let value = self.value(key);
        self.read_setting(value, key, default, read)
    }

    fn read_setting<T>(
        &self,
        value: Option<Value<'a>>,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Setting<T> {
        let Some(value) = value else {
            return Setting { value: default, place: self.absent(key), origin: Origin::Default };
        };
        match read(&value) {
            Some(found) => Setting::written(found, value.place),
            None => Setting { value: default, place: value.place, origin: Origin::Refused },
        }
    }

    /// The same for a key that was called `old` once: what is written there counts, with a warning, where the key itself is absent.
    pub(super) fn renamed<T>(
        &mut self,
        old: &'static str,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Setting<T> {
        let found = self.value(key);
        let written_by_old_name = self.table.and_then(|table| table.get_key_value(old));
        let Some((name, value)) = written_by_old_name else { return self.read_setting(found, key, default, read) };
        self.renamed.push(old);
        let place = Place { path: join(&self.place.path, old), span: Some(name.span()) };
        let message = format!("{old:?} is called {key:?} now");
        if found.is_some() {
            self.report.add(Problem::error(&place, message).hint(format!("leave out {old}")));
            return self.read_setting(found, key, default, read);
        }
        self.report.add(Problem::warning(&place, message).hint("the old name still works"));
        let place = Place { span: Some(value.span()), ..place };
        self.read_setting(Some(Value::new(self.report, place, value.get_ref())), key, default, read)
    }

    /// A key without default; `example` is shown where it is missing.
    pub(super) fn required(&mut self, key: &'static str, example: &str) -> Option<Value<'a>> {
        let value = self.value(key);
        if value.is_none() {
            self.missing(key, example);
        }
        value
    }

    /// Reports that a key is absent, unless the whole section is, or the key has a slip in its name.
    pub(super) fn missing(&self, key: &str, example: &str) {
        if self.is_written() && !self.is_written_otherwise(key) {
            let missing = Problem::error(&self.place, format!("the key {key:?} is missing"));
            self.report.add_unless_damaged(missing.hint(format!("for example {key} = {example}")));
        }
    }

    /// Whether there is nothing below `key`, nor below what may be meant by it.
    pub(super) fn lacks(&self, key: &str) -> bool {
        let nothing = match self.table.and_then(|table| table.get(key)) {
            None => true,
            Some(value) => value.get_ref().as_table().is_some_and(DeTable::is_empty),
        };
        nothing && !self.is_written_otherwise(key)
    }

    /// The section below `key`; where it is absent, one without keys.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = self.value(key);
        let place = value.as_ref().map_or_else(|| self.absent(key), |value| value.place.clone());
        let table = value.and_then(|value| value.table(&format!("[{}]", place.path)));
        self.below(place, table, self.pattern_of(key)).read(read)
    }

    /// The section below `key`, or `None` where it is absent or `"off"`.
    pub(super) fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let value = self.value(key);
        let place = value.as_ref().map_or_else(|| self.absent(key), |value| value.place.clone());
        let example = format!(r#"[{}], or as "off""#, place.path);
        let table = value.filter(|value| !value.is_off()).and_then(|value| value.table(&example));
        let is_written = table.is_some();
        // Read in any case, so that its keys are known.
        let found = self.below(place, table, self.pattern_of(key)).read(read);
        is_written.then_some(found)
    }

    /// Whether the file has the section.
    pub(super) fn is_written(&self) -> bool {
        self.table.is_some()
    }

    /// The sections `[key.NAME]`, by name.
    pub(super) fn sections<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Self, &str) -> T) -> Vec<T> {
        let Some(table) = self.value(key).and_then(|value| value.table(&format!("[{key}.NAME]"))) else {
            return Vec::new();
        };
        let pattern = format!("{}.*", self.pattern_of(key));
        let mut read_one = |name: &str, value: Value<'a>| {
            let table = value.table(&format!("[{key}.NAME]"))?;
            Some(self.below(value.place, Some(table), pattern.clone()).read(|section| read(section, name)))
        };
        table
            .iter()
            .filter_map(|(name, value)| {
                let place = Place { path: join(key, name.get_ref()), span: Some(name.span()) };
                read_one(name.get_ref(), Value::new(self.report, place, value.get_ref()))
            })
            .collect()
    }

    /// One entry of the list below `key`, written as a table.
    pub(super) fn entry<T>(
        &self,
        key: &'static str,
        value: &Value<'a>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let table = value.table("{ ... }")?;
        let pattern = format!("{}[]", self.pattern_of(key));
        Some(self.below(value.place.clone(), Some(table), pattern).read(read))
    }

    /// Reads all of the section, then reports the keys that were not asked for.
    pub(super) fn read<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let result = read(&mut self);
        self.finish();
        result
    }

    fn value(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        self.report.asked_for(self.pattern_of(key));
        let (name, value) = self.table?.get_key_value(key)?;
        // What is wrong with a section as a whole is shown at its name: the section itself may be long.
        let span = if matches!(value.get_ref(), DeValue::Table(_)) { name.span() } else { value.span() };
        let place = Place { path: join(&self.place.path, key), span: Some(span) };
        Some(Value::new(self.report, place, value.get_ref()))
    }

    fn below(&self, place: Place, table: Option<&'a DeTable<'a>>, pattern: String) -> Self {
        Section { report: self.report, place, table, pattern, asked: Vec::new(), renamed: Vec::new() }
    }

    fn absent(&self, key: &str) -> Place {
        Place { path: join(&self.place.path, key), span: self.place.span.clone() }
    }

    fn pattern_of(&self, key: &str) -> String {
        join(&self.pattern, key)
    }

    fn finish(&self) {
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            let name = key.get_ref().as_ref();
            if !self.asked.contains(&name) && !self.renamed.contains(&name) {
                let place = Place { path: join(&self.place.path, name), span: Some(key.span()) };
                self.report.add(self.unknown(&place, name));
            }
        }
    }

    /// A key that is not known here was meant to be this one, and is reported as such.
    fn is_written_otherwise(&self, key: &str) -> bool {
        self.table.into_iter().flat_map(|table| table.keys()).any(|name| {
            let called = known::other_name(&self.pattern, name.get_ref());
            called == Some(format!("{key:?}").as_str())
                || known::nearest(name.get_ref(), std::iter::once(key)).is_some()
        })
    }

    fn unknown(&self, place: &Place, name: &str) -> Problem {
        let message = format!("unknown key {}", quoted(name));
        if let Some(called) = known::other_name(&self.pattern, name) {
            return Problem::error(place, format!("{message}, it is called {called} here"));
        }
        if let Some(near) = known::nearest(name, self.asked.iter().copied()) {
            return Problem::error(place, format!("{message}, did you mean {near:?}?"));
        }
        let all = if self.place.path.is_empty() { "the sections are" } else { "the keys here are" };
        Problem::error(place, message).hint(format!("{all} {}", self.asked.join(", ")))
    }
}

/// A dotted path, as TOML would write it.
fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.len() < 80 && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let key = if bare { key.into() } else { quoted(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests;
