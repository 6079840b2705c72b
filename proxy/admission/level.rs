//! Service levels: how much of its capacity the proxy has in use. Pure arithmetic.

/// How much of its capacity the proxy has in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Below 70 %.
    Full,
    /// From 70 %.
    Degraded,
    /// From 85 %.
    Critical,
    /// From 95 %.
    Overloaded,
}

impl Level {
    /// The level with so many sessions of so many that may be.
    pub fn of(active: usize, capacity: usize) -> Self {
        let percent = active.saturating_mul(100) / capacity.max(1);
        match percent {
            ..70 => Self::Full,
            70..85 => Self::Degraded,
            85..95 => Self::Critical,
            95.. => Self::Overloaded,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_begins_at_its_share() {
        let cases = [
            (0, Level::Full),
            (699, Level::Full),
            (700, Level::Degraded),
            (849, Level::Degraded),
            (850, Level::Critical),
            (949, Level::Critical),
            (950, Level::Overloaded),
            (1000, Level::Overloaded),
            (2000, Level::Overloaded),
        ];
        for (active, level) in cases {
            assert_eq!(Level::of(active, 1000), level, "{active} of 1000");
        }
    }
}
