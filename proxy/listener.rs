//! The accept loop: accepts, asks for a permit, begins the session. It waits for no client.

use std::io;
use std::net::{self, SocketAddr};
use std::rc::Rc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

mod backoff;
mod door;
mod preread;
mod spread;
#[cfg(test)]
mod tests;

use self::backoff::Backoff;
pub use self::door::Door;
use self::spread::Newcomer;
pub use self::spread::{Assigned, Home, Spread};
use crate::net::socket;
use crate::relay::Stop;
use crate::snapshot::AcceptError;

/// Connections that a worker takes in between two polls of the I/O driver: few, because each begins a session, and in a flood the
/// next ones always wait already. HAProxy's `tune.maxaccept` has the same default.
const ACCEPTS_PER_TURN: u32 = 4;

/// One worker's accept loop on one address of a listener.
#[derive(Debug)]
pub struct Acceptor {
    /// The address in the file.
    pub address: SocketAddr,
    /// Where those go who come.
    pub door: Rc<Door>,
    /// Ends the loop.
    pub stop: Rc<Stop>,
    /// Accepts in this turn.
    accepts: u32,
}

impl Acceptor {
    /// Accepts on an address, for a listener.
    pub fn new(address: SocketAddr, door: Rc<Door>, stop: Rc<Stop>) -> Self {
        Self { address, door, stop, accepts: 0 }
    }

    /// Accepts until it is told to stop, then takes what already waits in the kernel's queue. The socket is closed when it is
    /// over, which is also when it does not listen any more.
    pub async fn run(mut self, socket: AsyncFd<net::TcpListener>) {
        match self.accept_until_stopped(&socket).await {
            Ok(()) => self.take_waiting(socket.get_ref()).await,
            Err(error) => self.note_lost(&error),
        }
    }

    /// # Errors
    /// The socket does not listen any more.
    async fn accept_until_stopped(&mut self, socket: &AsyncFd<net::TcpListener>) -> io::Result<()> {
        let mut backoff = Backoff::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.asked() => return Ok(()),
                accepted = socket.async_io(Interest::READABLE, socket::accept) => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    backoff.reset();
                    self.door.receive(stream, peer);
                }
                Err(error) => {
                    let kind = self.note_error(socket.get_ref(), &error);
                    if kind == AcceptError::Unusable {
                        return Err(error);
                    }
                    if let Some(pause) = backoff.after(kind) {
                        let _stopped = timeout(pause, self.stop.asked()).await;
                    }
                }
            }
            self.await_turn().await;
        }
    }

    /// Begins what the kernel has accepted already: closing the socket would reset it. Asks the kernel itself, because
    /// the runtime may not have heard of the newest connections yet. Those are no more than its queue holds; who comes while it
    /// is emptied may be taken in, too.
    async fn take_waiting(&mut self, socket: &net::TcpListener) {
        for _ in 0..socket::BACKLOG {
            match socket::accept(socket) {
                Ok((stream, peer)) => self.door.receive(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => match self.note_error(socket, &error) {
                    AcceptError::Connection => {}
                    AcceptError::Exhausted | AcceptError::Unusable => {
                        let listener = self.door.listener.borrow();
                        tracing::warn!(listener = %listener.name, %error, "clients that were waiting to be accepted are lost");
                        return;
                    }
                },
            }
            self.await_turn().await;
        }
    }

    /// Leaves others their turn after some accepts, failed ones included.
    async fn await_turn(&mut self) {
        self.accepts += 1;
        if self.accepts >= ACCEPTS_PER_TURN {
            self.accepts = 0;
            self.door.home.local.accept_turns().turn().await;
        }
    }

    fn note_error(&self, socket: &net::TcpListener, error: &io::Error) -> AcceptError {
        let kind = if socket::is_exhaustion(error) {
            AcceptError::Exhausted
        } else if socket::is_listening(socket) {
            AcceptError::Connection
        } else {
            AcceptError::Unusable
        };
        let listener = self.door.listener.borrow();
        listener.counts.count_accept_error(kind);
        let listener = &listener.name;
        match kind {
            AcceptError::Exhausted => tracing::warn!(%listener, %error, "cannot accept; trying again soon"),
            AcceptError::Connection => {
                tracing::debug!(%listener, %error, "a connection was gone before it was accepted");
            }
            // Said when the socket is given up.
            AcceptError::Unusable => {}
        }
        kind
    }

    /// The socket was shut down, by another process that has it open, or by the kernel.
    fn note_lost(&self, error: &io::Error) {
        let listener = self.door.listener.borrow();
        listener.counts.note_lost(self.address);
        let address = self.address;
        tracing::error!(
            listener = %listener.name, %address, %error,
            "the listening socket was shut down from outside and is closed; a reload (SIGHUP) opens it again"
        );
    }
}
