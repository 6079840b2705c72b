//! A connection to a backend, as requests are sent on it.

use hyper::body::{Body, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::{Authority, Parts, PathAndQuery, Scheme};
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_local;

use super::body::BodyError;
use super::executor::OnThisThread;
use super::pieces::Joined;
use crate::config::model::Protocol;

/// Bytes of an answer that are taken from a backend at once. The library would read up to 400 KiB, and hold that three times over
/// for a client that does not read.
const BUFFER_MAX: usize = 64 * 1024;

/// Sends requests on one connection.
#[derive(Debug)]
pub enum Sender<B> {
    /// One after the other.
    Http1(http1::SendRequest<B>),
    /// Many at once; with what their targets begin with.
    Http2(http2::SendRequest<B>, Scheme),
}

impl<B> Sender<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BodyError>,
{
    /// Begins to speak on a connection, which is left to a task of its own and ends when nobody sends on it any more. `None` if it
    /// broke.
    pub async fn begin<S>(stream: S, protocol: Protocol, scheme: Scheme) -> Option<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(Joined(stream));
        // Whoever sends hears of what went wrong.
        match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::Builder::new().max_buf_size(BUFFER_MAX).handshake(io).await.ok()?;
                spawn_local(async move { drop(connection.with_upgrades().await) });
                Some(Self::Http1(sender))
            }
            Protocol::Http2 => {
                let (sender, connection) =
                    http2::Builder::new(OnThisThread).timer(TokioTimer::new()).handshake(io).await.ok()?;
                spawn_local(async move { drop(connection.await) });
                Some(Self::Http2(sender, scheme))
            }
        }
    }

    /// Sends a request, and waits for the head of the answer.
    ///
    /// # Errors
    /// The connection broke. The request comes back if nothing of it was taken.
    pub async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(with_host_and_length(request)).await,
            Self::Http2(sender, scheme) => sender.try_send_request(with_whole_target(request, scheme)).await,
        }
    }
}

impl<B> Sender<B> {
    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender, _) => sender.is_closed(),
        }
    }

    /// Whether a request can be sent now.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
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

/// In HTTP/1.1 the host is a header; a request that comes back from a connection of HTTP/2 has it in its target. And what the
/// library would leave out, for it takes the methods that seldom have a body as if they never had one.
fn with_host_and_length<B: Body>(mut request: Request<B>) -> Request<B> {
    *request.version_mut() = Version::HTTP_11;
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
        let mut target = Parts::default();
        target.path_and_query = std::mem::take(request.uri_mut()).into_parts().path_and_query;
        *request.uri_mut() = Uri::from_parts(target).unwrap_or_default();
    }
    let is_unknown = !request.body().is_end_stream() && request.body().size_hint().exact().is_none();
    if is_unknown && !request.headers().contains_key(CONTENT_LENGTH) {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    request
}

/// In HTTP/2 the host is part of the target (RFC 9113, 8.3.1).
fn with_whole_target<B>(mut request: Request<B>, scheme: &Scheme) -> Request<B> {
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(TRANSFER_ENCODING);
    let Some(host) = request.headers_mut().remove(HOST) else { return request };
    if let Ok(authority) = Authority::try_from(host.as_bytes()) {
        let mut target = std::mem::take(request.uri_mut()).into_parts();
        target.scheme = Some(scheme.clone());
        target.authority = Some(authority);
        target.path_and_query = target.path_and_query.or_else(|| Some(PathAndQuery::from_static("/")));
        *request.uri_mut() = Uri::from_parts(target).unwrap_or_default();
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_has_the_host_in_the_target() {
        let request = Request::get("/rooms?x=1").header("host", "a.example:8080").body(()).unwrap();
        let request = with_whole_target(request, &Scheme::HTTPS);
        assert_eq!(request.uri(), "https://a.example:8080/rooms?x=1");
        assert!(request.headers().is_empty() && request.version() == Version::HTTP_2);
        // What comes back untaken is sent again.
        let request = with_whole_target(request, &Scheme::HTTPS);
        assert_eq!(request.uri(), "https://a.example:8080/rooms?x=1");
        // To a pool that stands in, which speaks HTTP/1.1.
        let request = with_host_and_length(request.map(|()| http_body_util::Empty::<hyper::body::Bytes>::new()));
        assert_eq!((request.uri().to_string().as_str(), request.version()), ("/rooms?x=1", Version::HTTP_11));
        assert_eq!(request.headers()[HOST], "a.example:8080");
    }
}
