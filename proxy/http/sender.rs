//! A request on a connection to a backend, as both versions of HTTP have it.

use std::error::Error;
use std::io;
use std::mem;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::{Request, Response};
use tokio::time::Instant;

use super::body::{BodyError, Upload, within};
use super::client::{self, Connection};
use crate::session::Upstream;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The backend closed the connection, or said what is no answer.
    Reset,
    /// It said that it has done nothing with the request (HTTP/2).
    Refused,
    /// It said that it goes away, and has done nothing with the request (HTTP/2).
    Leaving,
    /// The connection was gone before the request was sent (HTTP/2).
    Unsent,
    /// It was not there in time.
    Timeout,
    /// The request's body broke off.
    Body,
    /// The request's body did not come on in time.
    BodyTimeout,
}

/// Sends a request by HTTP/1.1, and waits for the head of the answer, within the limit that the backend has from now on.
///
/// # Errors
/// There is none. If nothing of the request was taken, its body is there again.
pub async fn send<B>(
    mut connection: Box<Connection<Upstream, B>>,
    request: &mut Request<Option<Upload<B>>>,
    limit: (Instant, Option<Duration>),
) -> Result<Response<Box<Connection<Upstream, B>>>, Broken>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let awaited = request.body().as_ref().and_then(Upload::awaited);
    let mut timer = mem::take(&mut connection.timer);
    let answered = within(&mut timer, limit, awaited.as_deref(), connection.send(request)).await;
    connection.timer = timer;
    let head = answered.ok_or(Broken::Timeout)??;
    Ok(head.map(|()| connection))
}

impl Broken {
    /// The request's body broke off, for this reason.
    pub fn of_body(why: &(dyn Error + 'static)) -> Self {
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
