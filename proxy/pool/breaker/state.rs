//! Where a circuit stands, and what is told of its changes.

use std::fmt;
use std::time::Duration;

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Traffic flows.
    Closed,
    /// No traffic.
    Open,
    /// A few probes.
    HalfOpen,
}

impl State {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A change of state, to be logged and counted by whoever is given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Where the circuit stood.
    pub from: State,
    /// Where it stands.
    pub to: State,
    /// Of an opening: how long it lasts.
    pub open_for: Option<Duration>,
    /// Of an opening: the distinct clients whose word is part of the evidence; 0 where failures that are certain were enough.
    pub clients: usize,
    /// Of a closing: how long ago the circuit first opened.
    pub out_for: Option<Duration>,
}

/// What a failure has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Nothing yet.
    Noted,
    /// The circuit has opened.
    Opened(Transition),
    /// The circuit would have opened, but may not.
    HeldClosed,
}
