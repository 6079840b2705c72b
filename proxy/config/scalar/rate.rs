//! How often something may happen.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use super::Explain;

/// So many in a second, a minute or an hour: in the file `"10/s"`, `"300/m"`, `"1000/h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateError {
    /// Not a number, a slash and a unit.
    Malformed,
    /// No more than none, or more than anybody can tell from no limit.
    OutOfRange,
}

/// More is no limit.
const COUNT_MAX: u32 = 1_000_000;

impl Rate {
    /// So many in a second.
    pub const fn per_second(count: NonZeroU32) -> Self {
        Self { count, unit: Unit::Second }
    }

    /// The time for one.
    pub fn interval(self) -> Duration {
        self.unit.length() / self.count.get()
    }

    /// How many in a second, rounded up: at least one.
    pub fn a_second(self) -> u32 {
        let seconds = u32::try_from(self.unit.length().as_secs()).unwrap_or(u32::MAX);
        self.count.get().div_ceil(seconds)
    }
}

impl Unit {
    const ALL: [(&str, Self); 3] = [("s", Self::Second), ("m", Self::Minute), ("h", Self::Hour)];

    fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        })
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (number, unit) = text.split_once('/').ok_or(RateError::Malformed)?;
        let (_, unit) = Unit::ALL.into_iter().find(|(word, _)| *word == unit.trim()).ok_or(RateError::Malformed)?;
        let digits = number.trim();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RateError::Malformed);
        }
        let count = digits.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count)).and_then(NonZeroU32::new);
        count.map(|count| Self { count, unit }).ok_or(RateError::OutOfRange)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Unit::ALL.iter().find(|(_, unit)| *unit == self.unit).map_or("s", |(word, _)| word);
        write!(f, "{}/{word}", self.count)
    }
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a rate",
            Self::OutOfRange => "the number of a rate is from 1 to 1000000",
        })
    }
}

impl Explain for RateError {
    fn hint(&self) -> String {
        r#"write a number and a unit (s, m, h): "10/s", "300/m""#.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_shown() {
        for (text, millis, a_second) in [("10/s", 100, 10), ("300/m", 200, 5), ("1/m", 60_000, 1), ("3600/h", 1000, 1)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.interval(), rate.a_second()), (Duration::from_millis(millis), a_second), "{text}");
            assert_eq!(rate.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "10", "/s", "10/", "10/d", "-1/s", "+1/s", "1.5/s", "10 per s", "10/s/s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Malformed), "{text}");
        }
        for text in ["0/s", "1000001/s", "99999999999999999999/s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::OutOfRange), "{text}");
        }
    }
}
