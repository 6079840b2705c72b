//! The form of a line: text for people, JSON for programs.

use std::fmt;
use std::time::SystemTime;

use tracing::{Level, Metadata};

use super::line::{Line, MESSAGE, Value};
use crate::config::scalar::is_unprintable;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One object a line.
    Json,
    /// For people. What they watch on a terminal needs no date.
    Text { on_terminal: bool, colours: bool },
}

/// The fields that records of the `log` crate bring with them: where they come from, in the program and its source.
const LOG_TARGET: &str = "log.target";
const OF_LOG: &str = "log.";

/// What names the time, a field and a foreign module is less important than what it names.
const FAINT: &str = "2";

impl Form {
    /// The whole line, with its end.
    pub(super) fn line(self, line: &Line<'_>, at: SystemTime) -> String {
        match self {
            Self::Json => json(line, at),
            Self::Text { on_terminal, colours } => text(line, at, on_terminal, colours),
        }
    }
}

fn json(line: &Line<'_>, at: SystemTime) -> String {
    let mut out = String::with_capacity(512);
    let mut target = Target::of(line.metadata);
    let (at, level) = (humantime::format_rfc3339_micros(at), line.metadata.level());
    fill(&mut out, format_args!(r#"{{"timestamp":"{at}","level":"{level}""#));
    line.each(|name, value| {
        if target.keeps(name, value) {
            return;
        }
        fill(&mut out, format_args!(r#","{name}":"#));
        match value {
            Value::Float(number) if !number.is_finite() => out.push_str("null"),
            // Keeps the point of whole numbers.
            Value::Float(number) => fill(&mut out, format_args!("{number:?}")),
            Value::Unsigned(_) | Value::Signed(_) | Value::Bool(_) => fill(&mut out, format_args!("{value}")),
            Value::Text(_) | Value::Shown(_) => quoted(&mut out, format_args!("{value}")),
        }
    });
    out.push_str(r#","target":"#);
    quoted(&mut out, format_args!("{}", target.name()));
    out.push_str("}\n");
    out
}

fn text(line: &Line<'_>, at: SystemTime, on_terminal: bool, colours: bool) -> String {
    let (mut words, mut fields) = (String::new(), String::new());
    let mut target = Target::of(line.metadata);
    line.each(|name, value| {
        if name == MESSAGE {
            fill(&mut Plain(&mut words), format_args!("{value}"));
        } else if !target.keeps(name, value) {
            fields.push(' ');
            painted(&mut fields, colours.then_some(FAINT), format_args!("{name}="));
            readable(&mut fields, value);
        }
    });
    let stamp = humantime::format_rfc3339_millis(at).to_string();
    let stamp = if on_terminal { &stamp["YYYY-MM-DDT".len()..stamp.len() - "Z".len()] } else { &stamp };
    let level = line.metadata.level();
    let mut out = String::with_capacity(words.len() + fields.len() + 64);
    painted(&mut out, colours.then_some(FAINT), format_args!("{stamp}"));
    out.push(' ');
    painted(&mut out, colours.then(|| colour(*level)), format_args!("{level:>5}"));
    out.push(' ');
    match target.name() {
        own if is_own(own) && !words.is_empty() => {}
        other => painted(&mut out, colours.then_some(FAINT), format_args!("{other}: ")),
    }
    out.push_str(&words);
    out.push_str(if words.is_empty() { fields.trim_start() } else { &fields });
    out.push('\n');
    out
}

/// Whether lines of this target are the program's own.
pub(super) fn is_own(target: &str) -> bool {
    target.split("::").next() == Some(env!("CARGO_PKG_NAME"))
}

/// The part of the program that a line is of.
struct Target(&'static str, Option<String>);

impl Target {
    fn of(metadata: &Metadata<'static>) -> Self {
        Self(metadata.target(), None)
    }

    /// Takes the fields that are about it.
    fn keeps(&mut self, field: &str, value: Value<'_>) -> bool {
        if field == LOG_TARGET {
            self.1 = Some(value.to_string());
        }
        field.starts_with(OF_LOG)
    }

    fn name(&self) -> &str {
        self.1.as_deref().unwrap_or(self.0)
    }
}

/// As terminals know them: a number for each colour.
fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "1;31",
        Level::WARN => "33",
        Level::INFO => "32",
        Level::DEBUG => "34",
        Level::TRACE => "35",
    }
}

fn painted(out: &mut String, style: Option<&str>, what: fmt::Arguments<'_>) {
    match style {
        Some(style) => fill(out, format_args!("\x1b[{style}m{what}\x1b[0m")),
        None => fill(out, what),
    }
}

/// In quotes where it could not be told from what surrounds it, or would tell the terminal what to do.
fn readable(out: &mut String, value: Value<'_>) {
    let text = value.to_string();
    let is_plain = |c: char| !c.is_whitespace() && !is_unprintable(c) && c != '"';
    if !text.is_empty() && text.chars().all(is_plain) {
        out.push_str(&text);
    } else {
        fill(&mut Plain(out), format_args!("{text:?}"));
    }
}

fn quoted(out: &mut String, what: fmt::Arguments<'_>) {
    out.push('"');
    fill(&mut Escaped(out), what);
    out.push('"');
}

/// Text takes everything.
pub(super) fn fill(out: &mut impl fmt::Write, what: fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(what);
}

/// Words of a line as they are, but for what would tell a terminal what to do.
pub(super) struct Plain<'a>(pub(super) &'a mut String);

impl fmt::Write for Plain<'_> {
    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '\n' | '\t' => self.0.push(c),
            c if is_unprintable(c) => self.0.extend(c.escape_default()),
            c => self.0.push(c),
        }
        Ok(())
    }

    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }
}

/// What stands between the quotes of JSON.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '"' => self.0.push_str("\\\""),
            '\\' => self.0.push_str("\\\\"),
            '\n' => self.0.push_str("\\n"),
            c if is_unprintable(c) => return write!(self.0, "\\u{:04x}", u32::from(c)),
            c => self.0.push(c),
        }
        Ok(())
    }

    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_special = |c: char| is_unprintable(c) || c == '"' || c == '\\';
        let mut rest = text;
        while let Some(at) = rest.find(is_special) {
            let (plain, special) = rest.split_at(at);
            self.0.push_str(plain);
            let mut chars = special.chars();
            chars.next().map_or(Ok(()), |c| self.write_char(c))?;
            rest = chars.as_str();
        }
        self.0.push_str(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
