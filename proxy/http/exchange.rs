//! One request, from its head to the end of its answer: what is counted and logged of it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode, Uri};
use prometheus::Histogram;
use tokio::time::Instant;

mod span;

pub use self::span::Traced;
use super::Near;
use super::answer::{Form, Reason};
use super::busy::Work;
use super::headers::X_REQUEST_ID;
use crate::config::scalar::Name;
use crate::metrics;
use crate::pool::{Backend, Pool};
use crate::session::Visitor;
use crate::telemetry::millis;

/// Requests of a listener.
#[derive(Debug, Default)]
pub struct Counts {
    /// By the pool that they went to.
    pools: Mutex<BTreeMap<Name, Arc<Answers>>>,
    /// Those that went to none.
    nowhere: Arc<Answers>,
    /// What this proxy has answered itself.
    refused: [AtomicU64; Reason::ALL.len()],
    in_flight: AtomicU64,
}

/// Requests that went to one pool.
#[derive(Debug)]
pub struct Answers {
    pool: Option<Name>,
    classes: [AtomicU64; CLASSES.len()],
    duration: Histogram,
}

/// The words for the classes of status; the first is for requests that had no answer.
pub const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// One request. Counts and logs when dropped, so that one that breaks off is counted, too.
#[derive(Debug)]
pub struct Exchange {
    visitor: Rc<Visitor>,
    counts: Near<Counts>,
    answers: Option<Arc<Answers>>,
    /// `None` if nobody is told of it: most of what is known then need not be kept.
    told: Option<Told>,
    began: Instant,
    status: Option<StatusCode>,
    /// Why this proxy answered itself, or the answer broke off.
    reason: Option<&'static str>,
    source: Option<Source>,
    first_byte: Option<Duration>,
    bytes: u64,
    /// When its answer was over.
    ended_at: Option<Instant>,
    form: Form,
    /// Its place in a trace, if that is kept.
    traced: Option<Traced>,
    _work: Work,
}

/// What a request asks for, as it is told in the log and in its trace.
#[derive(Debug)]
struct Told {
    id: Option<HeaderValue>,
    /// What it does, and to what; `None` if it was none that could be read.
    line: Option<(Method, Uri)>,
    host: Option<HeaderValue>,
}

/// Where an answer came from, and what that took.
#[derive(Debug)]
pub struct Source {
    /// The pool.
    pub pool: Arc<Pool>,
    /// The backend.
    pub backend: Arc<Backend>,
    /// The wait for a place.
    pub queue: Duration,
    /// The connect; nothing, if a connection stood already.
    pub connect: Duration,
}

/// Bytes of a path that are logged.
const PATH_MAX: usize = 1024;

impl Counts {
    /// The counts for requests to a pool.
    pub fn of(&self, pool: &Name) -> Arc<Answers> {
        let mut pools = self.pools();
        let new = || Arc::new(Answers { pool: Some(pool.clone()), ..Answers::default() });
        Arc::clone(pools.entry(pool.clone()).or_insert_with(new))
    }

    /// All of them, those that went nowhere last.
    pub fn all(&self) -> Vec<Arc<Answers>> {
        self.pools().values().chain([&self.nowhere]).map(Arc::clone).collect()
    }

    /// Forgets pools that are no more.
    pub fn keep(&self, is_there: impl Fn(&Name) -> bool) {
        self.pools().retain(|name, _| is_there(name));
    }

    /// Answers of this proxy's own.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused[reason as usize].load(Relaxed)
    }

    /// Requests whose answers are not over yet.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    fn pools(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Answers>>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    /// The pool that these went to, if to any.
    pub fn pool(&self) -> Option<&Name> {
        self.pool.as_ref()
    }

    /// Those of each class, in the order of [`CLASSES`].
    pub fn by_class(&self) -> [u64; CLASSES.len()] {
        std::array::from_fn(|class| self.classes[class].load(Relaxed))
    }

    /// How long requests took, from their heads to the ends of their answers.
    pub fn duration(&self) -> &Histogram {
        &self.duration
    }

    fn count(&self, status: Option<StatusCode>, took: Duration) {
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100).min(CLASSES.len() - 1));
        self.classes[class].fetch_add(1, Relaxed);
        self.duration.observe(took.as_secs_f64());
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self { pool: None, classes: Default::default(), duration: metrics::request_duration() }
    }
}

impl Exchange {
    /// A request has come. It is boxed, as it is handed on often.
    pub fn begin<B>(
        visitor: &Rc<Visitor>,
        counts: &Near<Counts>,
        work: Work,
        traced: Option<Traced>,
        (host, request): (Option<&HeaderValue>, &Request<B>),
    ) -> Box<Self> {
        let told = || Told {
            id: request.headers().get(X_REQUEST_ID).cloned(),
            line: Some((request.method().clone(), request.uri().clone())),
            host: host.cloned(),
        };
        let told = (visitor.access_log || traced.is_some()).then(told);
        Self::of((visitor, counts, work), traced, told, Form::of(request.headers()))
    }

    /// What has come is no request that could be read. It is counted and logged all the same.
    pub fn begin_unread(visitor: &Rc<Visitor>, counts: &Near<Counts>, work: Work, id: HeaderValue) -> Box<Self> {
        let told = visitor.access_log.then(|| Told { id: Some(id), line: None, host: None });
        Self::of((visitor, counts, work), None, told, Form::Json)
    }

    fn of(
        (visitor, counts, work): (&Rc<Visitor>, &Near<Counts>, Work),
        traced: Option<Traced>,
        told: Option<Told>,
        form: Form,
    ) -> Box<Self> {
        counts.in_flight.fetch_add(1, Relaxed);
        Box::new(Self {
            visitor: Rc::clone(visitor),
            counts: Rc::clone(counts),
            answers: None,
            told,
            began: Instant::now(),
            status: None,
            reason: None,
            source: None,
            first_byte: None,
            bytes: 0,
            ended_at: None,
            form,
            traced,
            _work: work,
        })
    }

    /// The form of an answer of this proxy's own.
    pub fn form(&self) -> Form {
        self.form
    }

    /// It goes to the pool that these are the counts of.
    pub fn goes_to(&mut self, answers: &Arc<Answers>) {
        self.answers = Some(Arc::clone(answers));
    }

    /// This proxy has answered itself.
    pub fn refused(&mut self, reason: Reason) {
        self.counts.refused[reason as usize].fetch_add(1, Relaxed);
        self.status = Some(reason.status());
        self.reason = Some(reason.as_str());
    }

    /// When it came.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// A backend has answered, at this time.
    pub fn answered(&mut self, status: StatusCode, source: impl FnOnce() -> Source, at: Instant) {
        self.status = Some(status);
        self.first_byte = Some(at - self.began);
        self.source = self.told.is_some().then(source);
    }

    /// So many bytes of the answer's body have passed.
    pub fn passed(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The answer is over, since this time.
    pub fn complete(&mut self, now: Instant) {
        self.ended_at = Some(now);
    }

    /// Why there is less of an answer than there was to be.
    fn broken_off(&self) -> Option<&'static str> {
        self.ended_at.is_none().then_some("broken_off")
    }

    /// The pool that has answered, or was to.
    fn pool(&self) -> Option<&Name> {
        let meant = self.answers.as_ref().and_then(|answers| answers.pool());
        self.source.as_ref().map(|source| source.pool.name()).or(meant)
    }

    fn log(&self, told: &Told, took: Duration) {
        let source = self.source.as_ref();
        tracing::info!(
            target: "access",
            request = told.id(),
            session = %self.visitor.session,
            listener = %self.visitor.tally.listener(),
            client = %self.visitor.client,
            method = told.method().map(Method::as_str),
            host = told.host(),
            path = told.path(),
            status = self.status.map(|status| status.as_u16()),
            pool = self.pool().map(tracing::field::display),
            backend = source.map(|source| tracing::field::display(source.backend.key())),
            queue_ms = source.map(|source| millis(source.queue)),
            connect_ms = source.map(|source| millis(source.connect)),
            first_byte_ms = self.first_byte.map(millis),
            duration_ms = millis(took),
            bytes_down = self.bytes,
            reason = self.reason.or_else(|| self.broken_off()),
        );
    }
}

impl Told {
    fn id(&self) -> &str {
        self.id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default()
    }

    fn host(&self) -> Option<&str> {
        self.host.as_ref()?.to_str().ok()
    }

    fn method(&self) -> Option<&Method> {
        self.line.as_ref().map(|(method, _)| method)
    }

    /// As much of it as is told.
    fn path(&self) -> Option<&str> {
        let (_, target) = self.line.as_ref()?;
        let path = target.path();
        Some(&path[..path.floor_char_boundary(PATH_MAX)])
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.ended_at.unwrap_or_else(Instant::now) - self.began;
        self.counts.in_flight.fetch_sub(1, Relaxed);
        self.answers.as_ref().unwrap_or(&self.counts.nowhere).count(self.status, took);
        if let Some(told) = &self.told {
            self.leave_span(told, took);
            if self.visitor.access_log {
                self.log(told, took);
            }
        }
    }
}
