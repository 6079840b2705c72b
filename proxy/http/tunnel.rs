//! What comes after an upgrade: a session whose bytes pass as they are.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::time::timeout;

use super::http2::stream::Opening;
use super::line::{Line, Parting};
use super::websocket::GOING_AWAY;
use crate::admission::Who;
use crate::net::tls::Connection;
use crate::pool::{Grant, Lease};
use crate::relay::Socket;
use crate::session::{CloseReason, Session, Upstream};

/// What a client and a backend have agreed on.
#[derive(Debug)]
pub struct Tunnel {
    /// What the client's stream becomes; `None` where it is the whole connection.
    pub stream: Option<Opening>,
    /// The backend's, and what it has said already.
    pub backend: (Upstream, Bytes),
    /// The claim on the backend.
    pub grant: Grant,
    /// How long the connect took; nothing, if the connection was warm.
    pub connect: Duration,
    /// Frames of WebSockets pass through it.
    pub is_websocket: bool,
    /// What the client is known again by.
    pub who: Who,
}

/// How long the frame that is under way may take when a session is to end.
const FRAME_PATIENCE: Duration = Duration::from_millis(700);

impl Tunnel {
    /// Lives it on the client's connection, of which `session` is left.
    pub async fn live_on_connection<S: Connection>(self, mut session: Session, client: Line<S>) {
        let who = self.who;
        let reason = self.connect(&mut session, client).await;
        session.note_served_until_now(who);
        session.end(reason);
    }

    /// Lives it on a stream of the client's connection, which has become a session of its own.
    pub async fn live_on_stream(mut self, mut session: Session) {
        let who = self.who;
        let reason = match self.stream.take() {
            Some(stream) => match stream.open().await {
                Some(stream) => self.connect(&mut session, Line::new(stream, Bytes::new())).await,
                None => CloseReason::ClientReset,
            },
            None => CloseReason::Killed,
        };
        session.note_served_until_now(who);
        session.end(reason);
    }

    async fn connect<D: Socket>(self, session: &mut Session, client: Line<D>) -> CloseReason {
        let Self { backend: (upstream, early), grant: (pool, lease), connect, is_websocket, .. } = self;
        session.join(&pool, &lease, connect);
        if lease.is_ended() {
            return CloseReason::Killed;
        }
        let tunnel = (&*session, &lease, is_websocket);
        match upstream {
            Upstream::Plain(stream) => pass(tunnel, client, Line::new(stream, early)).await,
            Upstream::Encrypted(stream) => pass(tunnel, client, Line::new(stream, early)).await,
        }
    }
}

/// Passes bytes. A client of a WebSocket that is to go is told so, where the backend's words allow it.
async fn pass<D: Socket, U: Socket>(
    (session, lease, is_websocket): (&Session, &Lease, bool),
    mut client: Line<D>,
    mut backend: Line<U>,
) -> CloseReason {
    if !is_websocket {
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

/// Whether it was this side that has ended a session, and not client or backend.
fn is_from_here(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::Drained | CloseReason::Killed | CloseReason::IdleTimeout | CloseReason::MaxLifetime)
}
