//! HTTP/2 (RFC 9113), on top of the `h2` library: what that leaves to its users stands here. Flow control is by what the other
//! side takes, a body ends with END_STREAM alone, and every wait has a limit.

pub mod answering;
pub mod blocks;
pub mod buffered;
pub mod cancels;
pub mod checked;
pub mod client;
pub mod fields;
pub mod huffman;
pub mod links;
pub mod received;
pub mod sending;
pub mod server;
pub mod stream;

/// Requests under way at once on a client's connection.
pub const STREAMS_MAX: u32 = 128;

/// The window of a stream for the body of a request: so much of it may wait here for a backend that takes nothing.
pub const UPLOAD_WINDOW: u32 = 64 * 1024;

/// The window of a client's connection: more than all its streams together, so that none waits for another's backend.
pub const CONNECTION_WINDOW: u32 = (STREAMS_MAX + 16) * UPLOAD_WINDOW;
