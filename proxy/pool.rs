//! Pools of backends.

pub mod balance;
pub mod breaker;
