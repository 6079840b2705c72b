//! Messages of HTTP/1.1 on a connection (RFC 9112), toward clients and toward backends: how they are read and how they are written.

pub mod chunks;
pub mod decoder;
pub mod fields;
pub mod input;
pub mod lines;
pub mod outgoing;
pub mod pieces;
