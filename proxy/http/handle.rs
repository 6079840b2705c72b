//! One request: where it goes, what is changed in it, and what comes back.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue, UPGRADE};
use hyper::http::uri::{Parts, PathAndQuery};
use hyper::{Method, Request, Response, Uri, Version};
use tokio::time::{Instant, sleep};

use super::Near;
use super::answer::{self, Reason};
use super::body::{Upload, Watched};
use super::budget::Budget;
use super::busy::Busy;
use super::content::Content;
use super::exchange::{Counts, Exchange, Source, Traced};
use super::forward::{Forward, Reached};
use super::front::{Front, Fronts, Target};
use super::ground::Ground;
use super::headers::{self, X_REQUEST_ID};
use super::io::Traffic;
use super::player;
use super::reply::{Afterwards, Reply};
use super::server::Answered;
use super::sound::is_sound;
use super::tunnel::Tunnel;
use super::upgrade::Wish;
use super::warm::{Rule, Warm};
use crate::admission::{PlayerId, Who};
use crate::config::model::Protocol;
use crate::config::scalar::Name;
use crate::net::client::ClientKey;
use crate::pool::Pool;
use crate::session::Visitor;

/// What a worker has for all its connections that speak HTTP.
#[derive(Debug, Default)]
pub struct Shared {
    warm: Rc<Warm<Content>>,
    /// By pool.
    budgets: RefCell<BTreeMap<Name, Rc<RefCell<Budget>>>>,
}

/// One client's connection.
#[derive(Debug)]
pub struct Handler {
    /// Who sends the requests.
    pub visitor: Rc<Visitor>,
    /// Its address, as backends are told it.
    pub address: HeaderValue,
    /// What the listener has to say of requests.
    pub fronts: Fronts,
    /// The listener's counts.
    pub counts: Near<Counts>,
    /// The worker's part.
    pub shared: Rc<Shared>,
    /// Its bytes.
    pub traffic: Rc<Traffic>,
    /// What an upgrade makes a session of.
    pub ground: Ground,
    /// What the connection has to do.
    pub busy: Rc<Busy>,
    /// When this connection of HTTP/1.1 closes, which answers then say; `None` while there is no end.
    pub leaves_at: Cell<Option<Instant>>,
}

/// Often enough for times that are given in seconds.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Shared {
    fn budget(&self, pool: &Pool) -> Rc<RefCell<Budget>> {
        let mut budgets = self.budgets.borrow_mut();
        if let Some(budget) = budgets.get(pool.name()) {
            return Rc::clone(budget);
        }
        let budget = Rc::new(RefCell::new(Budget::new(Instant::now())));
        budgets.insert(pool.name().clone(), Rc::clone(&budget));
        budget
    }

    /// Closes warm connections whose time is over, for as long as the worker lives. Sleeps while there are none.
    pub async fn sweep(&self) {
        loop {
            self.warm.begun().await;
            sleep(SWEEP_EVERY).await;
            self.warm.sweep(Instant::now());
        }
    }
}

impl Handler {
    /// Answers a request, by a backend's words or its own. Boxed, so that an idle connection does not carry what a request takes.
    pub fn answer(self: Rc<Self>, mut request: Request<Content>) -> Pin<Box<dyn Future<Output = Answered<Reply>>>> {
        Box::pin(async move {
            let front = self.fronts.newest();
            let host = host_of(&request);
            self.identify(&mut request, &front);
            let traced = Traced::begin(&self.visitor, &front, request.headers_mut());
            let asked = (host.as_ref(), &request);
            let exchange = Exchange::begin(&self.visitor, &self.counts, self.busy.work(), traced, asked);
            let mut response = match self.admit(&request, host.as_ref(), &front) {
                Ok((target, who)) => {
                    let opening = request.body_mut().take_opening();
                    let wish = Wish::of(&mut request, opening);
                    let wish = wish.filter(|_| target.pool.requests().protocol == Protocol::Http1);
                    let asked = (host.as_ref(), wish.as_ref());
                    let mut outgoing = self.outgoing(request, asked, &front, &target.pool);
                    self.forward(&mut outgoing, wish, (target, who), exchange).await
                }
                Err(reason) => own(reason, exchange),
            };
            if let Some(via) = &front.via {
                via.sign(response.headers_mut(), Version::HTTP_11);
            }
            Ok(response)
        })
    }

    /// Answers what is no request.
    pub fn refuse(&self, reason: Reason) -> Response<Reply> {
        own(reason, Exchange::begin_unread(&self.visitor, &self.counts, self.busy.work(), random_id()))
    }

    /// Where a request goes, and whose it is.
    fn admit<'a>(
        &self,
        request: &Request<Content>,
        host: Option<&HeaderValue>,
        front: &'a Front,
    ) -> Result<(&'a Target, Who), Reason> {
        if !is_sound(request) {
            return Err(Reason::BadRequest);
        }
        let address = self.visitor.client.ip();
        let host = host.and_then(|host| host.to_str().ok());
        let path = front.compared(request.uri().path()).ok_or(Reason::BadRequest)?;
        let target = front.target(host, &path, request.method(), address).ok_or(Reason::NoRoute)?;
        let player = front.player_key.as_ref().and_then(|key| {
            let key = player::named(key, request.headers())?;
            let from = player::source(address, request.headers(), |proxy| front.trusts(proxy));
            Some(PlayerId { key, from: ClientKey::of(from) })
        });
        let (who, memory) = (Who { address, player }, self.visitor.tally.memory());
        if self.visitor.house.sheds_request(target.shed_at, memory, who, Instant::now) {
            return Err(Reason::Shed);
        }
        Ok((target, who))
    }

    /// Has a backend answer it.
    async fn forward(
        &self,
        request: &mut Request<Option<Upload<Content>>>,
        wish: Option<Wish>,
        (target, who): (&Target, Who),
        mut exchange: Box<Exchange>,
    ) -> Response<Reply> {
        exchange.goes_to(&target.counts);
        // It has become none that can be passed on; the backend would take it for a tunnel to somewhere else.
        if wish.is_none() && request.method() == Method::CONNECT {
            return own(Reason::NotUpgraded, exchange);
        }
        let (house, memory) = (&self.visitor.house, self.visitor.tally.memory());
        let forward = Forward {
            warm: &self.shared.warm,
            budget: &self.shared.budget(&target.pool),
            client: ClientKey::of(who.address),
            class: || house.class(memory, who, Instant::now()),
            witness: |now| house.witness(memory, who.address, now),
        };
        let reached = match forward.send(&target.pool, request, exchange.began()).await {
            Ok(reached) => reached,
            Err(failed) => return own(failed.into(), exchange),
        };
        let status = reached.response.status();
        if !(status.is_client_error() || status.is_server_error()) {
            self.visitor.note_served(who);
        }
        match wish {
            Some(wish) if reached.has_switched() => self.switch((wish, who), reached, exchange),
            None if reached.has_switched() => own(Reason::NotUpgraded, exchange),
            Some(wish) if wish.is_misled_by(status) => own(Reason::NotUpgraded, exchange),
            _ => self.pass(reached, exchange),
        }
    }

    /// Gives the request an id, unless a proxy that is believed has.
    fn identify(&self, request: &mut Request<Content>, front: &Front) {
        let is_one = |id: &HeaderValue| id.to_str().is_ok() && (1..=128).contains(&id.len());
        if !(front.trusts(self.visitor.client.ip()) && request.headers().get(X_REQUEST_ID).is_some_and(is_one)) {
            request.headers_mut().insert(X_REQUEST_ID, random_id());
        }
    }

    /// The request as the backend gets it.
    fn outgoing(
        &self,
        request: Request<Content>,
        (host, wish): (Option<&HeaderValue>, Option<&Wish>),
        front: &Front,
        pool: &Pool,
    ) -> Request<Option<Upload<Content>>> {
        let (mut parts, body) = request.into_parts();
        headers::strip(&mut parts.headers);
        if let Some(via) = &front.via {
            via.sign(&mut parts.headers, parts.version);
        }
        let client = self.visitor.client.ip();
        let scheme = if self.visitor.is_encrypted { "https" } else { "http" };
        let source = headers::Source { client, written: &self.address, scheme, host, is_trusted: front.trusts(client) };
        headers::introduce(&mut parts.headers, &source, front.forwarded);
        if parts.uri.authority().is_some() {
            // HTTP/2 has the host there; what a target of absolute form says counts for more (RFC 9112, 3.2.2).
            if let Some(host) = host {
                parts.headers.insert(HOST, host.clone());
            }
            parts.uri = in_origin_form(parts.uri);
        }
        parts.version = Version::HTTP_11;
        if let Some(wish) = wish {
            wish.ask(&mut parts);
        }
        let idle = pool.timeouts().session.idle;
        let limits = (front.limits.body_within(idle), idle);
        Request::from_parts(parts, Some(Upload::new(body, limits)))
    }

    /// The consent as the client gets it; what comes then is a tunnel.
    fn switch(
        &self,
        (wish, who): (Wish, Who),
        reached: Reached<Content>,
        mut exchange: Box<Exchange>,
    ) -> Response<Reply> {
        let Reached { response, at, lease, pool, queue, connect } = reached;
        let (mut parts, body) = response.into_parts();
        let Some(backend) = body.into_upstream() else { return own(Reason::NotUpgraded, exchange) };
        let is_websocket = wish.is_websocket();
        let protocol = parts.headers.remove(UPGRADE);
        headers::strip(&mut parts.headers);
        let stream = wish.grant(&mut parts, protocol);
        let source = || Source { pool: Arc::clone(&pool), backend: Arc::clone(lease.backend()), queue, connect };
        exchange.answered(parts.status, source, at);
        let tunnel = Tunnel { stream, backend, grant: (pool, lease), connect, is_websocket, who };
        match self.ground.begin(tunnel, &self.busy) {
            Ok(()) => Response::from_parts(parts, Reply::own(Bytes::new(), exchange)),
            Err(_full) => own(Reason::AtCapacity, exchange),
        }
    }

    /// The answer as the client gets it.
    fn pass(&self, reached: Reached<Content>, mut exchange: Box<Exchange>) -> Response<Reply> {
        let Reached { mut response, at, lease, pool, queue, connect } = reached;
        let (rule, limits) = (Rule::from(pool.requests()), pool.timeouts().session);
        let source = || Source { pool, backend: Arc::clone(lease.backend()), queue, connect };
        exchange.answered(response.status(), source, at);
        *response.version_mut() = Version::HTTP_11;
        self.traffic.answers_within(self.fronts.newest().limits.send_within(limits.idle));
        self.traffic.answers_by(limits.liveness);
        let afterwards = Afterwards { exchange, lease: Some(lease), warm: Rc::clone(&self.shared.warm), rule };
        response.map(|body| Reply::passed(Watched::new(body, limits.idle), afterwards))
    }
}

fn own(reason: Reason, mut exchange: Box<Exchange>) -> Response<Reply> {
    exchange.refused(reason);
    answer::refuse(reason, exchange.form()).map(|words| Reply::own(words, exchange))
}

/// The host that is asked for: that of the target where it has one, else the header's.
fn host_of<B>(request: &Request<B>) -> Option<HeaderValue> {
    match request.uri().authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => request.headers().get(HOST).filter(|host| host.to_str().is_ok()).cloned(),
    }
}

/// A target as servers expect it (RFC 9112, 3.2.1): its path, which is written also where it is empty, and its query.
fn in_origin_form(target: Uri) -> Uri {
    let whole = |target: PathAndQuery| {
        let begins = target.as_str().starts_with(['/', '*']);
        if begins { Some(target) } else { PathAndQuery::try_from(target.to_string()).ok() }
    };
    let mut parts = Parts::default();
    parts.path_and_query = target.into_parts().path_and_query.and_then(whole);
    Uri::from_parts(parts).unwrap_or_else(|_no_path| Uri::from_static("/"))
}

/// Sixteen bytes in hexadecimal.
fn random_id() -> HeaderValue {
    let random = fastrand::u128(..).to_le_bytes();
    let digit = |at: usize| b"0123456789abcdef"[usize::from(random[at / 2] >> (at % 2 * 4) & 15)];
    let id: [u8; 32] = std::array::from_fn(digit);
    HeaderValue::from_bytes(&id).unwrap_or_else(|_never| HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_of_origin_form_begins_with_its_path() {
        for (target, expected) in [
            ("http://a.example/rooms?x=1", "/rooms?x=1"),
            ("http://a.example", "/"),
            ("http://a.example/", "/"),
            ("http://a.example?x=1", "/?x=1"),
            ("http://a.example?", "/?"),
            ("/?x=1", "/?x=1"),
            ("*", "*"),
        ] {
            let found = in_origin_form(target.parse().unwrap());
            assert_eq!(found.path_and_query().unwrap().as_str(), expected, "{target}");
        }
    }
}
