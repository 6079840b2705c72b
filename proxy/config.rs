//! The config file: text in, a checked [`model::Config`] or a list of problems out.

pub mod model;
pub mod scalar;
