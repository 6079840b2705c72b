//! How a request goes to a backend by HTTP/2: on one of few connections, which many requests share.

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body, Bytes};
use hyper::http::uri::Scheme;
use tokio::time::{Instant, timeout_at};

use super::{Failed, Forward, Reached, reached};
use crate::http::body::{BodyError, Upload};
use crate::http::download::Download;
use crate::http::http2::client;
use crate::http::http2::links::{Claim, Opening, Slot, Terms};
use crate::http::sender::Broken;
use crate::http::warm::Rule;
use crate::http::wire::pieces::Joined;
use crate::net::client::ClientKey;
use crate::pool::{Grant, Lease, Pool};
use crate::queue::Class;
use crate::relay::Socket as _;
use crate::session::{NoConnection, Upstream};

impl<B, C: Fn() -> Class, W: Fn(Instant) -> Option<ClientKey>> Forward<'_, B, C, W>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// Sends it on a connection that stands, or on a fresh one: and again, if the backend had left that connection.
    pub(super) async fn attempt_by_http2(
        &self,
        (pool, lease): Grant,
        request: &mut Request<Option<Upload<B>>>,
    ) -> Result<Reached<B>, (Failed, Lease)> {
        let limit = pool.timeouts().session.request;
        let is_empty = matches!(request.body(), Some(Upload::Empty));
        let mut may_repeat = true;
        loop {
            let has_body = !matches!(request.body(), None | Some(Upload::Empty));
            let (slot, took) = match self.slot(&pool, &lease, has_body).await {
                Ok(found) => found,
                Err(why) => return Err((why, lease)),
            };
            let was_proven = slot.is_proven();
            let why: Broken = match client::send(slot, request, (Instant::now(), limit)).await {
                Ok(response) => {
                    let response = response.map(|answer| Download::Http2(Box::new(answer)));
                    return Ok(reached(response, (pool, lease), took));
                }
                Err(why) => why,
            };
            // Of an empty body nothing can be lost; the request may be sent twice if nothing was done with it, or nothing more is done
            // the second time (RFC 9113, 8.7; RFC 9110, 9.2.2).
            let (is_undone, is_idempotent) = (is_undone(why), request.method().is_idempotent());
            let is_left = matches!(why, Broken::Leaving | Broken::Unsent) || (why == Broken::Reset && was_proven);
            if is_empty && (is_undone || (is_left && is_idempotent)) {
                *request.body_mut() = Some(Upload::Empty);
            }
            let is_whole = request.body().is_some() && (is_undone || is_idempotent);
            if !(is_left && is_whole && may_repeat) {
                if !is_undone {
                    // Some of it may have been done.
                    *request.body_mut() = None;
                }
                // One that goes away in order is not to blame for that.
                let is_in_order = why == Broken::Leaving && may_repeat;
                let failed = Failed::from(why);
                return Err((if is_in_order { failed } else { self.blame(&lease, failed) }, lease));
            }
            may_repeat = false;
        }
    }

    /// A place on a connection, and how long it took to open that; nothing, if it stood already.
    async fn slot(&self, pool: &Arc<Pool>, lease: &Lease, has_body: bool) -> Result<(Slot, Duration), Failed> {
        let rule = Rule::from(pool.requests());
        let links_max = usize::try_from(pool.requests().h2_connections).unwrap_or(usize::MAX);
        let terms = Terms { links_max, keep_for: rule.keep_for(), has_body };
        let until = Instant::now() + pool.place_timeout();
        loop {
            match self.warm.links().claim(lease.backend(), terms, Instant::now()) {
                Claim::Slot(slot) => return Ok((slot, Duration::ZERO)),
                Claim::Open(opening) => return self.open(pool, lease, (opening, rule)).await,
                Claim::Wait(waiting) if waiting.is_too_many() => return Err(Failed::QueueFull),
                Claim::Wait(waiting) => match timeout_at(until, waiting.changed()).await {
                    Ok(Ok(())) => {}
                    // The backend has heard of it from who tried.
                    Ok(Err(why)) => return Err(why.into()),
                    Err(_elapsed) => return Err(Failed::QueueTimeout),
                },
            }
        }
    }

    /// Opens a connection.
    async fn open(
        &self,
        pool: &Pool,
        lease: &Lease,
        (opening, rule): (Opening, Rule),
    ) -> Result<(Slot, Duration), Failed> {
        let until = Instant::now() + pool.timeouts().connect;
        let (upstream, took) = match Upstream::dial(pool, lease, None, until).await {
            Ok(connected) => connected,
            Err(why) => {
                opening.failed(why);
                return Err(why.into());
            }
        };
        upstream.tcp().settle(pool.timeouts().session.liveness);
        let scheme = if matches!(upstream, Upstream::Plain(_)) { Scheme::HTTP } else { Scheme::HTTPS };
        let Some((sender, connection)) = client::begin(Joined(upstream)).await else {
            opening.failed(NoConnection::Failed);
            return Err(Failed::Connect);
        };
        let (slot, changed) = opening.done(sender, scheme, rule.keep_for());
        client::live(connection, changed);
        self.warm.note_link();
        Ok((slot, took))
    }
}

/// Whether nothing was done with a request.
fn is_undone(why: Broken) -> bool {
    matches!(why, Broken::Refused | Broken::Leaving | Broken::Unsent)
}
