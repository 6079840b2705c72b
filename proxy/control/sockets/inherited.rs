//! Listening sockets that the process was started with, by whoever holds them over its restarts (sd_listen_fds(3)).
//!
//! They belong to a listener of the config by their address. What waits in their queues while no process accepts is not lost,
//! which is what they are for. Those that no listener has any more are told to refuse: whoever started the process still has
//! them open, and clients would wait for nothing.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::net::socket;

/// The sockets, each with its address.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Those of this process, if there are any.
    pub fn of_this_process() -> Self {
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..given.len() {
            let socket = given.take_tcp_listener(index).ok().flatten();
            match socket.and_then(|socket| Some((socket.local_addr().ok()?, socket))) {
                Some(known) => sockets.push(known),
                None => {
                    tracing::warn!(
                        index,
                        "a socket that this process was started with is not one that listens for TCP"
                    );
                }
            }
        }
        Self(sockets)
    }

    /// The one of this address, to accept on. None that has lost its address: a port that the kernel chose is given up when the
    /// socket is shut down.
    ///
    /// # Errors
    /// It is of no use.
    pub fn get(&self, address: SocketAddr) -> Option<io::Result<TcpListener>> {
        let is_at = |kept: &TcpListener| kept.local_addr().is_ok_and(|now| now == address);
        self.0.iter().find(|(its, kept)| *its == address && is_at(kept)).map(|(_, kept)| socket::adopt(kept))
    }

    /// Has those refuse that are not used.
    pub(super) fn silence(&self, is_used: impl Fn(SocketAddr) -> bool) {
        for (address, socket) in self.0.iter().filter(|(address, _)| !is_used(*address)) {
            if let Err(error) = socket::silence(socket) {
                tracing::debug!(%address, %error, "a socket that is not used cannot be told to refuse");
            }
        }
    }

    /// Warns of those that nobody has use for.
    pub(super) fn tell_unused(&self, is_used: impl Fn(SocketAddr) -> bool) {
        for (address, _) in self.0.iter().filter(|(address, _)| !is_used(*address)) {
            tracing::warn!(%address, "started with a socket for an address that no listener of the config has; it refuses");
        }
    }
}
