//! Bytes of a dialogue with a server, as a text of the file.

use std::fmt;

use regex::bytes::Regex;

use super::Explain;

/// What a server's answer must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// It begins with these bytes: at least one.
    Prefix(Vec<u8>),
    /// This is found in it.
    Regex(Pattern),
}

/// A regular expression over bytes. Two are equal when they were written alike.
#[derive(Clone)]
pub struct Pattern(Regex);

/// Why a text stands for no bytes, or for no expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectError {
    /// Behind `hex:` stand other characters than pairs of hexadecimal digits.
    Hex,
    /// An answer always begins with nothing.
    Empty,
    /// Behind `regex:` stands none; what is wrong with it.
    Regex(String),
}

/// Reads bytes: a text as it is, or hexadecimal digits behind `hex:` (spaces between bytes are free).
///
/// # Errors
/// What stands behind `hex:` is something else.
pub fn bytes(text: &str) -> Result<Vec<u8>, ExpectError> {
    let Some(digits) = text.strip_prefix("hex:") else { return Ok(text.as_bytes().to_vec()) };
    let digits: Vec<u32> =
        digits.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16)).collect::<Option<_>>().ok_or(ExpectError::Hex)?;
    let (pairs, []) = digits.as_chunks::<2>() else { return Err(ExpectError::Hex) };
    #[allow(clippy::cast_possible_truncation, reason = "two digits of 16 are below 256")]
    Ok(pairs.iter().map(|[high, low]| (high * 16 + low) as u8).collect())
}

impl Expect {
    /// Reads a prefix as [`bytes()`] does, or a regular expression behind `regex:`.
    ///
    /// # Errors
    /// It is none, or the prefix is empty.
    pub fn parse(text: &str) -> Result<Self, ExpectError> {
        if let Some(pattern) = text.strip_prefix("regex:") {
            // Without Unicode rules, so that "." is any byte but a newline.
            let regex = regex::bytes::RegexBuilder::new(pattern).unicode(false).size_limit(SIZE_MAX).build();
            return regex.map(|regex| Self::Regex(Pattern(regex))).map_err(|error| ExpectError::Regex(why(&error)));
        }
        let prefix = bytes(text)?;
        if prefix.is_empty() { Err(ExpectError::Empty) } else { Ok(Self::Prefix(prefix)) }
    }

    /// Whether an answer is as expected; `None` while more of it may make it so.
    pub fn matches(&self, answer: &[u8]) -> Option<bool> {
        match self {
            Self::Prefix(prefix) if answer.len() >= prefix.len() => Some(answer.starts_with(prefix)),
            Self::Prefix(prefix) => {
                if prefix.starts_with(answer) {
                    None
                } else {
                    Some(false)
                }
            }
            Self::Regex(Pattern(regex)) => regex.is_match(answer).then_some(true),
        }
    }
}

/// The last line of the error tells why; those before show where, for a terminal.
fn why(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Bytes that a compiled expression may take: a thousand times what a check needs.
const SIZE_MAX: usize = 1 << 20;

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_str().fmt(f)
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "\"{}\"", prefix.escape_ascii()),
            // Escaped as in the file, as this goes to logs.
            Self::Regex(Pattern(regex)) => write!(f, "{:?}", format!("regex:{}", regex.as_str())),
        }
    }
}

impl fmt::Display for ExpectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex => f.write_str("not bytes in hexadecimal"),
            Self::Empty => f.write_str("every answer begins with nothing"),
            Self::Regex(why) => write!(f, "not a regular expression: {why}"),
        }
    }
}

impl Explain for ExpectError {
    fn hint(&self) -> String {
        match self {
            Self::Hex => r#"two digits a byte, for example "hex:fe 01""#,
            Self::Empty => r#"for a server that only has to accept the connection, write type = "tcp""#,
            Self::Regex(_) => r#"for example "regex:^(OK|READY)""#,
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_or_hexadecimal() {
        assert_eq!(bytes("ping\n").unwrap(), b"ping\n");
        assert_eq!(bytes("hex:fe 01FF").unwrap(), [0xfe, 1, 0xff]);
        assert_eq!(bytes("hex:").unwrap(), b"");
        for text in ["hex:f", "hex:fg", "hex:+1", "hex:é1"] {
            assert_eq!(bytes(text), Err(ExpectError::Hex), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_known_as_soon_as_it_can_be() {
        let expect = Expect::parse("OK go").unwrap();
        assert_eq!(expect.matches(b""), None);
        assert_eq!(expect.matches(b"OK"), None);
        assert_eq!(expect.matches(b"OK goes"), Some(true));
        assert_eq!(expect.matches(b"NO"), Some(false));
        assert_eq!(Expect::parse("hex:").unwrap_err(), ExpectError::Empty);
    }

    #[test]
    fn a_regular_expression_may_match_later() {
        let expect = Expect::parse(r"regex:players: \d+/\d+").unwrap();
        assert_eq!(expect.matches(b"players: 7/"), None);
        assert_eq!(expect.matches(b"\xffplayers: 7/20"), Some(true));
        assert_eq!(expect, Expect::parse(r"regex:players: \d+/\d+").unwrap());
        assert_eq!(expect.to_string(), r#""regex:players: \\d+/\\d+""#);
        assert_eq!(Expect::parse("regex:a\n\x1b").unwrap().to_string(), r#""regex:a\n\u{1b}""#);
        let Err(ExpectError::Regex(why)) = Expect::parse("regex:(") else { panic!("an open group") };
        assert!(why.contains("unclosed group"), "{why}");
    }
}
