//! What did not happen as it should.

use std::fmt::{self, Display};
use std::io;

/// Why the demo cannot go on, for a person to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure(String);

impl Failure {
    pub(super) fn new(what: impl Display) -> Self {
        Self(what.to_string())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(format_args!("the operating system refused: {error}"))
    }
}
