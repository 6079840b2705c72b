//! The commands that talk to a running portti.

pub mod status;
