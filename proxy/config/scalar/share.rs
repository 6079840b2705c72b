//! A part of a whole.

use std::fmt;
use std::str::FromStr;

use super::Explain;

/// A part of a whole, from nothing to all: in the file `"12.5%"`. Exact to a ten-thousandth of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

/// Why a text is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareError {
    /// There is no percent sign behind a decimal number.
    Malformed,
    /// It is less than nothing or more than all.
    OutOfRange,
}

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(Self::WHOLE);
    /// What [`Share::parts`] counts to.
    pub const WHOLE: u32 = 1_000_000;

    /// So many whole percent, up to 100.
    pub const fn percent(percent: u8) -> Self {
        assert!(percent <= 100, "a share is no more than all");
        Self(percent as u32 * (Self::WHOLE / 100))
    }

    /// So many percent.
    ///
    /// # Errors
    /// It is no number from 0 to 100.
    pub fn from_percent(percent: f64) -> Result<Self, ShareError> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(ShareError::OutOfRange);
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
        Ok(Self((percent * f64::from(Self::WHOLE / 100)).round() as u32))
    }

    /// In parts of [`Share::WHOLE`].
    pub fn parts(self) -> u32 {
        self.0
    }

    /// The greatest whole number that is no more than this share of `count`.
    pub fn of(self, count: usize) -> usize {
        let part = count as u128 * u128::from(self.0) / u128::from(Self::WHOLE);
        usize::try_from(part).unwrap_or(count)
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = text.strip_suffix('%').ok_or(ShareError::Malformed)?.trim_end();
        // The standard parser would also take "inf", "1e2" and a sign.
        let plain =
            number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        if !plain {
            return Err(ShareError::Malformed);
        }
        Self::from_percent(number.parse().map_err(|_two_points| ShareError::Malformed)?)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / f64::from(Self::WHOLE / 100))
    }
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a percentage",
            Self::OutOfRange => "a percentage is from 0% to 100%",
        })
    }
}

impl Explain for ShareError {
    fn hint(&self) -> String {
        r#"for example "50%""#.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_and_shown() {
        for (text, parts, shown) in [
            ("0%", 0, "0%"),
            ("50%", 500_000, "50%"),
            ("12.5 %", 125_000, "12.5%"),
            ("0.0001%", 1, "0.0001%"),
            ("100%", Share::WHOLE, "100%"),
        ] {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.parts(), share.to_string().as_str()), (parts, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_percentage_is_refused() {
        for text in ["", "%", "50", "-1%", "+1%", "1e1%", "inf%", "NaN%", ".5%", "1.2.3%", "50%%"] {
            assert_eq!(text.parse::<Share>(), Err(ShareError::Malformed), "{text}");
        }
        assert_eq!("100.1%".parse::<Share>(), Err(ShareError::OutOfRange));
        assert_eq!(Share::from_percent(f64::NAN), Err(ShareError::OutOfRange));
    }

    #[test]
    fn a_share_of_a_count_is_rounded_down() {
        let half: Share = "50%".parse().unwrap();
        assert_eq!([0, 1, 2, 3, 5].map(|count| half.of(count)), [0, 0, 1, 1, 2]);
        assert_eq!((Share::ALL.of(7), Share::NONE.of(7)), (7, 0));
    }
}
