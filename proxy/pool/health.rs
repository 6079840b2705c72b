//! What health checks say of one backend: a pure state machine, without clock, lock or log.

use std::fmt;
use std::num::NonZeroU32;

/// When results change the verdict (`[pools.NAME.health]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Passing checks in a row that bring a backend up.
    pub rise: NonZeroU32,
    /// Failed checks in a row that take it down.
    pub fall: NonZeroU32,
}

/// The verdict on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No check has ended yet.
    Unknown,
    /// It is well.
    Up,
    /// It is not.
    Down,
}

/// The health of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    verdict: Verdict,
    /// Results in a row that speak against the verdict.
    against: u32,
}

impl Health {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { verdict: Verdict::Unknown, against: 0 };

    /// It is not well.
    pub const DOWN: Self = Self { verdict: Verdict::Down, against: 0 };

    /// What is known.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Takes in the result of a check; returns the new verdict if that changes it. The first result alone decides.
    pub fn on_result(&mut self, passed: bool, rule: Rule) -> Option<Verdict> {
        let said = if passed { Verdict::Up } else { Verdict::Down };
        if said == self.verdict {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let needed = match self.verdict {
            Verdict::Unknown => 1,
            Verdict::Up => rule.fall.get(),
            Verdict::Down => rule.rise.get(),
        };
        if self.against < needed {
            return None;
        }
        *self = Self { verdict: said, against: 0 };
        Some(said)
    }
}

impl Verdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(rise: u32, fall: u32) -> Rule {
        Rule { rise: NonZeroU32::new(rise).unwrap(), fall: NonZeroU32::new(fall).unwrap() }
    }

    fn verdicts(rule: Rule, results: &str) -> String {
        let mut health = Health::UNKNOWN;
        let told = results.chars().map(|result| match health.on_result(result == '+', rule) {
            Some(Verdict::Up) => 'U',
            Some(Verdict::Down) => 'D',
            Some(Verdict::Unknown) => '?',
            None => '.',
        });
        told.collect()
    }

    #[test]
    fn the_first_result_alone_decides() {
        assert_eq!(verdicts(rule(3, 3), "+"), "U");
        assert_eq!(verdicts(rule(3, 3), "-"), "D");
        assert_eq!(Health::UNKNOWN.verdict(), Verdict::Unknown);
    }

    #[test]
    fn rise_and_fall_are_counted_exactly() {
        assert_eq!(verdicts(rule(2, 3), "+--+---+-++"), "U.....D...U");
        assert_eq!(verdicts(rule(1, 1), "+-+-"), "UDUD");
        assert_eq!(verdicts(rule(2, 3), "-+++---"), "D.U...D");
    }

    proptest! {
        /// A backend that flaps, however it flaps, never changes sides faster than the rule allows.
        #[test]
        fn changes_are_as_far_apart_as_the_rule_says(
            results in prop::collection::vec(any::<bool>(), 0..400), rise in 1..6_u32, fall in 1..6_u32,
        ) {
            let mut health = Health::UNKNOWN;
            let mut since_change = u32::MAX;
            for passed in results {
                since_change = since_change.saturating_add(1);
                let before = health.verdict();
                if let Some(verdict) = health.on_result(passed, rule(rise, fall)) {
                    prop_assert_ne!(verdict, before);
                    prop_assert_eq!(verdict == Verdict::Up, passed);
                    let least = match (before, verdict) {
                        (Verdict::Unknown, _) => 0,
                        (_, Verdict::Up) => rise,
                        _ => fall,
                    };
                    prop_assert!(since_change >= least, "{since_change} < {least}");
                    since_change = 0;
                }
            }
        }
    }
}
