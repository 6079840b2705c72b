//! A connection to a backend, as requests are sent on it.

use std::error::Error;
use std::io;
use std::mem;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::client::conn::http2;
use hyper::header::{HOST, TRANSFER_ENCODING};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::body::{BodyError, Upload, within};
use super::client::{self, Connection};
use super::download::Download;
use super::executor::OnThisThread;
use super::headers;
use super::timer::Timer;
use super::wire::pieces::Joined;
use crate::config::model::Protocol;
use crate::session::Upstream;

/// Sends requests on one connection.
#[derive(Debug)]
pub enum Sender<B> {
    /// One after the other.
    Http1(Box<Connection<Upstream, B>>),
    /// Many at once; with what their targets begin with.
    Http2(http2::SendRequest<Upload<B>>, Scheme),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The backend closed the connection, or said what is no answer.
    Reset,
    /// It said that it has done nothing with the request (HTTP/2).
    Refused,
    /// It was not there in time.
    Timeout,
    /// The request's body broke off.
    Body,
    /// The request's body did not come on in time.
    BodyTimeout,
}

impl<B> Sender<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// Begins to speak on a connection. `None` if it broke.
    pub async fn begin(upstream: Upstream, protocol: Protocol) -> Option<Self> {
        if protocol == Protocol::Http1 {
            return Some(Self::Http1(Box::new(Connection::new(upstream))));
        }
        let scheme = if matches!(upstream, Upstream::Plain(_)) { Scheme::HTTP } else { Scheme::HTTPS };
        let io = TokioIo::new(Joined(upstream));
        let (sender, connection) =
            http2::Builder::new(OnThisThread).timer(TokioTimer::new()).handshake(io).await.ok()?;
        // It ends when nobody sends on it any more. Whoever sends hears of what went wrong.
        spawn_local(async move { drop(connection.await) });
        Some(Self::Http2(sender, scheme))
    }

    /// Sends a request, and waits for the head of the answer, within the limit that the backend has from now on. What concerns the connection
    /// alone is not in it any more, unless it changes the protocol.
    ///
    /// # Errors
    /// There is none. If nothing of the request was taken, its body is there again.
    pub async fn send(
        self,
        request: &mut Request<Option<Upload<B>>>,
        limit: (Instant, Option<Duration>),
    ) -> Result<Response<Download<B>>, Broken> {
        let awaited = request.body().as_ref().and_then(Upload::awaited);
        match self {
            Self::Http1(mut connection) => {
                let mut timer = mem::take(&mut connection.timer);
                let answered = within(&mut timer, limit, awaited.as_deref(), connection.send(request)).await;
                connection.timer = timer;
                let head = answered.ok_or(Broken::Timeout)??;
                Ok(head.map(|()| Download::Http1(Some(connection))))
            }
            Self::Http2(sender, scheme) => {
                // Boxed, as it is much that HTTP/1.1 does not need.
                let answered = Box::pin(send_by_http2((sender, scheme), request));
                let answered = within(&mut Timer::default(), limit, awaited.as_deref(), answered).await;
                answered.ok_or(Broken::Timeout)?
            }
        }
    }

    /// Whether the connection is gone.
    pub fn is_closed(&mut self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_closed(),
            Self::Http2(sender, _) => sender.is_closed(),
        }
    }
}

impl<B> Sender<B> {
    /// Whether a request can be sent now.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Http1(_) => true,
            Self::Http2(sender, _) => sender.is_ready(),
        }
    }

    /// Another sender on the same connection, if it can have several.
    pub fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender, scheme) => Some(Self::Http2(sender.clone(), scheme.clone())),
        }
    }
}

impl Broken {
    /// What the library says of HTTP/2.
    fn of(error: &hyper::Error) -> Self {
        match error.source() {
            // It had to end the request, but the client may be who broke off.
            Some(why) if error.is_user() => Self::of_body(why),
            Some(why) if why.downcast_ref().is_some_and(is_refusal) => Self::Refused,
            _ => Self::Reset,
        }
    }

    fn of_body(why: &(dyn Error + 'static)) -> Self {
        let is_late = why.downcast_ref::<io::Error>().is_some_and(|why| why.kind() == io::ErrorKind::TimedOut);
        if is_late { Self::BodyTimeout } else { Self::Body }
    }
}

impl From<client::Broken> for Broken {
    fn from(broken: client::Broken) -> Self {
        match broken {
            client::Broken::Reset => Self::Reset,
            client::Broken::Body(why) => Self::of_body(&*why),
        }
    }
}

/// Whether the backend has said that it did nothing with the request (RFC 9113, 8.7): it may be sent again, whatever it is.
fn is_refusal(why: &h2::Error) -> bool {
    match why.reason() {
        Some(h2::Reason::REFUSED_STREAM) => true,
        // It goes away in order, and this request was not among those that it still answers.
        Some(h2::Reason::NO_ERROR) => why.is_go_away() && why.is_remote(),
        _ => false,
    }
}

async fn send_by_http2<B>(
    (mut sender, scheme): (http2::SendRequest<Upload<B>>, Scheme),
    request: &mut Request<Option<Upload<B>>>,
) -> Result<Response<Download<B>>, Broken>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let Some(body) = request.body_mut().take() else { return Err(Broken::Reset) };
    match sender.try_send_request(with_whole_target(request, &scheme).map(|()| body)).await {
        Ok(mut response) => {
            headers::strip(response.headers_mut());
            Ok(response.map(|body| Download::Http2(body, Some(Sender::Http2(sender, scheme)))))
        }
        Err(mut error) => {
            *request.body_mut() = error.take_message().map(Request::into_body);
            Err(Broken::of(&error.into_error()))
        }
    }
}

/// A request's head as HTTP/2 has it: the host is part of the target (RFC 9113, 8.3.1).
fn with_whole_target<T>(request: &Request<T>, scheme: &Scheme) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.version_mut() = Version::HTTP_2;
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    head.headers_mut().remove(TRANSFER_ENCODING);
    let Some(host) = head.headers_mut().remove(HOST) else { return head };
    if let Ok(authority) = Authority::try_from(host.as_bytes()) {
        let mut target = mem::take(head.uri_mut()).into_parts();
        target.scheme = Some(scheme.clone());
        target.authority = Some(authority);
        target.path_and_query = target.path_and_query.or_else(|| Some(PathAndQuery::from_static("/")));
        *head.uri_mut() = Uri::from_parts(target).unwrap_or_default();
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_has_the_host_in_the_target() {
        let request = Request::get("/rooms?x=1").header("host", "a.example:8080").body(()).unwrap();
        let head = with_whole_target(&request, &Scheme::HTTPS);
        assert_eq!(head.uri(), "https://a.example:8080/rooms?x=1");
        assert!(head.headers().is_empty() && head.version() == Version::HTTP_2);
        assert_eq!(request.headers()[HOST], "a.example:8080", "to be sent again, maybe by HTTP/1.1");
    }
}
