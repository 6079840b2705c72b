//! One request: where it goes, what is changed in it, and what comes back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response, Uri, Version, upgrade};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::answer::{self, Reason};
use super::body::{Upload, Watched};
use super::budget::Budget;
use super::busy::{Busy, Work};
use super::exchange::{Counts, Exchange};
use super::forward::{Forward, Reached};
use super::front::Front;
use super::headers::{self, Source};
use super::reply::{Afterwards, Reply};
use super::tunnel::Tunnel;
use super::upgrade::{Wish, is_extended_connect};
use super::warm::{Rule, Warm};
use crate::admission::Refusal;
use crate::config::scalar::Name;
use crate::net::client::ClientKey;
use crate::pool::Pool;
use crate::session::{Offshoots, Visitor};

/// What a worker has for all its connections that speak HTTP.
#[derive(Debug, Default)]
pub struct Shared {
    warm: Rc<Warm<Upload<Incoming>>>,
    /// By pool.
    budgets: RefCell<BTreeMap<Name, Rc<RefCell<Budget>>>>,
}

/// One client's connection.
#[derive(Debug)]
pub struct Handler {
    /// Who sends the requests.
    pub visitor: Rc<Visitor>,
    /// The listener's newest version.
    pub front: Arc<ArcSwap<Front>>,
    /// The listener's counts.
    pub counts: Arc<Counts>,
    /// The worker's part.
    pub shared: Rc<Shared>,
    /// What an upgrade makes a session of.
    pub ground: Ground,
}

/// What becomes a session of its own kind when a client and a backend have agreed on another protocol.
#[derive(Debug)]
pub enum Ground {
    /// The client's connection, which is left to the tunnel when the answer is out.
    Connection(RefCell<Option<Box<Tunnel>>>),
    /// A stream of it.
    Streams {
        /// What the connection has to do.
        busy: Rc<Busy>,
        /// Makes sessions of streams.
        offshoots: Rc<Offshoots>,
    },
}

/// Often enough for times that are given in seconds.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

const X_REQUEST_ID: &str = "x-request-id";

/// Until pools say otherwise.
const WARM: Rule = Rule { connections: 32, timeout: Duration::from_secs(60) };

impl Shared {
    fn budget(&self, pool: &Pool) -> Rc<RefCell<Budget>> {
        let mut budgets = self.budgets.borrow_mut();
        let budget = budgets.entry(pool.name().clone());
        Rc::clone(budget.or_insert_with(|| Rc::new(RefCell::new(Budget::new(Instant::now())))))
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
    /// Answers a request, by a backend's words or its own.
    pub async fn answer(&self, mut request: Request<Incoming>) -> Response<Reply> {
        let front = self.front.load_full();
        let host = host_of(&request).map(str::to_owned);
        let id = self.identify(&mut request, &front);
        let exchange =
            Exchange::begin(&self.visitor, &self.counts, self.ground.work(), (id, host.as_deref(), &request));
        if !is_sound(&request) {
            return own(Reason::BadRequest, exchange);
        }
        let Some(pool) = front.pool_for(host.as_deref(), request.uri().path(), request.method()) else {
            return own(Reason::NoRoute, exchange);
        };
        let wish = Wish::of(&mut request);
        let outgoing = self.outgoing(request, (host.as_deref(), wish.as_ref()), &front, pool);
        let budget = self.shared.budget(pool);
        let client = ClientKey::of(self.visitor.client.ip());
        let forward = Forward { warm: &self.shared.warm, budget: &budget, client };
        match (forward.send(pool, outgoing).await, wish) {
            (Ok(reached), Some(wish)) if reached.has_switched() => self.switch(wish, reached, exchange),
            (Ok(reached), None) if reached.has_switched() => own(Reason::NotUpgraded, exchange),
            (Ok(reached), Some(wish)) if wish.is_misled_by(reached.response.status()) => {
                own(Reason::NotUpgraded, exchange)
            }
            (Ok(reached), _) => self.pass(reached, exchange),
            (Err(failed), _) => own(failed.into(), exchange),
        }
    }

    /// The request's id: what a proxy that is believed has called it, or a new one.
    fn identify(&self, request: &mut Request<Incoming>, front: &Front) -> String {
        let trusted = front.trusts(self.visitor.client.ip());
        let given = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|_| trusted);
        if let Some(given) = given.filter(|id| (1..=128).contains(&id.len())) {
            return given.to_owned();
        }
        let id = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        if let Ok(value) = HeaderValue::from_str(&id) {
            request.headers_mut().insert(X_REQUEST_ID, value);
        }
        id
    }

    /// The request as the backend gets it.
    fn outgoing(
        &self,
        request: Request<Incoming>,
        (host, wish): (Option<&str>, Option<&Wish>),
        front: &Front,
        pool: &Pool,
    ) -> Request<Upload<Incoming>> {
        let (mut parts, body) = request.into_parts();
        headers::strip(&mut parts.headers);
        let client = self.visitor.client.ip();
        let scheme = if self.visitor.is_encrypted { "https" } else { "http" };
        let source = Source { client, scheme, host, is_trusted: front.trusts(client) };
        headers::introduce(&mut parts.headers, &source, front.forwarded);
        // HTTP/2 has it elsewhere; what a target of absolute form says counts for more (RFC 9112, 3.2.2).
        if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
            parts.headers.insert(HOST, host);
        }
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        parts.uri = target.parse().unwrap_or_else(|_never| Uri::from_static("/"));
        parts.version = Version::HTTP_11;
        if let Some(wish) = wish {
            wish.ask(&mut parts);
        }
        Request::from_parts(parts, Upload::new(body, pool.timeouts().session.idle))
    }

    /// The consent as the client gets it; what comes then is a tunnel.
    fn switch(&self, wish: Wish, reached: Reached<Upload<Incoming>>, mut exchange: Exchange) -> Response<Reply> {
        let Reached { mut response, lease, pool, connect, .. } = reached;
        let (is_websocket, backend) = (wish.is_websocket(), upgrade::on(&mut response));
        let (mut parts, _none) = response.into_parts();
        let protocol = parts.headers.remove(UPGRADE);
        headers::strip(&mut parts.headers);
        let client = wish.grant(&mut parts, protocol);
        exchange.answered(parts.status, &pool, lease.backend());
        let tunnel = Tunnel { client, backend, grant: (pool, lease), connect, is_websocket };
        match self.ground.begin(tunnel) {
            Ok(()) => Response::from_parts(parts, Reply::own(Bytes::new(), exchange)),
            Err(_full) => own(Reason::AtCapacity, exchange),
        }
    }

    /// The answer as the client gets it.
    fn pass(&self, reached: Reached<Upload<Incoming>>, mut exchange: Exchange) -> Response<Reply> {
        let Reached { response, lease, pool, sender, .. } = reached;
        exchange.answered(response.status(), &pool, lease.backend());
        let (mut parts, body) = response.into_parts();
        let stays = !parts.headers.get_all(CONNECTION).iter().any(|value| headers::lists(value, "close"));
        headers::strip(&mut parts.headers);
        parts.version = Version::HTTP_11;
        let body = Watched::new(body, pool.timeouts().session.idle);
        let warm = Rc::clone(&self.shared.warm);
        let afterwards = Afterwards { exchange, lease, sender: stays.then_some(sender), warm, rule: WARM };
        Response::from_parts(parts, Reply::passed(body, Box::new(afterwards)))
    }
}

impl Ground {
    fn work(&self) -> Option<Work> {
        match self {
            Self::Connection(_) => None,
            Self::Streams { busy, .. } => Some(busy.work()),
        }
    }

    /// Has it become a session.
    fn begin(&self, tunnel: Tunnel) -> Result<(), Refusal> {
        match self {
            Self::Connection(left) => *left.borrow_mut() = Some(Box::new(tunnel)),
            Self::Streams { busy, offshoots } => {
                let (session, counted) = offshoots.begin()?;
                let counted = (counted, busy.work());
                spawn_local(async move {
                    Box::pin(tunnel.live_on_stream(session)).await;
                    drop(counted);
                });
            }
        }
        Ok(())
    }

    /// What is to live on the connection from now on.
    pub fn take(&self) -> Option<Box<Tunnel>> {
        match self {
            Self::Connection(left) => left.take(),
            Self::Streams { .. } => None,
        }
    }
}

fn own(reason: Reason, mut exchange: Exchange) -> Response<Reply> {
    exchange.refused(reason.status(), reason.as_str());
    answer::refuse(reason, exchange.wants_text()).map(|words| Reply::own(words, exchange))
}

/// The host that is asked for: that of the target where it has one, else the header's.
fn host_of<B>(request: &Request<B>) -> Option<&str> {
    let target = request.uri().authority().map(hyper::http::uri::Authority::as_str);
    target.or_else(|| request.headers().get(HOST)?.to_str().ok())
}

/// Whether everybody would read it in the same way, as far as the framing has not seen to that.
fn is_sound(request: &Request<Incoming>) -> bool {
    let hosts = request.headers().get_all(HOST).iter().count();
    let target = request.uri().authority();
    let agrees = |authority: &hyper::http::uri::Authority| {
        request
            .headers()
            .get(HOST)
            .is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()))
    };
    let is_served = request.method() != Method::CONNECT || is_extended_connect(request);
    let has_user = target.is_some_and(|authority| authority.as_str().contains('@'));
    // RFC 9112, 3.2: one, and only one; in HTTP/2 the target has it, too.
    let enough = request.version() != Version::HTTP_11 || hosts == 1;
    hosts <= 1 && enough && target.is_none_or(agrees) && !has_user && is_served
}
