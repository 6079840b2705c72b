//! Warm connections: to backends, of one worker, kept open for the next request.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::body::BodyError;
use super::client::Connection;
use super::http2::links::Links;
use crate::config::model::Requests;
use crate::pool::Backend;
use crate::session::Upstream;

/// The warm connections of a worker.
#[derive(Debug)]
pub struct Warm<B> {
    /// By the backend's place in memory, which stays its own for as long as it is here.
    kept: RefCell<BTreeMap<*const Backend, OfBackend<B>>>,
    /// Those of HTTP/2.
    links: Links,
    /// Tells that there is one again.
    begun: Notify,
}

/// How many are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// To one backend, by one worker.
    pub connections: usize,
    /// Without a request.
    pub timeout: Duration,
}

impl From<&Requests> for Rule {
    fn from(requests: &Requests) -> Self {
        Self { connections: requests.warm_connections.try_into().unwrap_or(usize::MAX), timeout: requests.warm_timeout }
    }
}

impl Rule {
    /// How long a connection of HTTP/2 is kept without a request.
    pub fn keep_for(self) -> Duration {
        if self.connections == 0 { Duration::ZERO } else { self.timeout }
    }
}

/// Connections to one backend that one worker keeps at all, if its rule does not allow for more.
const SURPLUS_MAX: usize = 1024;

/// How long those beyond the rule are kept.
const SURPLUS_TIMEOUT: Duration = Duration::from_secs(1);

/// Those to one backend.
#[derive(Debug)]
struct OfBackend<B> {
    /// Keeps the place in memory.
    _backend: Arc<Backend>,
    kept: Vec<Kept<B>>,
}

#[derive(Debug)]
struct Kept<B> {
    connection: Box<Connection<Upstream, B>>,
    until: Instant,
}

impl<B> Warm<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// The connection to this backend that was used last, if there is one that can be used now.
    pub fn take(&self, backend: &Arc<Backend>, now: Instant) -> Option<Box<Connection<Upstream, B>>> {
        let mut kept = self.kept.borrow_mut();
        let of_backend = &mut kept.get_mut(&Arc::as_ptr(backend))?.kept;
        while let Some(Kept { mut connection, until }) = of_backend.pop() {
            if until > now && !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for later, if there is room. Whether it is closed meanwhile is looked at when it is taken.
    pub fn keep(&self, backend: &Arc<Backend>, connection: Box<Connection<Upstream, B>>, rule: Rule, now: Instant) {
        if rule.connections == 0 {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        let new = || OfBackend { _backend: Arc::clone(backend), kept: Vec::new() };
        let of_backend = &mut kept.entry(Arc::as_ptr(backend)).or_insert_with(new).kept;
        // More are kept for a moment only, because answers come in bursts: so many that are in use will be needed again at once.
        let timeout =
            if of_backend.len() < rule.connections { rule.timeout } else { SURPLUS_TIMEOUT.min(rule.timeout) };
        if of_backend.len() < rule.connections.max(SURPLUS_MAX) {
            of_backend.push(Kept { connection, until: now + timeout });
            self.begun.notify_one();
        }
    }

    /// Those of HTTP/2, which many requests share.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// A connection of HTTP/2 was opened.
    pub fn note_link(&self) {
        self.begun.notify_one();
    }

    /// Closes those whose time is over, or whose backends have closed them. To be called now and then.
    pub fn sweep(&self, now: Instant) {
        self.kept.borrow_mut().retain(|_, of_backend| {
            of_backend.kept.retain_mut(|kept| kept.until > now && !kept.connection.is_closed());
            !of_backend.kept.is_empty()
        });
        self.links.sweep(now);
    }

    /// Resolves when there are some. One task at a time may wait.
    pub async fn begun(&self) {
        while self.kept.borrow().is_empty() && self.links.is_empty() {
            self.begun.notified().await;
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.kept.borrow().values().map(|of_backend| of_backend.kept.len()).sum::<usize>() + self.links.count()
    }
}

impl<B> Default for Warm<B> {
    fn default() -> Self {
        Self { kept: RefCell::default(), links: Links::default(), begun: Notify::new() }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::pool::tests::{plain, pool};

    const RULE: Rule = Rule { connections: 2, timeout: Duration::from_secs(60) };

    async fn connection() -> (TcpStream, Box<Connection<Upstream, Empty<Bytes>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        (far, Box::new(Connection::new(Upstream::Plain(near))))
    }

    /// None that is kept is used; each is given up when it is looked at, as who sweeps does, or who wants one.
    fn expect_none(warm: &Warm<Empty<Bytes>>, backend: &Arc<Backend>, is_swept: bool, now: Instant) {
        if is_swept {
            warm.sweep(now);
        } else {
            assert!(warm.take(backend, now).is_none());
        }
        assert_eq!(warm.count(), 0);
    }

    fn backends() -> [Arc<Backend>; 2] {
        let pool = pool(&plain(&["127.0.0.1:1", "127.0.0.1:2"]), None);
        [0, 1].map(|index: usize| Arc::clone(&pool.members()[index].backend))
    }

    #[tokio::test]
    async fn connections_are_kept_for_their_backend_within_bounds_and_time() {
        let ([one, other], warm, now) = (backends(), Warm::default(), Instant::now());
        let mut far = Vec::new();
        for _ in 0..3 {
            let (end, sender) = connection().await;
            far.push(end);
            warm.keep(&one, sender, RULE, now);
        }
        assert_eq!(warm.count(), 3);
        warm.sweep(now + SURPLUS_TIMEOUT);
        assert_eq!(warm.count(), 2, "the third was kept for a moment");
        assert!(warm.take(&other, now).is_none());
        assert!(warm.take(&one, now).is_some());
        assert!(warm.take(&one, now + RULE.timeout).is_none(), "too old");
        assert_eq!(warm.count(), 0);
    }

    #[tokio::test]
    async fn what_the_backend_has_closed_or_spoken_on_is_not_used() {
        let ([one, _], warm, now) = (backends(), Warm::default(), Instant::now());
        let (_far, sender) = connection().await;
        warm.keep(&one, sender, Rule { connections: 0, ..RULE }, now);
        assert_eq!(warm.count(), 0);
        for is_closed in [true, false] {
            for is_swept in [true, false] {
                let (far, sender) = connection().await;
                warm.keep(&one, sender, RULE, now);
                warm.sweep(now);
                assert_eq!(warm.count(), 1);
                let _far = if is_closed {
                    drop(far);
                    None
                } else {
                    far.try_write(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
                    Some(far)
                };
                // What the kernel knows is heard of when this thread waits for the next time.
                tokio::time::sleep(Duration::from_millis(5)).await;
                expect_none(&warm, &one, is_swept, now);
            }
        }
    }

    #[tokio::test]
    async fn what_was_closed_before_it_was_kept_is_not_used() {
        let ([one, _], warm, now) = (backends(), Warm::default(), Instant::now());
        let (far, sender) = connection().await;
        drop(far);
        tokio::time::sleep(Duration::from_millis(5)).await;
        warm.keep(&one, sender, RULE, now);
        assert!(warm.take(&one, now).is_none());
        assert_eq!(warm.count(), 0);
    }

    #[tokio::test]
    async fn a_backend_that_has_closed_hundreds_at_once_is_known_to_have_closed_all() {
        let ([one, _], warm, now) = (backends(), Warm::default(), Instant::now());
        for is_swept in [true, false] {
            let mut far = Vec::new();
            // More than a task may read from at a time.
            for _ in 0..200 {
                let (end, sender) = connection().await;
                far.push(end);
                warm.keep(&one, sender, Rule { connections: 200, ..RULE }, now);
            }
            assert_eq!(warm.count(), 200);
            drop(far);
            tokio::time::sleep(Duration::from_millis(5)).await;
            expect_none(&warm, &one, is_swept, now);
        }
    }
}
