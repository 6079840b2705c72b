//! What a tunnel lives on.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::task::spawn_local;

use super::busy::Busy;
use super::tunnel::Tunnel;
use crate::admission::Refusal;
use crate::session::Offshoots;

/// What becomes a session of its own kind when a client and a backend have agreed on another protocol.
#[derive(Debug)]
pub enum Ground {
    /// The client's connection, which is left to the tunnel when the answer is out.
    Connection(RefCell<Option<Box<Tunnel>>>),
    /// A stream of it.
    Streams(Rc<Offshoots>),
}

impl Ground {
    /// Has a tunnel become a session.
    ///
    /// # Errors
    /// The house has no room for it.
    pub fn begin(&self, tunnel: Tunnel, busy: &Rc<Busy>) -> Result<(), Refusal> {
        match self {
            Self::Connection(left) => *left.borrow_mut() = Some(Box::new(tunnel)),
            Self::Streams(offshoots) => {
                let (session, counted) = offshoots.begin()?;
                let counted = (counted, busy.work());
                spawn_local(async move {
                    Box::pin(tunnel.live_on_stream(session)).await;
                    drop(counted);
                });
            }
        }
        Ok(())
    }

    /// What is to live on the connection from now on.
    pub fn take(&self) -> Option<Box<Tunnel>> {
        match self {
            Self::Connection(left) => left.take(),
            Self::Streams(_) => None,
        }
    }
}
