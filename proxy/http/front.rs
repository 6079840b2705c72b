//! What a listener has to say of requests: where they go, and how long clients may take.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::Method;
use tokio::time::Instant;

use super::Near;
use super::exchange::Answers;
use super::headers::Via;
use super::patience::Limits;
use crate::admission::acl::Networks;
use crate::admission::level::Level;
use crate::config::model::PlayerKey;
use crate::config::scalar::{Hosts, canonical_host, canonical_ipv6, normal_path};
use crate::pool::Pool;
use crate::pool::rollout::Rollout;

/// One version of it. Requests on a connection that lives follow the newest.
#[derive(Debug)]
pub struct Front {
    /// The first that takes a request is where it goes.
    pub routes: Vec<Route>,
    /// Whether routes compare paths in their normal form.
    pub normalizes: bool,
    /// Where the others go; `None` is nowhere.
    pub rest: Option<Target>,
    /// Where those of some clients go instead.
    pub rollout: Option<(Arc<Rollout>, Target)>,
    /// How long clients may take.
    pub limits: Limits,
    /// Proxies in front that are believed who their clients are.
    pub trusted: Networks,
    /// Whether backends are told by `Forwarded`, too.
    pub forwarded: bool,
    /// What this proxy calls itself, if it does.
    pub via: Option<Via>,
    /// What players are known again by, beside their addresses.
    pub player_key: Option<PlayerKey>,
}

/// Requests for these go to a pool.
#[derive(Debug)]
pub struct Route {
    /// Empty is any.
    pub hosts: Vec<Hosts>,
    /// This path, and what is below it.
    pub path: String,
    /// Empty is any.
    pub methods: Vec<Method>,
    /// Where they go.
    pub target: Target,
}

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Target {
    /// To one of its backends.
    pub pool: Arc<Pool>,
    /// From this level on, those of newcomers do not.
    pub shed_at: Level,
    /// Where they are counted.
    pub counts: Arc<Answers>,
}

/// A connection's view of it.
#[derive(Debug)]
pub struct Fronts {
    listener: Arc<ArcSwap<Front>>,
    /// The version seen last.
    seen: RefCell<Near<Front>>,
}

impl Fronts {
    /// Of this listener.
    pub fn new(listener: Arc<ArcSwap<Front>>) -> Self {
        let seen = RefCell::new(Rc::new(listener.load_full()));
        Self { listener, seen }
    }

    /// The newest version.
    pub fn newest(&self) -> Near<Front> {
        let (newest, mut seen) = (self.listener.load(), self.seen.borrow_mut());
        if !Arc::ptr_eq(&newest, &seen) {
            *seen = Rc::new(Arc::clone(&newest));
        }
        Rc::clone(&seen)
    }
}

impl Front {
    /// Where a request goes.
    pub fn target(&self, host: Option<&str>, path: &str, method: &Method, client: IpAddr) -> Option<&Target> {
        let route = self.routes.iter().find(|route| route.takes(host, path, method));
        route.map(|route| &route.target).or_else(|| match &self.rollout {
            Some((rollout, target)) if rollout.takes_now(client, Instant::now) => Some(target),
            _ => self.rest.as_ref(),
        })
    }

    /// A request's path as routes compare it; `None` if it has no meaning. The backend gets it as it was written.
    pub fn compared<'a>(&self, path: &'a str) -> Option<Cow<'a, str>> {
        if self.normalizes { normal_path(path) } else { Some(Cow::Borrowed(path)) }
    }

    /// Whether what a client tells of others is believed.
    pub fn trusts(&self, client: IpAddr) -> bool {
        self.trusted.contain(client)
    }
}

impl Route {
    fn takes(&self, host: Option<&str>, path: &str, method: &Method) -> bool {
        let host = host.map(without_port);
        (self.hosts.is_empty() || host.is_some_and(|host| self.hosts.iter().any(|hosts| hosts.contain(&host))))
            && is_below(path, &self.path)
            && (self.methods.is_empty() || self.methods.contains(method))
    }
}

/// A host as it is compared: in lower case, without port and trailing dot.
fn without_port(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    canonical_ipv6(name).unwrap_or_else(|| canonical_host(name))
}

/// Whether a path is this one or below it; `/rooms` has `/rooms/7` below it, and not `/roomservice`.
fn is_below(path: &str, above: &str) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => rest.is_empty() || above.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::tests::{plain, pool};

    #[test]
    fn paths_are_cut_at_slashes() {
        for (path, above, expected) in [
            ("/rooms", "/rooms", true),
            ("/rooms/7", "/rooms", true),
            ("/rooms/7", "/rooms/", true),
            ("/rooms", "/rooms/", false),
            ("/roomservice", "/rooms", false),
            ("/", "/", true),
            ("/anything", "/", true),
            ("/Rooms", "/rooms", false),
            ("*", "/", false),
        ] {
            assert_eq!(is_below(path, above), expected, "{path} below {above}");
        }
    }

    #[test]
    fn the_first_route_that_fits_counts() {
        let route = |hosts: &[&str], path: &str, methods: &[Method], name: &str| {
            let mut config = plain(&["127.0.0.1:1"]);
            config.name = name.parse().unwrap();
            let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
            let target = Target { pool: pool(&config, None), shed_at: Level::Overloaded, counts: Arc::default() };
            Route { hosts, path: path.to_owned(), methods: methods.to_vec(), target }
        };
        let limits =
            Limits { header: std::time::Duration::MAX, keepalive: std::time::Duration::MAX, send: None, body: None };
        let mut front = Front {
            routes: vec![
                route(&["lobby.example.com"], "/rooms", &[Method::POST], "create"),
                route(&["lobby.example.com", "*.eu.example.com", "[2001:DB8:0::1]"], "/", &[], "lobby"),
                route(&[], "/health", &[Method::GET, Method::HEAD], "health"),
            ],
            normalizes: true,
            rest: None,
            rollout: None,
            limits,
            trusted: Networks::new(&[]),
            forwarded: false,
            via: None,
            player_key: None,
        };
        let goes = |front: &Front, host: Option<&str>, path: &str, method: Method| {
            front.target(host, path, &method, [127, 0, 0, 1].into()).map(|target| target.pool.name().to_string())
        };
        for (host, path, method, expected) in [
            (Some("lobby.example.com"), "/rooms/7", Method::POST, Some("create")),
            (Some("LOBBY.example.com.:8080"), "/rooms", Method::GET, Some("lobby")),
            (Some("a.eu.example.com"), "/rooms", Method::POST, Some("lobby")),
            (Some("[2001:db8::1]"), "/", Method::GET, Some("lobby")),
            (Some("[2001:db8:0:0::1]:8080"), "/", Method::GET, Some("lobby")),
            (Some("[::1]:80"), "/health", Method::GET, Some("health")),
            (None, "/health/deep", Method::HEAD, Some("health")),
            (None, "/health", Method::POST, None),
        ] {
            assert_eq!(goes(&front, host, path, method).as_deref(), expected, "{host:?} {path}");
        }
        assert_eq!(front.compared("/%72ooms").as_deref(), Some("/rooms"));
        assert_eq!(front.compared("/../rooms"), None);
        front.normalizes = false;
        for path in ["/%72ooms", "/../rooms"] {
            assert_eq!(front.compared(path).as_deref(), Some(path));
        }
        front.rest = Some(front.routes[1].target.clone());
        assert_eq!(goes(&front, None, "/", Method::POST).as_deref(), Some("lobby"));
    }
}
