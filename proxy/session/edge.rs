//! What a listener wants of a client before a backend is chosen.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::CloseReason;
use super::preread::Unheard;
use crate::admission::{Memory, Turn, pace};
use crate::config::model::{ClientAuth, Route, Termination};
use crate::net::client_hello;
use crate::net::first_bytes::{self, Failure};
use crate::net::tls::{FromClient, handshake, server};
use crate::pool::Pool;
use crate::queue::{Class, Full};

/// Whether a client's TLS ends here, and where clients go by what they say.
#[derive(Debug)]
pub struct Edge {
    /// `None` is that TLS is passed on as it comes.
    pub tls: Option<Arc<Terminator>>,
    /// How fast handshakes are begun; `None` is as clients come.
    pub handshakes: Option<pace::Rule>,
    /// The first that takes a client is where it goes.
    pub routes: Vec<(Route, Arc<Pool>)>,
    /// How long a client may take to say where it wants to go, if its TLS does not end here.
    pub preread_timeout: Duration,
}

/// This side of clients' TLS.
#[derive(Debug)]
pub struct Terminator {
    /// What it is made from.
    pub termination: Termination,
    /// Or why every handshake fails: never seen with files that could be read.
    config: Result<Arc<ServerConfig>, String>,
}

impl Edge {
    /// Where a client goes that asks for this, if it is not to go where all go.
    pub fn pool_for(&self, host: Option<&str>, protocols: &[&[u8]]) -> Option<&Arc<Pool>> {
        let found = self.routes.iter().find(|(route, _)| route.takes(host, protocols));
        found.map(|(_, pool)| pool)
    }

    /// Lets a handshake begin, or gives it a place in the listener's line.
    ///
    /// # Errors
    /// So many wait already.
    pub(super) fn handshake_turn(&self, memory: &Memory, class: impl FnOnce() -> Class) -> Result<Option<Turn>, Full> {
        self.handshakes.as_ref().map_or(Ok(None), |rule| memory.handshakes().come(rule, class, Instant::now()))
    }
}

impl Terminator {
    /// What a listener's config says.
    pub fn new(termination: Termination) -> Self {
        Self { config: server::config(&termination).map_err(|error| error.to_string()), termination }
    }

    /// Waits for the client's first message.
    pub(super) async fn hear(&self, downstream: &TcpStream) -> Result<(), Unheard> {
        timeout(self.termination.handshake_timeout, first_message(downstream)).await.unwrap_or_else(|_elapsed| late())
    }

    /// Does the handshake with a client whose first message has come, as one of those for whom there are slots.
    pub(super) async fn accept(
        &self,
        downstream: TcpStream,
        (slots, steps): (&Semaphore, &Semaphore),
    ) -> Result<FromClient, Unheard> {
        let config = self.config.as_ref().map_err(|why| failed(why.clone()))?;
        let verifies_clients = self.termination.client_auth != ClientAuth::Off;
        let handshake = async {
            // It is never closed.
            let _slot = slots.acquire().await;
            let accepted = handshake::accept(downstream, (config, verifies_clients), steps, || in_the_way(slots)).await;
            accepted.map_err(|error| failed(error.to_string()))
        };
        // Boxed, so that a session carries it no longer than it takes.
        timeout(self.termination.handshake_timeout, Box::pin(handshake)).await.unwrap_or_else(|_elapsed| late())
    }
}

fn failed(why: String) -> Unheard {
    Unheard { reason: CloseReason::TlsFailed, why: Some(why) }
}

fn late<T>() -> Result<T, Unheard> {
    Err(failed("the handshake took too long".to_owned()))
}

/// Resolves when a client has had time for a round trip and a lost packet, and others need its slot: so many who say nothing more
/// keep nobody waiting for longer than that.
async fn in_the_way(slots: &Semaphore) -> io::Error {
    const ENOUGH: Duration = Duration::from_secs(1);
    const LOOK: Duration = Duration::from_millis(200);
    sleep(ENOUGH).await;
    while slots.available_permits() > 0 {
        sleep(LOOK).await;
    }
    io::Error::other("the handshake took its time while others waited for theirs")
}

/// Waits for the whole of it, in the kernel: who takes his time takes no slot. What comes instead is for rustls to answer.
async fn first_message(downstream: &TcpStream) -> Result<(), Unheard> {
    match first_bytes::wait(downstream, client_hello::LENGTH_MAX, client_hello::parse).await {
        Err(Failure::Gone) if !first_bytes::has_any(downstream) => Err(CloseReason::ClientClosed.into()),
        Err(Failure::Broken) => Err(CloseReason::ClientReset.into()),
        _begun => Ok(()),
    }
}
