//! `[listeners.NAME.messages]`: what is said to clients that may not stay.

use std::time::Duration;

use crate::config::scalar::Words;

/// What a listener says to clients that may not stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// In which language.
    pub language: Language,
    /// What `{retry_after}` stands for.
    pub retry_after: Duration,
    /// What is said on each occasion, in the order of [`Occasion::ALL`].
    pub words: [Option<Words>; Occasion::ALL.len()],
}

/// What the clients of a listener understand (`protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// The text as it is.
    Text,
    /// The answers of a Minecraft server (Java edition, 1.7 or later).
    Minecraft,
}

/// Why a client may not stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A list or a ban has its address.
    Denied,
    /// Only staff may come in.
    Maintenance,
    /// Its address comes too often.
    RateLimited,
    /// Its address has as many sessions as it may.
    PerIpLimit,
    /// The proxy is too full for newcomers.
    Shed,
    /// The proxy is full.
    AtCapacity,
    /// As many wait as may.
    QueueFull,
    /// It has waited too long.
    QueueTimeout,
    /// There is no backend to go to.
    NoBackend,
    /// No backend could be reached.
    ConnectFailed,
    /// The proxy is shutting down.
    Drain,
}

impl Occasion {
    /// Every occasion, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::Denied,
        Self::Maintenance,
        Self::RateLimited,
        Self::PerIpLimit,
        Self::Shed,
        Self::AtCapacity,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::NoBackend,
        Self::ConnectFailed,
        Self::Drain,
    ];

    /// The key of what is said.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Maintenance => "maintenance",
            Self::RateLimited => "rate_limited",
            Self::PerIpLimit => "per_ip_limit",
            Self::Shed => "shed",
            Self::AtCapacity => "at_capacity",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::NoBackend => "no_backend",
            Self::ConnectFailed => "connect_failed",
            Self::Drain => "drain",
        }
    }
}

impl Messages {
    /// What is said, if anything is.
    pub fn on(&self, occasion: Occasion) -> Option<&Words> {
        self.words[occasion as usize].as_ref()
    }
}

impl Language {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Minecraft => "minecraft",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_occasion_has_its_own_place() {
        for (index, occasion) in Occasion::ALL.into_iter().enumerate() {
            assert_eq!(occasion as usize, index);
        }
    }
}
