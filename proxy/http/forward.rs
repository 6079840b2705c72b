//! A request on its way to a backend, and the head of its answer on the way back.
//!
//! A request is sent a second time only where that cannot do anything twice: where no connection came to stand; where it went out
//! on a warm connection that the backend had closed, before any of it was taken; or, where it may be done twice, on one that the
//! backend closed instead of answering. What that costs a sick pool is bounded by its budget.

mod http2;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::body::{BodyError, Upload};
use super::budget::Budget;
use super::client::Connection;
use super::download::Download;
use super::sender::{self, Broken};
use super::warm::Warm;
use crate::config::model::Protocol;
use crate::net::client::ClientKey;
use crate::pool::{self, Failure, Grant, Lease, NoQueue, Pool};
use crate::queue::Class;
use crate::relay::Socket as _;
use crate::session::{NoConnection, Upstream};

/// What has come of a request.
#[derive(Debug)]
pub struct Reached<B> {
    /// The answer's head; its body comes on, and then the connection is free for another request.
    pub response: Response<Download<B>>,
    /// When it came.
    pub at: Instant,
    /// The claim on the backend, for as long as the answer takes.
    pub lease: Lease,
    /// The pool that gave it.
    pub pool: Arc<Pool>,
    /// How long it waited for a place.
    pub queue: Duration,
    /// How long the connect took; nothing, if a connection stood already.
    pub connect: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// No backend is eligible, or has room.
    NoBackend,
    /// As many wait for a place as may.
    QueueFull,
    /// No place became free in the pool's `queue.timeout`.
    QueueTimeout,
    /// None that was tried could be reached.
    Connect,
    /// This machine has no port left to connect from.
    NoSourcePort,
    /// The connection broke before the answer's head had come.
    Reset,
    /// The backend said that it has done nothing with it (HTTP/2).
    Refused,
    /// The answer's head did not come in the pool's `request_timeout`.
    Timeout,
    /// The client broke off the request's body, or it could be read in two ways.
    Body,
    /// The request's body did not come on in the pool's `idle_timeout`.
    BodyTimeout,
}

/// What forwarding works with.
#[derive(Debug)]
pub struct Forward<'a, B, C, W> {
    /// The worker's warm connections.
    pub warm: &'a Rc<Warm<B>>,
    /// What may be tried again.
    pub budget: &'a RefCell<Budget>,
    /// Whom the choice of a backend goes by.
    pub client: ClientKey,
    /// How soon the client's turn is, if it has to wait.
    pub class: C,
    /// The client, if its word counts when a backend has failed it.
    pub witness: W,
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Reset | Broken::Unsent => Self::Reset,
            Broken::Refused | Broken::Leaving => Self::Refused,
            Broken::Timeout => Self::Timeout,
            Broken::Body => Self::Body,
            Broken::BodyTimeout => Self::BodyTimeout,
        }
    }
}

impl From<NoConnection> for Failed {
    fn from(why: NoConnection) -> Self {
        match why {
            NoConnection::Failed => Self::Connect,
            NoConnection::NoSourcePort => Self::NoSourcePort,
        }
    }
}

impl<B> Reached<B> {
    /// Whether the backend speaks another protocol from here on.
    pub fn has_switched(&self) -> bool {
        self.response.status() == StatusCode::SWITCHING_PROTOCOLS
    }
}

impl<B, C: Fn() -> Class, W: Fn(Instant) -> Option<ClientKey>> Forward<'_, B, C, W>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// Sends a request to a backend of the pool, as soon as there is a place. Its body is gone when a backend may have got some of it.
    ///
    /// # Errors
    /// Nobody has answered it.
    pub async fn send(
        &self,
        pool: &Arc<Pool>,
        request: &mut Request<Option<Upload<B>>>,
        mut now: Instant,
    ) -> Result<Reached<B>, Failed> {
        self.budget.borrow_mut().note_request(now);
        let (mut grant, queue) = self.place(pool, now).await?;
        now += queue;
        let mut ask = pool::Request::new(self.client);
        for tried in 0.. {
            let (why, lease) = match self.attempt(grant, request, now).await {
                Ok(reached) => return Ok(Reached { queue, ..reached }),
                Err(unanswered) => unanswered,
            };
            ask.failed_by(lease.backend());
            // Another may have its place meanwhile.
            drop(lease);
            now = Instant::now();
            let is_last = request.body().is_none() || tried >= pool.timeouts().retries;
            // What was refused has cost its backend nothing: the first time it goes elsewhere at no expense.
            let is_free = tried == 0 && why == Failed::Refused;
            if is_last || !(is_free || self.budget.borrow_mut().retry(now)) {
                return Err(why);
            }
            let Some(next) = pool.lease(&ask, now) else { return Err(why) };
            next.0.count_retry();
            grant = next;
        }
        Err(Failed::Connect)
    }

    /// A place at a backend, and how long that took.
    async fn place(&self, pool: &Arc<Pool>, now: Instant) -> Result<(Grant, Duration), Failed> {
        if let Some(grant) = pool.lease_first(self.client, now) {
            return Ok((grant, Duration::ZERO));
        }
        let grant = Box::pin(self.wait(pool, now)).await?;
        Ok((grant, now.elapsed()))
    }

    /// A place, when it is this request's turn.
    async fn wait(&self, pool: &Arc<Pool>, now: Instant) -> Result<Grant, Failed> {
        let who = ((self.class)(), self.client);
        let (mut waiting, deadline) = pool.wait(who, now).map_err(|refused| match refused {
            NoQueue::Off => Failed::NoBackend,
            NoQueue::Full => Failed::QueueFull,
        })?;
        let granted = timeout_at(deadline, waiting.granted()).await.map_err(|_elapsed| Failed::QueueTimeout)?;
        granted.ok_or(Failed::NoBackend)
    }

    /// Sends it to one backend. If its body is there afterwards, it may be sent to another.
    async fn attempt(
        &self,
        grant: Grant,
        request: &mut Request<Option<Upload<B>>>,
        now: Instant,
    ) -> Result<Reached<B>, (Failed, Lease)> {
        if !request.headers().contains_key(HOST) {
            // A client of HTTP/1.0 need not say whom it asks, but this proxy has to (RFC 9112, 3.2): it asks the backend.
            let host = HeaderValue::from_str(&grant.1.backend().key().to_string());
            request.headers_mut().insert(HOST, host.unwrap_or_else(|_never| HeaderValue::from_static("")));
        }
        match grant.0.requests().protocol {
            Protocol::Http1 => self.attempt_by_http1(grant, request, now).await,
            // Boxed, as it is much that HTTP/1.1 does not need.
            Protocol::Http2 => Box::pin(self.attempt_by_http2(grant, request)).await,
        }
    }

    /// Sends it where a connection stands already, then on a fresh one.
    async fn attempt_by_http1(
        &self,
        (pool, lease): Grant,
        request: &mut Request<Option<Upload<B>>>,
        now: Instant,
    ) -> Result<Reached<B>, (Failed, Lease)> {
        let limit = pool.timeouts().session.request;
        if let Some(connection) = self.warm.take(lease.backend(), now) {
            let is_empty = matches!(request.body(), Some(Upload::Empty));
            match sender::send(connection, request, (now, limit)).await.map_err(Failed::from) {
                Ok(response) => return Ok(reached(response.map(download), (pool, lease), Duration::ZERO)),
                Err(Failed::Reset) if request.body().is_some() => {}
                // It may be sent twice if it does nothing more the second time (RFC 9110, 9.2.2).
                Err(Failed::Reset) if is_empty && request.method().is_idempotent() => {
                    *request.body_mut() = Some(Upload::Empty);
                }
                Err(why) => return Err((self.blame(&lease, why), lease)),
            }
        }
        // Boxed, as it is seldom needed.
        let (connection, took) = match Box::pin(self.connect(&pool, &lease)).await {
            Ok(connected) => connected,
            Err(why) => return Err((why.into(), lease)),
        };
        match sender::send(connection, request, (Instant::now(), limit)).await.map_err(Failed::from) {
            Ok(response) => Ok(reached(response.map(download), (pool, lease), took)),
            Err(why) => Err((self.blame(&lease, why), lease)),
        }
    }

    /// A fresh connection of HTTP/1.1, and how long that took.
    async fn connect(
        &self,
        pool: &Pool,
        lease: &Lease,
    ) -> Result<(Box<Connection<Upstream, B>>, Duration), NoConnection> {
        let until = Instant::now() + pool.timeouts().connect;
        let (upstream, took) = Upstream::dial(pool, lease, None, until).await?;
        // At once: it will be used for longer than one request takes.
        upstream.tcp().settle(pool.timeouts().session.liveness);
        Ok((Box::new(Connection::new(upstream).reset_by(|upstream| upstream.tcp().break_off())), took))
    }

    /// Counts it against the backend.
    fn blame(&self, lease: &Lease, why: Failed) -> Failed {
        let now = Instant::now();
        let failed = |failure| lease.failed(failure, || (self.witness)(now), now);
        match why {
            Failed::Reset => failed(Failure::BackendReset),
            Failed::Timeout => failed(Failure::RequestTimeout),
            Failed::Refused => failed(Failure::Refused),
            // Of failed connects the backend knows already, and of the others it is not guilty.
            Failed::NoBackend | Failed::QueueFull | Failed::QueueTimeout | Failed::Connect | Failed::NoSourcePort => {}
            Failed::Body | Failed::BodyTimeout => {}
        }
        why
    }
}

fn download<B>(connection: Box<Connection<Upstream, B>>) -> Download<B> {
    Download::Http1(Some(connection))
}

fn reached<B>(response: Response<Download<B>>, (pool, lease): Grant, connect: Duration) -> Reached<B> {
    let at = Instant::now();
    if pool.requests().failing.contains(&response.status().as_u16()) {
        lease.failed(Failure::Status, || None, at);
    } else {
        lease.succeeded(at);
    }
    Reached { response, at, lease, pool, queue: Duration::ZERO, connect }
}

#[cfg(test)]
mod tests;
