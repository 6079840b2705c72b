//! What comes after an upgrade: a session whose bytes pass as they are.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::io::Client;
use super::line::{Line, Parting};
use super::pieces::Joined;
use super::websocket::GOING_AWAY;
use crate::net::client::ClientKey;
use crate::net::tls::{Connection, ToBackend};
use crate::pool::Grant;
use crate::relay::Socket;
use crate::session::{CloseReason, Session};

/// What a client and a backend have agreed on.
#[derive(Debug)]
pub struct Tunnel {
    /// The client's side.
    pub client: OnUpgrade,
    /// The backend's.
    pub backend: OnUpgrade,
    /// The claim on the backend.
    pub grant: Grant,
    /// How long the connect took; nothing, if the connection was warm.
    pub connect: Duration,
    /// Frames of WebSockets pass through it.
    pub is_websocket: bool,
    /// What the client is known again by, beside its address.
    pub player: Option<ClientKey>,
}

/// How long the frame that is under way may take when a session is to end.
const FRAME_PATIENCE: Duration = Duration::from_millis(700);

impl Tunnel {
    /// Lives it on the client's connection, of which `session` is left.
    pub async fn live_on_connection<S: Connection + Send + 'static>(mut self, mut session: Session) {
        let reason = match (&mut self.client).await.map(Upgraded::downcast::<TokioIo<Client<S>>>) {
            Ok(Ok(parts)) => {
                let (client, early) = parts.io.into_inner().into_inner(parts.read_buf);
                self.connect(&mut session, Line::new(client, early)).await
            }
            Ok(Err(_never)) => CloseReason::Killed,
            Err(_gone) => CloseReason::ClientReset,
        };
        session.note_player(self.player);
        session.end(reason);
    }

    /// Lives it on a stream of the client's connection, which has become a session of its own.
    pub async fn live_on_stream(mut self, mut session: Session) {
        let reason = match (&mut self.client).await {
            Ok(stream) => self.connect(&mut session, Line::new(TokioIo::new(stream), Bytes::new())).await,
            Err(_gone) => CloseReason::ClientReset,
        };
        session.note_player(self.player);
        session.end(reason);
    }

    async fn connect<D: Socket>(&mut self, session: &mut Session, client: Line<D>) -> CloseReason {
        session.join(&self.grant.0, &self.grant.1, self.connect);
        let Ok(backend) = (&mut self.backend).await else { return CloseReason::BackendReset };
        match backend.downcast::<TokioIo<Joined<TcpStream>>>() {
            Ok(parts) => self.pass(session, client, Line::new(parts.io.into_inner().0, parts.read_buf)).await,
            Err(backend) => match backend.downcast::<TokioIo<Joined<ToBackend>>>() {
                Ok(parts) => self.pass(session, client, Line::new(parts.io.into_inner().0, parts.read_buf)).await,
                Err(_never) => CloseReason::Killed,
            },
        }
    }

    /// Passes bytes. A client of a WebSocket that is to go is told so, where the backend's words allow it.
    async fn pass<D: Socket, U: Socket>(
        &self,
        session: &Session,
        mut client: Line<D>,
        mut backend: Line<U>,
    ) -> CloseReason {
        let lease = &self.grant.1;
        if !self.is_websocket {
            return session.tunnel((&mut client, &mut backend), lease, session.stop()).await;
        }
        let parting = Rc::new(Parting::default());
        let mut client = client.watched_by(&parting);
        let reason = {
            let mut passing = pin!(session.tunnel((&mut client, &mut backend), lease, parting.stop()));
            tokio::select! {
                biased;
                () = session.stop().asked_beside(parting.stop()) => {
                    parting.leave();
                    timeout(FRAME_PATIENCE, passing).await.unwrap_or_else(|_elapsed| session.stop_reason())
                }
                reason = passing.as_mut() => reason,
            }
        };
        drop(backend);
        if is_from_here(reason) && parting.may_speak() {
            session.speak(&mut client.into_inner(), &GOING_AWAY).await;
        }
        reason
    }
}

/// Whether it was this side that has ended a session, and not client or backend.
fn is_from_here(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::Drained | CloseReason::Killed | CloseReason::IdleTimeout | CloseReason::MaxLifetime)
}
