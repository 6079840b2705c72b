//! A client's connection that carries requests, from its first byte to its end.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use tokio::time::{Instant, sleep_until, timeout};

use super::busy::Busy;
use super::content::Content;
use super::exchange::Counts;
use super::front::{Front, Fronts};
use super::ground::Ground;
use super::handle::{Handler, Shared};
use super::http2;
use super::io::{Client, Traffic};
use super::line::Line;
use super::patience::{Late, Patience};
use super::reply::Reply;
use super::server::head::Refused;
use super::server::{self, Answered, Server};
use super::tunnel::Tunnel;
use crate::net::first_bytes::{self, Failure};
use crate::net::tls::Connection;
use crate::relay::Asked;
use crate::session::{CloseReason, Session, Visitor};

/// What a connection's requests are answered with.
#[derive(Debug, Clone)]
pub struct Hosting {
    /// The listener's newest version.
    pub front: Arc<ArcSwap<Front>>,
    /// The listener's counts.
    pub counts: Arc<Counts>,
    /// The worker's part.
    pub shared: Rc<Shared>,
}

/// How long a connection without a request stays once all are to end: its client may be sending one at this moment, and would
/// learn only from an answer that no more are taken.
const LINGER: Duration = Duration::from_secs(1);

/// How long the sessions on streams of a connection may take to end when it is asked to: as long as the process waits for
/// their last words.
const LAST_WORDS: Duration = Duration::from_millis(1800);

/// What a client of HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What requests made of a connection.
enum Ended<S> {
    Closed(CloseReason),
    /// It is no more HTTP's.
    Switched(Line<S>, Box<Tunnel>),
}

/// Lives a session that carries requests.
pub async fn serve<S: Connection + 'static>(mut session: Session, stream: S, hosting: Hosting) {
    let visitor = Rc::new(session.visitor());
    let traffic = Traffic::new(&visitor);
    // Of what this proxy says itself; a pool says how long its own answers may wait.
    let limits = hosting.front.load().limits;
    traffic.answers_within(limits.send_within(Some(limits.keepalive)));
    let ended = match is_http2((&session, &visitor), &stream, &hosting).await {
        Ok(is_http2) => {
            let host = Host { session: &session, traffic: &traffic, visitor: Rc::clone(&visitor), hosting };
            if is_http2 { Ended::Closed(host.serve_http2(stream).await) } else { host.serve_http1(stream).await }
        }
        Err(reason) => Ended::Closed(reason),
    };
    session.note_bytes(traffic.bytes());
    session.note_served(&visitor);
    match ended {
        Ended::Closed(reason) => session.end(reason),
        Ended::Switched(client, tunnel) => Box::pin(tunnel.live_on_connection(session, client)).await,
    }
}

/// Which version the client speaks: what TLS has agreed on, or what its first bytes say.
async fn is_http2<S: Connection>(
    (session, visitor): (&Session, &Visitor),
    stream: &S,
    hosting: &Hosting,
) -> Result<bool, CloseReason> {
    if visitor.is_encrypted {
        return Ok(visitor.protocol.as_deref() == Some(b"h2"));
    }
    let mut until = Instant::now() + hosting.front.load().limits.header;
    let seen = first_bytes::wait(stream.tcp(), PREFACE.len(), |bytes| Ok::<_, Infallible>(has_preface(bytes)));
    let mut seen = pin!(seen);
    loop {
        until = leaves_at(session).map_or(until, |leaves_at| leaves_at.min(until));
        tokio::select! {
            biased;
            seen = seen.as_mut() => return match seen {
                Ok(is_http2) => Ok(is_http2),
                // A part of the preface: not a request either.
                Err(Failure::Gone) if first_bytes::has_any(stream.tcp()) => Ok(false),
                Err(Failure::Gone) => Err(CloseReason::ClientClosed),
                Err(Failure::Broken) => Err(CloseReason::ClientReset),
                Err(Failure::Invalid(never)) => match never {},
            },
            asked = asked(session, None) => if asked == Asked::End {
                return Err(session.stop_reason());
            },
            () = sleep_until(until) => return Err(CloseReason::PrereadTimeout),
        }
    }
}

/// When a connection without a request is to be closed because all are to end; `None` while they are not.
fn leaves_at(session: &Session) -> Option<Instant> {
    let left = session.time_left()?;
    Some(Instant::now() + LINGER.min(left / 2))
}

/// Whether bytes begin with the preface; `None` while they may yet.
fn has_preface(bytes: &[u8]) -> Option<bool> {
    match (bytes.starts_with(PREFACE), PREFACE.starts_with(bytes)) {
        (true, _) => Some(true),
        (false, true) => None,
        (false, false) => Some(false),
    }
}

/// Resolves when the session is asked to end, or to tell its client that all do.
async fn asked(session: &Session, traffic: Option<&Traffic>) -> Asked {
    poll_fn(|cx| match session.stop().poll(cx) {
        Asked::Nothing => Poll::Pending,
        // The connection is with whoever serves it, so that nobody here can ask the kernel about it.
        Asked::Measure => {
            traffic.inspect(|traffic| session.note_bytes(traffic.bytes()));
            Poll::Pending
        }
        asked => Poll::Ready(asked),
    })
    .await
}

struct Host<'a> {
    session: &'a Session,
    traffic: &'a Rc<Traffic>,
    visitor: Rc<Visitor>,
    hosting: Hosting,
}

impl Host<'_> {
    async fn serve_http1<S: Connection>(self, stream: S) -> Ended<S> {
        let limits = self.hosting.front.load().limits;
        let patience = Patience::new(self.visitor.accepted_at, limits);
        let client = Client::new(stream, self.traffic, self.session.pacer());
        let (handler, session) = self.handler(Ground::Connection(RefCell::default()));
        handler.leaves_at.set(leaves_at(session));
        let mut server = Server::new(client, patience, Rc::clone(&handler));
        let ended = serve_until_asked(&mut server, &handler, session).await;
        let is_cut = server.is_cut();
        let (client, early) = server.into_parts();
        let client = client.into_inner();
        if is_cut {
            client.break_off();
        }
        match (ended, handler.ground.take()) {
            (Ok(server::Ended::Switched), Some(tunnel)) => Ended::Switched(Line::new(client, early), tunnel),
            (Ok(ended), _) => Ended::Closed(reason_of(&ended)),
            (Err(reason), _) => Ended::Closed(reason),
        }
    }

    async fn serve_http2<S: Connection + 'static>(self, stream: S) -> CloseReason {
        let limits = self.hosting.front.load().limits;
        let client =
            http2::checked::Checked::new(Client::new(stream, self.traffic, self.session.pacer()), limits.header);
        let offshoots = self.session.offshoots();
        let begins_by = self.visitor.accepted_at + limits.header;
        let (handler, session) = self.handler(Ground::Streams(Rc::clone(&offshoots)));
        let begun = begin_http2(session, begins_by, http2::server::Server::begin(client, Rc::clone(&handler))).await;
        let mut server = match begun {
            Ok(server) => server,
            Err(reason) => return reason,
        };
        if leaves_at(session).is_some() {
            server.leave();
        }
        let (mut is_idle, mut is_asked) = (false, false);
        loop {
            tokio::select! {
                ended = poll_fn(|cx| server.poll(cx)) => {
                    return if is_idle { CloseReason::IdleTimeout } else { reason_of_http2(ended) };
                }
                () = handler.busy.idle_for(limits.keepalive + if is_idle { LINGER } else { Duration::ZERO }) => {
                    if is_idle {
                        // It does not even say that it has heard.
                        return CloseReason::IdleTimeout;
                    }
                    is_idle = true;
                    server.leave();
                }
                asked = asked(session, Some(&handler.traffic)), if !is_asked => match asked {
                    Asked::End => {
                        is_asked = true;
                        offshoots.stop_all(session.stop_reason());
                    }
                    _ => server.leave(),
                },
                // What they have to say goes through this connection.
                _late = timeout(LAST_WORDS, offshoots.emptied()), if is_asked => return session.stop_reason(),
            }
        }
    }
}

impl<'a> Host<'a> {
    fn handler(self, ground: Ground) -> (Rc<Handler>, &'a Session) {
        let Self { session, visitor, traffic, hosting: Hosting { front, counts, shared } } = self;
        let traffic = Rc::clone(traffic);
        let address = HeaderValue::from_str(&visitor.client.ip().to_string());
        let address = address.unwrap_or_else(|_never| HeaderValue::from_static("unknown"));
        let (busy, leaves_at) = (Busy::new(), Cell::default());
        let (fronts, counts) = (Fronts::new(front), Rc::new(counts));
        let handler = Handler { visitor, address, fronts, counts, shared, traffic, ground, busy, leaves_at };
        (Rc::new(handler), session)
    }
}

/// Begins with a connection of HTTP/2.
///
/// # Errors
/// It has not begun, for this reason.
async fn begin_http2<T>(
    session: &Session,
    by: Instant,
    beginning: impl Future<Output = Result<T, h2::Error>>,
) -> Result<T, CloseReason> {
    let mut beginning = pin!(beginning);
    loop {
        tokio::select! {
            biased;
            begun = beginning.as_mut() => return begun.map_err(|why| {
                if why.is_io() { CloseReason::ClientReset } else { CloseReason::PrereadInvalid }
            }),
            asked = asked(session, None) => if asked == Asked::End {
                return Err(session.stop_reason());
            },
            () = sleep_until(by) => return Err(CloseReason::PrereadTimeout),
        }
    }
}

/// Answers requests until the connection ends.
///
/// # Errors
/// It is to end, for this reason.
async fn serve_until_asked<S: Connection>(
    server: &mut Server<Client<S>, Rc<Handler>>,
    handler: &Handler,
    session: &Session,
) -> Result<server::Ended, CloseReason> {
    let mut serving = pin!(server.run());
    loop {
        // When that has come, who waits for a request looks at it.
        let leaves = handler.leaves_at.get().filter(|&at| at > Instant::now());
        tokio::select! {
            biased;
            ended = serving.as_mut() => return Ok(ended),
            asked = asked(session, Some(&handler.traffic)) => match asked {
                Asked::End => return Err(session.stop_reason()),
                _ => handler.leaves_at.set(handler.leaves_at.get().or_else(|| leaves_at(session))),
            },
            () = sleep_until(leaves.unwrap_or_else(Instant::now)), if leaves.is_some() => {}
        }
    }
}

impl server::Service for Rc<Handler> {
    type Reply = Reply;

    fn answer(&self, request: Request<Content>) -> Pin<Box<dyn Future<Output = Answered<Reply>>>> {
        Self::clone(self).answer(request)
    }

    fn refuse(&self, why: Refused) -> Response<Reply> {
        Handler::refuse(self, why.reason())
    }

    fn leaves_at(&self) -> Option<Instant> {
        self.leaves_at.get()
    }

    fn patience(&self) -> Option<Duration> {
        self.traffic.patience()
    }
}

/// How a connection of HTTP/1.1 ended.
fn reason_of(ended: &server::Ended) -> CloseReason {
    match ended {
        // What was no request has been answered, counted and logged as one.
        server::Ended::Closed | server::Ended::Invalid(_) => CloseReason::ClientClosed,
        server::Ended::Broken | server::Ended::Switched => CloseReason::ClientReset,
        server::Ended::Late(Late::Head) => CloseReason::PrereadTimeout,
        server::Ended::Late(Late::Silent) => CloseReason::IdleTimeout,
    }
}

/// How a connection of HTTP/2 ended.
fn reason_of_http2(ended: http2::server::Ended) -> CloseReason {
    match ended {
        http2::server::Ended::Closed => CloseReason::ClientClosed,
        http2::server::Ended::Broken => CloseReason::ClientReset,
        http2::server::Ended::Late => CloseReason::PrereadTimeout,
        http2::server::Ended::Abusive => CloseReason::RateLimited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_known_from_the_first_byte_that_differs() {
        for length in 0..PREFACE.len() {
            assert_eq!(has_preface(&PREFACE[..length]), None, "{length} bytes");
        }
        assert_eq!(has_preface(PREFACE), Some(true));
        assert_eq!(has_preface(&[PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat()), Some(true));
        assert_eq!(has_preface(b"PRI * HTTP/1"), Some(false));
        assert_eq!(has_preface(b"PUT"), Some(false));
        assert_eq!(has_preface(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Some(false));
    }
}
