//! The config file: text in, a checked [`model::Config`] or all of its problems out.
//!
//! `raw` reads what the file says, `lower` makes of it what the program needs. What the rest of the program sees is
//! [`model`], which cannot be wrong, and [`problem`], which is shown to people. [`diff`](mod@diff) tells two versions
//! apart.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use self::model::Config;
use self::problem::{Place, Problem, Problems};
use self::raw::{Report, Section, syntax};

pub mod diff;
pub mod files;
mod lower;
pub mod model;
pub mod problem;
mod raw;
pub mod scalar;

/// A text that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub config: Config,
    /// What is legal but surprising.
    pub warnings: Problems,
}

/// A file that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What is legal but surprising, for people to read; empty if nothing is.
    pub warnings: String,
}

/// Why a file cannot be used. Displays as the whole text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// The system did not hand it over.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The class of the reason, such as "not found".
        kind: io::ErrorKind,
        /// The system's words for it.
        reason: String,
    },
    /// It was read, but is wrong.
    Invalid {
        /// How many errors it has.
        errors: usize,
        /// All of them with their places, and the warnings.
        rendered: String,
    },
}

/// Reads and checks a file.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    check(path, &read(path)?)
}

/// Reads a file without looking at it: its first [`SIZE_MAX`] bytes and one more, which [`check`] then refuses.
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let limit = SIZE_MAX as u64 + 1;
    let result = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    result.map(|_length| bytes).map_err(|error| LoadError::Unreadable {
        path: path.into(),
        kind: error.kind(),
        reason: error.to_string(),
    })
}

/// Checks what was read from a file, and reads the files that it names; their paths begin at the file's folder.
pub fn check(path: &Path, bytes: &[u8]) -> Result<Loaded, LoadError> {
    let mut loaded = check_alone(path, bytes)?;
    fill(&mut loaded.config, path, None)?;
    Ok(loaded)
}

/// Reads the files that a config names. While `before` runs, certificates that cannot be used any more stay as they are there.
pub fn fill(config: &mut Config, path: &Path, before: Option<&Config>) -> Result<(), LoadError> {
    let read = files::read(config, folder_of(path), before);
    read.map_err(|rendered| LoadError::Invalid { errors: rendered.lines().count(), rendered })
}

/// Where the paths in a file begin.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

/// Checks what was read from a file, without a look at those that it names.
pub fn check_alone(path: &Path, bytes: &[u8]) -> Result<Loaded, LoadError> {
    let file_name = path.display().to_string();
    let text = String::from_utf8_lossy(bytes);
    match parse_bytes(bytes) {
        Ok(Parsed { config, warnings }) => Ok(Loaded { config, warnings: warnings.render(&file_name, &text) }),
        Err(problems) => {
            Err(LoadError::Invalid { errors: problems.errors(), rendered: problems.render(&file_name, &text) })
        }
    }
}

/// [`parse`], for a text that may not be one.
pub fn parse_bytes(bytes: &[u8]) -> Result<Parsed, Problems> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let place = Place { path: String::new(), span: Some(at..at + char::REPLACEMENT_CHARACTER.len_utf8()) };
        Problems::from(Problem::error(&place, "the file is not UTF-8 text"))
    })?;
    parse(text)
}

/// Checks a text.
pub fn parse(text: &str) -> Result<Parsed, Problems> {
    if text.len() > SIZE_MAX {
        let message = format!("the file is larger than {} MiB", SIZE_MAX >> 20);
        return Err(Problems::from(Problem::error(&Place::default(), message)));
    }
    let (config, report) = examine(text);
    let (problems, _keys) = report.into_parts();
    match problems.errors() {
        0 => Ok(Parsed { config, warnings: problems }),
        _ => Err(problems),
    }
}

/// The config is of use only if the report has no errors.
fn examine(text: &str) -> (Config, Report) {
    let (table, damage) = syntax::parse(text);
    let report = Report::new(damage);
    let config = Section::root(table.get_ref(), &report).read(lower::config);
    (config, report)
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, reason, .. } => write!(f, "error: cannot read {}: {reason}", path.display()),
            Self::Invalid { rendered, .. } => f.write_str(rendered),
        }
    }
}

impl std::error::Error for LoadError {}

/// Room for tens of thousands of backends, and a bound on what a slip in a path can make of memory.
pub const SIZE_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests;
