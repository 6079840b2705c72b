//! What an operator lets a backend do: its administrative state, beside what health checks and its circuit say of it.

use std::fmt;

/// The administrative state of a backend. Set by hand, and by nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Admin {
    /// It takes sessions.
    #[default]
    Ready,
    /// It takes no new ones; those that it has go on.
    Drain,
    /// The same, and what its health checks would find means nothing, so that they rest.
    Maintenance,
}

/// What was set by hand for one backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByHand {
    /// Its administrative state.
    pub admin: Admin,
    /// Its weight, instead of the file's. With 0 it is used only while no other of its pool can be.
    pub weight: Option<u16>,
}

impl Admin {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Drain, Self::Maintenance];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }

    /// The state that has this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|admin| admin.as_str() == word)
    }
}

impl ByHand {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
