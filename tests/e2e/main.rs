//! End to end: a proxy, real sockets on both sides of it, and real time.
//!
//! Most tests run the proxy in this process; `process` and a few others run the binary. What must be seen of a process
//! as a whole (memory, descriptors, threads, exit codes, the log) is seen there, for here tests run side by side.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

mod accepting;
mod admin;
mod admission;
mod answers;
mod api;
mod api_attacks;
mod api_events;
mod api_sessions;
mod arrivals;
mod backpressure;
mod balance;
mod bytes;
mod circuit;
mod closing;
mod connect;
mod drain;
mod fairness;
mod feed;
mod hand;
mod health;
mod http;
mod http2;
mod limits;
mod logging;
mod messages;
mod names;
mod overload;
mod process;
mod proxy_protocol;
mod queue;
mod reload;
mod requests;
mod routes;
mod sni;
mod starting;
mod state;
mod strangers;
mod strict;
mod timeouts;
mod tls;
#[cfg(feature = "otlp")]
mod tracing;
mod websocket;
mod wire;
