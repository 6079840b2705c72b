//! What a client says before a backend is chosen: where it wants to go.

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{CloseReason, Edge, Farewell, Session, waiting};
use crate::net::client_hello::{self, ClientHello};
use crate::net::first_bytes::{self, Failure};
use crate::relay::Socket as _;

impl Session {
    /// Lives the session once its client has said by TLS where it wants to go. What it said stays in the stream.
    pub async fn run_by_name(mut self, edge: &Edge, downstream: TcpStream) {
        let reason = match self.hear_name(edge, &downstream).await {
            Ok(()) => return self.run(downstream).await,
            Err(reason) => reason,
        };
        self.finish(reason, &downstream);
        if reason == CloseReason::PrereadInvalid {
            self.part(Farewell::unrecognized_name(), downstream).await;
        }
    }

    async fn hear_name(&mut self, edge: &Edge, downstream: &TcpStream) -> Result<(), CloseReason> {
        let turn = self.permit.take_turn();
        let said = async {
            if let Some(turn) = turn {
                waiting::for_turn(turn, downstream).await?;
            }
            hello(edge, downstream).await
        };
        let hello = tokio::select! {
            biased;
            () = self.place.stop().asked() => return Err(self.place.stop_reason()),
            said = said => said?,
        };
        if let Some(pool) = edge.pool_for(&hello) {
            self.record.lead_to(pool);
        }
        if let Some(name) = hello.server_name {
            self.record.know().server_name = Some(name);
        }
        if self.record.pool().is_some() { Ok(()) } else { Err(CloseReason::PrereadInvalid) }
    }
}

/// Waits for the client's first message.
async fn hello(edge: &Edge, downstream: &TcpStream) -> Result<ClientHello, CloseReason> {
    let hello = first_bytes::wait(downstream, client_hello::LENGTH_MAX, client_hello::parse);
    match timeout(edge.preread_timeout, hello).await {
        Ok(Ok(hello)) => Ok(hello),
        Ok(Err(Failure::Invalid(why))) => {
            tracing::debug!(%why, "a client does not say where it wants to go");
            Err(CloseReason::PrereadInvalid)
        }
        Ok(Err(Failure::Gone)) if downstream.is_broken() => Err(CloseReason::ClientReset),
        Ok(Err(Failure::Gone)) => Err(CloseReason::ClientClosed),
        Err(_elapsed) => Err(CloseReason::PrereadTimeout),
    }
}
