//! Listeners that speak HTTP: what runs on their sessions are requests.

pub mod answer;
pub mod body;
pub mod budget;
pub mod forward;
pub mod framing;
pub mod front;
pub mod headers;
pub mod io;
pub mod patience;
pub mod warm;
pub mod websocket;
