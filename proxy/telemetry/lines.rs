//! Lines on their way to standard error.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::SystemTime;

use super::form::Form;
use super::limited::Sink;
use super::line::Line;
use super::writer::Writer;
use crate::config::model::LogFormat;

/// Writes lines, and waits for nobody.
#[derive(Debug)]
pub(super) struct Lines {
    form: Form,
    writer: Writer,
}

impl Lines {
    pub(super) fn new(format: LogFormat, writer: Writer) -> Self {
        Self { form: form(format, io::stderr().is_terminal(), |name| env::var(name).ok()), writer }
    }
}

impl Sink for Lines {
    fn take(&self, line: &Line<'_>) {
        self.writer.line(self.form.line(line, SystemTime::now()));
    }
}

/// What the config says, for where lines go. Colours are for terminals that know them, unless somebody does not want any
/// (<https://no-color.org>).
fn form(format: LogFormat, on_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Form {
    let is_unwanted = || variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_unknown = || variable("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb");
    let text = || Form::Text { on_terminal, colours: on_terminal && !is_unwanted() && !is_unknown() };
    match format {
        LogFormat::Auto if on_terminal => text(),
        LogFormat::Auto | LogFormat::Json => Form::Json,
        LogFormat::Text => text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_for_terminals_and_colours_for_those_that_want_and_know_them() {
        let of = |format, on_terminal, no_color: &str, term: &str| {
            let variable = |name: &str| Some(if name == "NO_COLOR" { no_color } else { term }.to_owned());
            form(format, on_terminal, variable)
        };
        let text = |on_terminal, colours| Form::Text { on_terminal, colours };
        assert_eq!(of(LogFormat::Auto, true, "", "xterm"), text(true, true));
        assert_eq!(of(LogFormat::Auto, true, "1", "xterm"), text(true, false));
        assert_eq!(of(LogFormat::Text, true, "", "dumb"), text(true, false));
        assert_eq!(of(LogFormat::Text, false, "", "xterm"), text(false, false));
        assert_eq!([of(LogFormat::Auto, false, "", "xterm"), of(LogFormat::Json, true, "", "xterm")], [Form::Json; 2]);
        assert_eq!(form(LogFormat::Auto, true, |_| None), text(true, false));
    }
}
