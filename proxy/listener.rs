//! The accept loop: accepts, asks for a permit, begins the session. It waits for no client.

use std::io;
use std::net;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

mod door;
mod preread;
mod spread;

pub use self::door::Door;
use self::spread::Newcomer;
pub use self::spread::{Assigned, Home, Spread};
use crate::net::socket;
use crate::relay::Stop;
use crate::snapshot::AcceptError;

/// The wait after an accept that failed for want of descriptors or memory; doubles while that lasts, up to
/// [`MAX_BACKOFF`]. Long enough not to spin, short enough for players not to notice one.
const BACKOFF: Duration = Duration::from_millis(50);
/// What doubling ends at: sessions end all the time, so room is likely within a second.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// One worker's accept loop on one address of a listener.
#[derive(Debug)]
pub struct Acceptor {
    /// Where those go who come.
    pub door: Rc<Door>,
    /// Ends the loop.
    pub stop: Rc<Stop>,
}

impl Acceptor {
    /// Accepts until it is told to stop, then takes what already waits in the kernel's queue and closes the socket.
    pub async fn run(self, socket: AsyncFd<net::TcpListener>) {
        let mut backoff = BACKOFF;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.asked() => break,
                accepted = socket.async_io(Interest::READABLE, socket::accept) => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    backoff = BACKOFF;
                    self.door.receive(stream, peer);
                }
                Err(error) => {
                    if self.note_error(&error) == AcceptError::Exhausted {
                        let _stopped = timeout(backoff, self.stop.asked()).await;
                        backoff = (backoff * 2).min(MAX_BACKOFF);
                    }
                }
            }
        }
        if let Err(error) = self.take_waiting(socket.get_ref()) {
            tracing::warn!(listener = %self.door.listener.borrow().name, %error, "clients that were waiting to be accepted are lost");
        }
    }

    /// Begins what the kernel has accepted already: closing the socket would reset it. Asks the kernel itself, because
    /// the runtime may not have heard of the newest connections yet.
    fn take_waiting(&self, socket: &net::TcpListener) -> io::Result<()> {
        loop {
            match socket::accept(socket) {
                Ok((stream, peer)) => self.door.receive(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.note_error(&error) == AcceptError::Connection => {}
                Err(exhausted) => return Err(exhausted),
            }
        }
    }

    fn note_error(&self, error: &io::Error) -> AcceptError {
        let kind = if socket::is_exhaustion(error) { AcceptError::Exhausted } else { AcceptError::Connection };
        let listener = self.door.listener.borrow();
        listener.counts.count_accept_error(kind);
        let listener = &listener.name;
        match kind {
            AcceptError::Exhausted => tracing::warn!(%listener, %error, "cannot accept; trying again soon"),
            AcceptError::Connection => {
                tracing::debug!(%listener, %error, "a connection was gone before it was accepted");
            }
        }
        kind
    }
}
