//! Service levels: how much of its capacity the proxy has in use. Pure arithmetic.

use crate::config::scalar::Share;

/// How much of its capacity the proxy has in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everyone is welcome.
    Full,
    /// The first listeners take nobody new.
    Degraded,
    /// Those who were just playing come first.
    Critical,
    /// Nobody new.
    Overloaded,
}

/// From which share of the capacity on each level holds (`[server.levels]`). In this order, none below the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// [`Level::Degraded`].
    pub degraded: Share,
    /// [`Level::Critical`].
    pub critical: Share,
    /// [`Level::Overloaded`].
    pub overloaded: Share,
}

/// The same for one capacity, in sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    enter: [usize; 3],
    leave: [usize; 3],
}

/// A level is left so much below where it is entered, in parts of the capacity, so that it does not flicker.
const SLACK: Share = Share::percent(5);

impl Marks {
    /// The marks of a house with room for `capacity` sessions.
    pub fn new(shares: Shares, capacity: usize) -> Self {
        let enter = [shares.degraded, shares.critical, shares.overloaded].map(|share| at_least(share, capacity));
        let slack = SLACK.of(capacity);
        // At least one: an empty house has left every level.
        Self { enter, leave: enter.map(|mark| mark.saturating_sub(slack).max(1)) }
    }
}

/// The fewest sessions that are this share of the capacity; at least one, for an empty house is never full.
fn at_least(share: Share, capacity: usize) -> usize {
    let below = share.of(capacity);
    let exact = below as u128 * u128::from(Share::WHOLE) == capacity as u128 * u128::from(share.parts());
    (below + usize::from(!exact)).max(1)
}

impl Level {
    /// Every level, emptiest first.
    pub const ALL: [Self; 4] = [Self::Full, Self::Degraded, Self::Critical, Self::Overloaded];

    /// The level with so many sessions, after this one.
    pub fn next(self, active: usize, marks: &Marks) -> Self {
        let passed = |marks: &[usize; 3]| marks.iter().take_while(|&&mark| active >= mark).count();
        let (entered, kept) = (passed(&marks.enter), passed(&marks.leave));
        Self::ALL[entered.max(kept.min(self as usize))]
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Degraded => "degraded",
            Self::Critical => "critical",
            Self::Overloaded => "overloaded",
        }
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self { degraded: Share::percent(70), critical: Share::percent(85), overloaded: Share::percent(95) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(capacity: usize, counts: &[usize]) -> Vec<Level> {
        let marks = Marks::new(Shares::default(), capacity);
        let mut level = Level::Full;
        counts
            .iter()
            .map(|&active| {
                level = level.next(active, &marks);
                level
            })
            .collect()
    }

    #[test]
    fn an_empty_house_is_full_service_however_low_the_marks() {
        let low = Shares { degraded: Share::percent(1), critical: Share::percent(3), overloaded: Share::percent(5) };
        let marks = Marks::new(low, 1000);
        assert_eq!(Level::Full.next(50, &marks), Level::Overloaded);
        assert_eq!(Level::Overloaded.next(1, &marks), Level::Overloaded, "within the slack");
        assert_eq!(Level::Overloaded.next(0, &marks), Level::Full);
    }

    #[test]
    fn each_level_begins_at_its_share_and_is_left_five_points_below() {
        use Level::{Critical, Degraded, Full, Overloaded};
        let steps = [
            (0, Full),
            (699, Full),
            (700, Degraded),
            (849, Degraded),
            (850, Critical),
            (949, Critical),
            (950, Overloaded),
            (2000, Overloaded),
            (900, Overloaded),
            (899, Critical),
            (800, Critical),
            (949, Critical),
            (799, Degraded),
            (650, Degraded),
            (649, Full),
            (699, Full),
            (1000, Overloaded),
            (0, Full),
        ];
        let (counts, levels): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        assert_eq!(walk(1000, &counts), levels);
    }

    #[test]
    fn a_small_house_has_levels_too() {
        assert_eq!(walk(1, &[0, 1, 0]), [Level::Full, Level::Overloaded, Level::Full]);
        assert_eq!(walk(2, &[1, 2, 1]), [Level::Full, Level::Overloaded, Level::Full]);
        assert_eq!(walk(0, &[0]), [Level::Full]);
    }

    proptest! {
        #[test]
        fn a_level_never_lies_by_more_than_its_slack(
            counts in prop::collection::vec(0..1200_usize, 1..100), capacity in 1..1100_usize,
        ) {
            let marks = Marks::new(Shares::default(), capacity);
            let mut level = Level::Full;
            for active in counts {
                level = level.next(active, &marks);
                let strict = Level::Full.next(active, &marks);
                let lenient = Level::Overloaded.next(active, &marks);
                prop_assert!(strict <= level && level <= lenient);
            }
        }
    }
}
