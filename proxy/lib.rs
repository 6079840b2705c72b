//! portti: a layer-4 reverse proxy and load balancer that stands in front of game servers.

pub mod config;
pub mod pool;
