//! Listeners that speak HTTP: what runs on their sessions are requests.

pub mod answer;
pub mod body;
pub mod budget;
pub mod busy;
pub mod exchange;
pub mod executor;
pub mod forward;
pub mod framing;
pub mod front;
pub mod ground;
pub mod handle;
pub mod headers;
pub mod io;
pub mod line;
pub mod patience;
pub mod pieces;
pub mod player;
pub mod reply;
pub mod sender;
pub mod serve;
pub mod tunnel;
pub mod upgrade;
pub mod warm;
pub mod websocket;
