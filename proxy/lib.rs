//! portti: a layer-4 reverse proxy and load balancer that stands in front of game servers.
//!
//! # Code map, in reading order
//!
//! - [`session`]: the life of one client connection. Start here.
//! - [`relay`]: how its bytes pass, in both directions.
//! - [`pool`]: which backend it gets: [`pool::balance`] chooses, [`pool::breaker`] keeps away from broken ones.
//! - [`queue`]: where it waits for a place, if there is none.
//! - [`probe`]: a health check: one dialogue with a backend.
//! - [`admission`]: whether it may exist at all.
//! - [`listener`] and [`worker`]: where it is accepted, and the thread it lives on.
//! - [`snapshot`]: the routing state that it begins with, made from one version of the file.
//! - [`config`]: the file itself: what it may say, and every problem with what it does say.
//! - [`control`]: everything that is not a session: reloads, health checks, host names, the admin server, the way down.
//! - [`metrics`], [`telemetry`], [`trace`]: what operators see.
//! - [`descriptors`]: how many the config needs, and how many there are.
//! - [`net`], [`drain`], [`signal`], [`entropy`]: sockets, the phases of a shutdown, what the operating system asks, its randomness.
//! - [`app`]: how all of it is put together; [`cli`], [`demo`] and [`command`] are what a person runs.

pub mod admission;
pub mod app;
pub mod cli;
pub mod command;
pub mod config;
pub mod control;
pub mod demo;
pub mod descriptors;
pub mod drain;
pub mod entropy;
pub mod http;
pub mod listener;
pub mod metrics;
pub mod net;
pub mod pool;
pub mod probe;
pub mod queue;
pub mod relay;
pub mod session;
pub mod signal;
pub mod snapshot;
pub mod telemetry;
pub mod trace;
pub mod worker;
