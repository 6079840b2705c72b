//! What is said to a client, with gaps to be filled in when it is said.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Explain;

/// A text that may have gaps: `{retry_after}` and `{seconds_left}`, both in whole seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(String);

/// Why a text is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordsError {
    /// Nothing would be said.
    Empty,
    /// Longer than [`WORDS_MAX`] bytes.
    TooLong,
    /// A gap that nobody knows how to fill.
    UnknownGap(String),
}

/// What fits in one packet on any path, so that it is taken by the kernel in one piece.
pub const WORDS_MAX: usize = 1024;

const RETRY_AFTER: &str = "{retry_after}";
const SECONDS_LEFT: &str = "{seconds_left}";

impl Words {
    /// The text, with its gaps filled in; seconds are rounded up.
    pub fn filled(&self, retry_after: Duration, left: Duration) -> String {
        let seconds = |time: Duration| time.as_millis().div_ceil(1000).to_string();
        self.0.replace(RETRY_AFTER, &seconds(retry_after)).replace(SECONDS_LEFT, &seconds(left))
    }

    /// Whether it says how many seconds are left, and so something else each time.
    pub fn counts_down(&self) -> bool {
        self.0.contains(SECONDS_LEFT)
    }
}

impl FromStr for Words {
    type Err = WordsError;

    fn from_str(text: &str) -> Result<Self, WordsError> {
        if text.is_empty() {
            return Err(WordsError::Empty);
        }
        if text.len() > WORDS_MAX {
            return Err(WordsError::TooLong);
        }
        match gaps(text).find(|gap| ![RETRY_AFTER, SECONDS_LEFT].contains(gap)) {
            Some(unknown) => Err(WordsError::UnknownGap(unknown.to_owned())),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// What looks like a gap: a lower-case word in braces. Other braces are part of the text.
fn gaps(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('{').filter_map(|(start, _)| {
        let end = start + text[start..].find('}')?;
        let word = &text[start + 1..end];
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        is_word.then(|| &text[start..=end])
    })
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing would be said"),
            Self::TooLong => write!(f, "longer than {WORDS_MAX} bytes"),
            Self::UnknownGap(gap) => write!(f, "nothing is known to fill in for {gap}"),
        }
    }
}

impl Explain for WordsError {
    fn hint(&self) -> String {
        match self {
            Self::Empty => "leave the key out, and nothing is said".to_owned(),
            Self::TooLong => "players read a line or two".to_owned(),
            Self::UnknownGap(_) => format!("filled in are {RETRY_AFTER} and, in drain, {SECONDS_LEFT}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_in_and_other_braces_stay() {
        let words: Words = "{\"full\": {retry_after}, left: {seconds_left} {} {X} {retry_after}".parse().unwrap();
        let filled = words.filled(Duration::from_millis(1001), Duration::from_secs(30));
        assert_eq!(filled, "{\"full\": 2, left: 30 {} {X} 2");
        assert!(words.counts_down());
        assert!(!"{retry_after} {".parse::<Words>().unwrap().counts_down());
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let gap = |text: &str| Err(WordsError::UnknownGap(text.to_owned()));
        assert_eq!("come back in {minutes}".parse::<Words>(), gap("{minutes}"));
        assert_eq!("".parse::<Words>(), Err(WordsError::Empty));
        assert!("x".repeat(WORDS_MAX).parse::<Words>().is_ok());
        assert_eq!("x".repeat(WORDS_MAX + 1).parse::<Words>(), Err(WordsError::TooLong));
    }
}
