//! What is known of a client beside its address.

use std::net::SocketAddr;

use crate::net::tls::facts::Facts;

/// What others have told of a client, and what it has said itself before its first byte of the game.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// How it came here, if not by itself.
    pub via: Option<Via>,
    /// The host that it asked for by TLS (SNI), in lower case.
    pub server_name: Option<String>,
    /// How its connection is encrypted, if that ends here.
    pub tls: Option<Facts>,
    /// What was wrong with what it said.
    pub why: Option<String>,
}

/// What a balancer in front has told of a client.
#[derive(Debug, Clone)]
pub struct Via {
    /// The balancer's own address.
    pub peer: SocketAddr,
    /// Where the client connected to.
    pub destination: SocketAddr,
}
