//! Sockets: how they are made and what the kernel knows of them; and who is at the other end.

pub mod client;
pub mod client_hello;
pub mod first_bytes;
pub mod liveness;
pub mod local;
pub mod minecraft;
pub mod proxy_protocol;
pub mod socket;
pub mod tcp_info;
pub mod tls;
