//! Which lines are written, and who says so.

use tracing_subscriber::EnvFilter;

use super::line::ACCESS;
use crate::config::model::LogLevel;

/// Which lines are written, by whoever rules that now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// It was set while the process ran, and stands until that is taken back.
    ByHand(LogLevel),
    /// `RUST_LOG`: directives, which may be more than one level.
    Environment(String),
    /// The config file.
    File(LogLevel),
}

impl Level {
    /// The level's word, or the directives.
    pub fn as_str(&self) -> &str {
        match self {
            Self::ByHand(level) | Self::File(level) => level.as_str(),
            Self::Environment(directives) => directives,
        }
    }

    /// Who rules, in a word.
    pub fn ruled_by(&self) -> &'static str {
        match self {
            Self::ByHand(_) => "hand",
            Self::Environment(_) => "RUST_LOG",
            Self::File(_) => "file",
        }
    }

    /// What passes: besides what it says, access lines always, for whether there are any is not a matter of level.
    pub(super) fn filter(&self) -> EnvFilter {
        EnvFilter::new(self.directives())
    }

    fn directives(&self) -> String {
        let directives = match self {
            // What a resolver thinks of stray packets is not what operators should know.
            Self::ByHand(level) | Self::File(level) => {
                format!("{},hickory_resolver=error,hickory_net=error", level.as_str())
            }
            Self::Environment(directives) => directives.clone(),
        };
        if directives.contains(ACCESS) { directives } else { format!("{directives},{ACCESS}=info") }
    }
}

/// All that has a say.
#[derive(Debug)]
pub(super) struct Levels {
    pub(super) file: LogLevel,
    pub(super) environment: Option<String>,
    pub(super) by_hand: Option<LogLevel>,
}

impl Levels {
    pub(super) fn new(file: LogLevel, environment: Option<String>) -> Self {
        Self { file, environment: environment.filter(|directives| !directives.is_empty()), by_hand: None }
    }

    pub(super) fn ruling(&self) -> Level {
        match (self.by_hand, &self.environment) {
            (Some(level), _) => Level::ByHand(level),
            (None, Some(directives)) => Level::Environment(directives.clone()),
            (None, None) => Level::File(self.file),
        }
    }
}

impl From<tracing::Level> for LogLevel {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hand_stands_above_the_environment_and_that_above_the_file() {
        let mut levels = Levels::new(LogLevel::Info, Some("portti=debug".to_owned()));
        levels.by_hand = Some(LogLevel::Trace);
        levels.file = LogLevel::Warn;
        assert_eq!(levels.ruling(), Level::ByHand(LogLevel::Trace));
        levels.by_hand = None;
        assert_eq!(levels.ruling(), Level::Environment("portti=debug".to_owned()));
        assert_eq!(Levels::new(LogLevel::Warn, Some(String::new())).ruling(), Level::File(LogLevel::Warn));
    }

    #[test]
    fn access_lines_pass_whatever_the_level_unless_the_environment_speaks_of_them() {
        let of = |directives: &str| Level::Environment(directives.to_owned()).directives();
        assert_eq!([of("error"), of("error,access=off")], ["error,access=info", "error,access=off"]);
        let error = Level::File(LogLevel::Error).directives();
        assert!(error.starts_with("error,") && error.ends_with(",access=info"), "{error}");
    }
}
