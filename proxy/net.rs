//! Sockets: how they are made and what the kernel knows of them.

pub mod socket;
pub mod tcp_info;
