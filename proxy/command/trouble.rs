//! Why a command could not do what it was asked to.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;

/// The config, or the command line, is not usable. Clap ends with the same code.
pub(crate) const BAD_CONFIG: u8 = 2;

/// Why a command could not do what it was asked to. Displays as a person should read it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody there, or somebody else.
    NoAnswer {
        /// Whom it was asked of.
        admin: String,
        /// What is known of it.
        why: Silence,
    },
    /// portti answered, and said no.
    Refused(Refusal),
    /// A file of this machine.
    Unreadable {
        /// Which.
        file: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The token is no text that a request can carry.
    BadToken,
    /// The terminal, or whatever else this machine is needed for.
    Io(io::Error),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Silence {
    /// Nobody was reached, or the connection broke.
    Io(io::Error),
    /// Nothing came in time.
    Waited(Duration),
    /// Something else answered.
    Strange,
}

/// What the API says against a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status of HTTP.
    pub(super) status: StatusCode,
    /// The API's word for it, such as `no_such_pool`; empty if it says none.
    pub(super) code: String,
    /// Its words.
    pub(super) error: String,
    /// Whether the request carried a token.
    pub(super) had_token: bool,
}

impl Trouble {
    /// What the command ends with.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(refusal) if refusal.is_about_config() => ExitCode::from(BAD_CONFIG),
            Self::Unreadable { .. } | Self::BadToken => ExitCode::from(BAD_CONFIG),
            Self::NoAnswer { .. } | Self::Refused(_) | Self::Io(_) => ExitCode::FAILURE,
        }
    }
}

impl Refusal {
    /// Reads the body of an answer that is no success.
    pub(super) fn read(status: StatusCode, body: &str, had_token: bool) -> Option<Self> {
        let body: Value = serde_json::from_str(body).ok()?;
        let error = body["error"].as_str()?.to_owned();
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        Some(Self { status, code, error, had_token })
    }

    /// Whether a config file is wrong; its problems are the words.
    pub(super) fn is_about_config(&self) -> bool {
        self.code == "config_refused"
    }
}

impl From<io::Error> for Silence {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer { admin, why } => write!(f, "portti: no answer from {admin}: {why}"),
            // It has the form that `portti check` gives it.
            Self::Refused(refusal) if refusal.is_about_config() => f.write_str(refusal.error.trim_end()),
            Self::Refused(refusal) => write!(f, "portti: {refusal}"),
            Self::Unreadable { file, error } => write!(f, "portti: cannot read {}: {error}", file.display()),
            Self::BadToken => f.write_str("portti: the token is empty, or has characters that no token has"),
            Self::Io(error) => write!(f, "portti: {error}"),
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::InvalidInput => {
                write!(f, "{error} (an address is written host:port)")
            }
            Self::Io(error) => write!(f, "{error} (is `[admin] bind` another address, or \"off\"?)"),
            Self::Waited(patience) => write!(f, "nothing came within {} s", patience.as_secs()),
            Self::Strange => write!(f, "what listens there is not portti's admin server"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error.trim_end())?;
        match (self.status, self.had_token) {
            (StatusCode::UNAUTHORIZED, false) => f.write_str(
                "\nGive the token: --token-file FILE, the file that `[admin] token_file` names, or PORTTI_TOKEN.",
            ),
            (StatusCode::UNAUTHORIZED, true) => f.write_str(
                "\nIt is not the token that was given. The right one is in the file that `[admin] token_file` names; a file that has \
                 changed is read with the next reload.",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: StatusCode, code: &str, had_token: bool) -> Trouble {
        let body = format!(r#"{{"code": "{code}", "error": "words\n"}}"#);
        Trouble::Refused(Refusal::read(status, &body, had_token).unwrap())
    }

    #[test]
    fn what_is_refused_is_told_in_the_words_of_the_api() {
        let unknown = refusal(StatusCode::NOT_FOUND, "no_such_pool", false);
        assert_eq!((unknown.to_string().as_str(), unknown.exit_code()), ("portti: words", ExitCode::FAILURE));
        let config = refusal(StatusCode::UNPROCESSABLE_ENTITY, "config_refused", true);
        assert_eq!((config.to_string().as_str(), config.exit_code()), ("words", ExitCode::from(2)));
    }

    #[test]
    fn who_has_no_token_hears_how_to_give_it() {
        let told = |had_token| refusal(StatusCode::UNAUTHORIZED, "unauthorized", had_token).to_string();
        assert!(told(false).starts_with("portti: words\nGive the token: --token-file FILE"), "{}", told(false));
        assert!(told(true).starts_with("portti: words\nIt is not the token"), "{}", told(true));
    }

    #[test]
    fn an_answer_that_is_not_of_the_api_has_no_words() {
        for strange in ["", "<html>", "[]", "{}", r#"{"error": 3}"#] {
            assert_eq!(Refusal::read(StatusCode::NOT_FOUND, strange, false), None, "{strange}");
        }
    }
}
