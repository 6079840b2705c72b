//! A request on its way to a backend, and the head of its answer on the way back.
//!
//! A request is sent a second time only where that cannot do anything twice: where no connection came to stand; where it went out
//! on a warm connection that the backend had closed, before any of it was taken; or, where it may be done twice, on one that the
//! backend closed instead of answering. What that costs a sick pool is bounded by its budget.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::body::{BodyError, Upload};
use super::budget::Budget;
use super::warm::Warm;
use crate::net::client::ClientKey;
use crate::pool::{self, Failure, Grant, Lease, Pool};
use crate::session::Upstream;

/// What has come of a request.
#[derive(Debug)]
pub struct Reached<B> {
    /// The answer's head; its body comes on.
    pub response: Response<Incoming>,
    /// The claim on the backend, for as long as the answer takes.
    pub lease: Lease,
    /// The pool that gave it.
    pub pool: Arc<Pool>,
    /// How long the connect took; nothing, if a connection stood already.
    pub connect: Duration,
    /// The connection, for another request when this one is over.
    pub sender: SendRequest<B>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// No backend is eligible, or has room.
    NoBackend,
    /// None that was tried could be reached.
    Connect,
    /// The connection broke before the answer's head had come.
    Reset,
    /// The answer's head did not come in the pool's `request_timeout`.
    Timeout,
}

/// What forwarding works with.
#[derive(Debug)]
pub struct Forward<'a, B> {
    /// The worker's warm connections.
    pub warm: &'a Warm<Upload<B>>,
    /// What may be tried again.
    pub budget: &'a std::cell::RefCell<Budget>,
    /// Whom the choice of a backend goes by.
    pub client: ClientKey,
}

/// How a connection that was used came out.
enum Sent<B> {
    Answered(Response<Incoming>, SendRequest<B>),
    /// Nothing of it was taken; here it is again.
    Refused(Request<B>),
    Failed(Failed),
}

impl<B> Reached<B> {
    /// Whether the backend speaks another protocol from here on.
    pub fn has_switched(&self) -> bool {
        self.response.status() == StatusCode::SWITCHING_PROTOCOLS
    }
}

impl<B> Forward<'_, B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BodyError>,
{
    /// Sends a request to a backend of the pool.
    ///
    /// # Errors
    /// Nobody has answered it.
    pub async fn send(&self, pool: &Arc<Pool>, mut request: Request<Upload<B>>) -> Result<Reached<Upload<B>>, Failed> {
        self.budget.borrow_mut().note_request(Instant::now());
        let mut ask = pool::Request::new(self.client);
        let mut failed = Failed::NoBackend;
        for attempt in 0..=pool.timeouts().retries {
            if attempt > 0 && !self.budget.borrow_mut().retry(Instant::now()) {
                break;
            }
            let Some((giver, lease)) = pool.lease(&ask, Instant::now()) else { break };
            if attempt > 0 {
                giver.count_retry();
            }
            // First where a connection stands already, then on a fresh one.
            if let Some(sender) = self.warm.take(lease.backend(), Instant::now()) {
                let again = copy(&request);
                match exchange(&giver, sender, request).await {
                    Sent::Answered(response, sender) => {
                        return Ok(reached(response, (giver, lease), (sender, Duration::ZERO)));
                    }
                    Sent::Refused(back) => request = back,
                    Sent::Failed(Failed::Reset) if again.is_some() => request = again.ok_or(Failed::Reset)?,
                    Sent::Failed(why) => return Err(blame(&lease, why)),
                }
            }
            let Some((sender, took)) = connect(&giver, &lease).await else {
                failed = Failed::Connect;
                ask.failed_by(lease.backend());
                continue;
            };
            match exchange(&giver, sender, request).await {
                Sent::Answered(response, sender) => return Ok(reached(response, (giver, lease), (sender, took))),
                Sent::Refused(back) => request = back,
                Sent::Failed(why) => return Err(blame(&lease, why)),
            }
            failed = blame(&lease, Failed::Reset);
            ask.failed_by(lease.backend());
        }
        Err(failed)
    }
}

fn reached<B>(
    response: Response<Incoming>,
    (pool, lease): Grant,
    (sender, connect): (SendRequest<B>, Duration),
) -> Reached<B> {
    lease.succeeded(Instant::now());
    Reached { response, lease, pool, connect, sender }
}

/// The same request again, if it may be sent twice: it has no body, and does nothing more the second time (RFC 9110, 9.2.2).
fn copy<B>(request: &Request<Upload<B>>) -> Option<Request<Upload<B>>> {
    (matches!(request.body(), Upload::Empty) && request.method().is_idempotent()).then(|| {
        let mut copy = Request::new(Upload::Empty);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        copy
    })
}

/// Sends on one connection, and waits for the answer's head.
async fn exchange<B>(pool: &Pool, mut sender: SendRequest<Upload<B>>, request: Request<Upload<B>>) -> Sent<Upload<B>>
where
    B: Body + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let answer = sender.try_send_request(request);
    match within(pool.timeouts().session.request, answer).await {
        Some(Ok(response)) => Sent::Answered(response, sender),
        Some(Err(mut error)) => match error.take_message() {
            Some(request) => Sent::Refused(request),
            None => Sent::Failed(Failed::Reset),
        },
        None => Sent::Failed(Failed::Timeout),
    }
}

async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

/// A fresh connection, and how long that took; `None` if the backend cannot be reached.
async fn connect<B>(pool: &Pool, lease: &Lease) -> Option<(SendRequest<Upload<B>>, Duration)>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BodyError>,
{
    let until = Instant::now() + pool.timeouts().connect;
    let (upstream, took) = Upstream::dial(pool, lease, None, until).await?;
    let sender = match upstream {
        Upstream::Plain(stream) => drive(stream).await,
        Upstream::Encrypted(stream) => drive(stream).await,
    };
    Some((sender?, took))
}

/// Leaves a connection to a task of its own, which ends with it.
async fn drive<S, B>(stream: S) -> Option<SendRequest<Upload<B>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BodyError>,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    spawn_local(async move {
        // Whoever used it hears of what went wrong.
        let _broken = connection.with_upgrades().await;
    });
    Some(sender)
}

/// Counts it against the backend.
fn blame(lease: &Lease, why: Failed) -> Failed {
    match why {
        Failed::Reset => lease.failed(Failure::BackendReset, Instant::now()),
        Failed::Timeout => lease.failed(Failure::RequestTimeout, Instant::now()),
        Failed::NoBackend | Failed::Connect => {}
    }
    why
}

#[cfg(test)]
mod tests;
