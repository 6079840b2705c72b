//! One request, from its head to the end of its answer: what is counted and logged of it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::{Method, Request, StatusCode};
use tokio::time::Instant;

use super::answer;
use super::busy::Work;
use crate::pool::{Backend, Pool};
use crate::session::Visitor;

/// Requests of a listener, by the class of their answers' status.
#[derive(Debug, Default)]
pub struct Counts {
    classes: [AtomicU64; CLASSES.len()],
    in_flight: AtomicU64,
}

/// The words for the classes; the first is for requests that had no answer.
pub const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// One request. Counts and logs when dropped, so that one that breaks off is counted, too.
#[derive(Debug)]
pub struct Exchange {
    visitor: Rc<Visitor>,
    counts: Arc<Counts>,
    id: String,
    method: Method,
    host: Option<String>,
    path: String,
    began: Instant,
    status: Option<StatusCode>,
    /// Why this proxy answered itself, or the answer broke off.
    reason: Option<&'static str>,
    answered: Option<(Arc<Pool>, Arc<Backend>, Duration)>,
    bytes: u64,
    is_whole: bool,
    wants_text: bool,
    _work: Option<Work>,
}

/// Bytes of a path that are logged.
const PATH_MAX: usize = 1024;

impl Counts {
    /// Answers of each class, in the order of [`CLASSES`].
    pub fn by_class(&self) -> [u64; CLASSES.len()] {
        std::array::from_fn(|class| self.classes[class].load(Relaxed))
    }

    /// Requests whose answers are not over yet.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }
}

impl Exchange {
    /// A request has come.
    pub fn begin<B>(
        visitor: &Rc<Visitor>,
        counts: &Arc<Counts>,
        work: Option<Work>,
        (id, host, request): (String, Option<&str>, &Request<B>),
    ) -> Self {
        counts.in_flight.fetch_add(1, Relaxed);
        let path = request.uri().path();
        Self {
            visitor: Rc::clone(visitor),
            counts: Arc::clone(counts),
            id,
            method: request.method().clone(),
            host: host.map(str::to_owned),
            path: path[..path.floor_char_boundary(PATH_MAX)].to_owned(),
            began: Instant::now(),
            status: None,
            reason: None,
            answered: None,
            bytes: 0,
            is_whole: false,
            wants_text: answer::wants_text(request.headers()),
            _work: work,
        }
    }

    /// Whether the client would rather have text than JSON.
    pub fn wants_text(&self) -> bool {
        self.wants_text
    }

    /// This proxy has answered itself.
    pub fn refused(&mut self, status: StatusCode, reason: &'static str) {
        self.status = Some(status);
        self.reason = Some(reason);
    }

    /// A backend has answered.
    pub fn answered(&mut self, status: StatusCode, pool: &Arc<Pool>, backend: &Arc<Backend>) {
        self.status = Some(status);
        self.answered = Some((Arc::clone(pool), Arc::clone(backend), self.began.elapsed()));
    }

    /// So many bytes of the answer's body have passed.
    pub fn passed(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The answer is over.
    pub fn complete(&mut self) {
        self.is_whole = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(1, Relaxed);
        let class = self.status.map_or(0, |status| usize::from(status.as_u16() / 100).min(CLASSES.len() - 1));
        self.counts.classes[class].fetch_add(1, Relaxed);
        if !self.visitor.access_log {
            return;
        }
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        let broken = (!self.is_whole).then_some("broken_off");
        tracing::info!(
            target: "access",
            request = self.id,
            session = %self.visitor.session,
            listener = %self.visitor.tally.listener(),
            client = %self.visitor.client,
            method = self.method.as_str(),
            host = self.host.as_deref(),
            path = self.path,
            status = self.status.map(|status| status.as_u16()),
            pool = self.answered.as_ref().map(|(pool, ..)| tracing::field::display(pool.name())),
            backend = self.answered.as_ref().map(|(_, backend, _)| tracing::field::display(backend.key())),
            first_byte_ms = self.answered.as_ref().map(|(.., first_byte)| millis(*first_byte)),
            duration_ms = millis(self.began.elapsed()),
            bytes_down = self.bytes,
            reason = self.reason.or(broken),
        );
    }
}
