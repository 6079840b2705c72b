//! Listeners that speak HTTP: what runs on their sessions are requests.

pub mod framing;
pub mod headers;
pub mod io;
pub mod warm;
pub mod websocket;
