//! Listeners that speak HTTP: what runs on their sessions are requests.

use std::rc::Rc;
use std::sync::Arc;

pub mod answer;
pub mod body;
pub mod budget;
pub mod busy;
pub mod client;
pub mod content;
pub mod download;
pub mod exchange;
pub mod forward;
pub mod front;
pub mod ground;
pub mod handle;
pub mod headers;
pub mod http2;
pub mod io;
pub mod line;
pub mod patience;
pub mod player;
pub mod reply;
pub mod sender;
pub mod serve;
pub mod server;
pub mod sound;
pub mod timer;
pub mod tunnel;
pub mod upgrade;
pub mod warm;
pub mod websocket;
pub mod wire;

/// A connection's handle on something that all workers share. Its clones, one for each request, do not touch the count that the
/// other workers touch.
#[allow(clippy::redundant_allocation, reason = "that is what it is for")]
pub type Near<T> = Rc<Arc<T>>;
