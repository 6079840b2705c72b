//! What comes before a backend is chosen: the client's turn, and then what it says of where it wants to go.

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::edge::{Edge, Terminator};
use super::{CloseReason, Farewell, Session, waiting};
use crate::config::scalar::canonical_host;
use crate::net::client_hello::{self, ClientHello};
use crate::net::first_bytes::{self, Failure};
use crate::net::tls::FromClient;
use crate::net::tls::facts::Facts;
use crate::queue::Full;

/// Why a client was not heard: the reason of the session's end, and what was wrong with what came, if anything did.
#[derive(Debug)]
pub(super) struct Unheard {
    pub(super) reason: CloseReason,
    pub(super) why: Option<String>,
}

/// A session that has heard all it has to know before a backend is chosen, and its client's connection.
#[derive(Debug)]
pub enum Opened {
    /// As it came.
    Plain(Session, TcpStream),
    /// Its TLS ends here.
    Encrypted(Session, FromClient),
}

impl Session {
    /// Waits for the session's turn, if it has to, and hears what there is to hear first. `None` if that was its end.
    pub async fn open(mut self, edge: Option<&Edge>, downstream: TcpStream) -> Option<Opened> {
        if let Err(unheard) = self.await_turn(&downstream).await {
            return self.give_up(unheard, Some(&downstream));
        }
        match edge {
            None => Some(Opened::Plain(self, downstream)),
            Some(edge) => match &edge.tls {
                Some(tls) => self.open_encrypted(edge, tls, downstream).await,
                None => self.open_by_name(edge, downstream).await,
            },
        }
    }

    /// The client says by TLS where it wants to go. What it said stays in the stream.
    async fn open_by_name(mut self, edge: &Edge, downstream: TcpStream) -> Option<Opened> {
        let ClientHello { server_name, is_name_unusable, protocols } =
            match self.unless_stopped(hello(edge, &downstream)).await {
                Ok(hello) => hello,
                Err(unheard) => return self.give_up(unheard, Some(&downstream)),
            };
        if self.choose(edge, server_name, &protocols.iter().collect::<Vec<_>>()) {
            return Some(Opened::Plain(self, downstream));
        }
        if is_name_unusable {
            self.record.know().why = Some("a server name that is none".to_owned());
        }
        self.finish(CloseReason::PrereadInvalid, Some(&downstream));
        self.part(Farewell::unrecognized_name(), downstream).await;
        None
    }

    /// The client's TLS ends here.
    async fn open_encrypted(mut self, edge: &Edge, tls: &Terminator, downstream: TcpStream) -> Option<Opened> {
        let accepted = async {
            tls.hear(&downstream).await?;
            self.await_handshake(edge, &downstream).await?;
            tls.accept(downstream, self.place.handshakes()).await
        };
        let stream = match self.unless_stopped(accepted).await {
            Ok(stream) => stream,
            Err(unheard) => return self.give_up(unheard, None),
        };
        let connection = stream.get_ref().1;
        let (facts, host) = (Facts::of(connection), connection.server_name().map(str::to_owned));
        let leads_somewhere = self.choose(edge, host, facts.protocol.as_deref().as_slice());
        self.record.know().tls = Some(facts);
        if leads_somewhere {
            return Some(Opened::Encrypted(self, stream));
        }
        self.finish(CloseReason::PrereadInvalid, Some(stream.get_ref().0));
        self.part(Farewell::wordless(), stream).await;
        None
    }

    /// Waits until the listener lets the session in, if it has to.
    async fn await_turn(&mut self, downstream: &TcpStream) -> Result<(), Unheard> {
        match self.permit.take_turn() {
            Some(turn) => self.unless_stopped(async { Ok(waiting::for_turn(turn, downstream).await?) }).await,
            None => Ok(()),
        }
    }

    /// Waits until the listener lets the handshake begin, if it has to.
    async fn await_handshake(&self, edge: &Edge, downstream: &TcpStream) -> Result<(), CloseReason> {
        let memory = self.record.tally().memory();
        let turn = edge.handshake_turn(memory, || self.permit.class(memory, self.record.client()));
        match turn.map_err(|Full| CloseReason::QueueFull)? {
            Some(turn) => waiting::for_turn(turn, downstream).await,
            None => Ok(()),
        }
    }

    async fn unless_stopped<T>(&self, heard: impl Future<Output = Result<T, Unheard>>) -> Result<T, Unheard> {
        tokio::select! {
            biased;
            () = self.place.stop().asked() => Err(self.place.stop_reason().into()),
            heard = heard => heard,
        }
    }

    /// Notes what the client asked for. Whether there is somewhere to go.
    fn choose(&mut self, edge: &Edge, host: Option<String>, protocols: &[&[u8]]) -> bool {
        let host = host.as_deref().map(canonical_host);
        if let Some(pool) = edge.pool_for(host.as_deref(), protocols) {
            self.record.lead_to(pool);
        }
        if host.is_some() {
            self.record.know().server_name = host;
        }
        self.record.pool().is_some()
    }

    /// The end of a session that was not heard: nothing is opened.
    fn give_up(&mut self, unheard: Unheard, downstream: Option<&TcpStream>) -> Option<Opened> {
        if unheard.why.is_some() {
            self.record.know().why = unheard.why;
        }
        self.finish(unheard.reason, downstream);
        None
    }
}

/// Waits for the client's first message.
async fn hello(edge: &Edge, downstream: &TcpStream) -> Result<ClientHello, Unheard> {
    let hello = first_bytes::wait(downstream, client_hello::LENGTH_MAX, client_hello::parse);
    match timeout(edge.preread_timeout, hello).await {
        Ok(Ok(hello)) => Ok(hello),
        Ok(Err(Failure::Invalid(why))) => {
            Err(Unheard { reason: CloseReason::PrereadInvalid, why: Some(why.to_string()) })
        }
        Ok(Err(Failure::Gone)) => Err(CloseReason::ClientClosed.into()),
        Ok(Err(Failure::Broken)) => Err(CloseReason::ClientReset.into()),
        Err(_elapsed) => Err(CloseReason::PrereadTimeout.into()),
    }
}

impl From<CloseReason> for Unheard {
    fn from(reason: CloseReason) -> Self {
        Self { reason, why: None }
    }
}
