//! Durations as the file writes them: `"250ms"`, `"5s"`, `"1h 30m"`.

use std::fmt;
use std::time::Duration;

use super::Explain;

/// Reads a duration. Every number has a unit of `ms`, `s`, `m`, `h` or `d`.
///
/// humantime knows more of them, which are refused: nothing here is finer than a millisecond, and its `M` (month)
/// beside `m` (minute) invites a slip.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).peekable();
    if words.peek().is_none() && text.chars().any(|c| c.is_ascii_digit()) {
        return Err(DurationError::NoUnit);
    }
    if words.any(|word| UNITS.iter().all(|(unit, _)| *unit != word)) {
        return Err(DurationError::Malformed);
    }
    let duration = humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::NumberOverflow => DurationError::OutOfRange,
        humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => DurationError::NoUnit,
        _ => DurationError::Malformed,
    })?;
    if duration > MAX {
        return Err(DurationError::OutOfRange);
    }
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err(DurationError::TooFine);
    }
    Ok(duration)
}

/// A duration in the form that the file writes, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown(pub Duration);

/// A duration that may be absent, where the file writes `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownOrOff(pub Option<Duration>);

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationError {
    /// A number alone.
    NoUnit,
    /// Not numbers and known units.
    Malformed,
    /// Finer than a millisecond.
    TooFine,
    /// More than a year.
    OutOfRange,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        let mut space = "";
        for (unit, millis) in UNITS {
            let count = rest / millis;
            rest %= millis;
            if count > 0 {
                write!(f, "{space}{count}{unit}")?;
                space = " ";
            }
        }
        Ok(())
    }
}

impl fmt::Display for ShownOrOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => Shown(duration).fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoUnit => "the duration has no unit",
            Self::Malformed => "not a duration",
            Self::TooFine => "a duration is not finer than a millisecond",
            Self::OutOfRange => "a duration is at most 365d",
        })
    }
}

impl Explain for DurationError {
    fn hint(&self) -> String {
        r#"write a number and a unit (ms, s, m, h, d): "250ms", "5s", "30m", "1h 30m""#.into()
    }
}

/// Largest first, in milliseconds.
const UNITS: [(&str, u128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Deadlines are sums of an instant and a duration, which must not overflow; beyond a year it is a slip anyway.
const MAX: Duration = Duration::from_secs(365 * 86_400);
