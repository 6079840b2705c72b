//! The newest lines of the log, kept in memory for whoever looks: what changed, in the log's own words.
//!
//! They are the program's own lines of level INFO and above but those of finished sessions, whatever level the log has. There is
//! one feed for the process, because there is one subscriber of `tracing`: proxies that run side by side in a test share it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;
use tracing::Metadata;

use super::form::{Plain, fill, is_own};
use super::limited::Sink;
use super::line::{ACCESS, Line, MESSAGE, Value};
use crate::config::model::LogLevel;

/// Lines that are kept: more than a person reads, and some minutes of a bad night.
const EVENTS: usize = 500;

/// Bytes of one text: the problems of a config file, told in full, are mostly shorter.
const TEXT_MAX: usize = 4096;

/// Backends whose last line is known. That of whoever was last heard of longest ago is forgotten for a further one.
const BACKENDS: usize = 10_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Rises from line to line, from 1.
    pub id: u64,
    /// When it was said.
    pub at: SystemTime,
    /// How severe it is.
    pub level: LogLevel,
    /// Its words.
    pub message: String,
    /// The listener that it is about.
    pub listener: Option<String>,
    /// The pool that it is about.
    pub pool: Option<String>,
    /// The backend that it is about.
    pub backend: Option<String>,
    /// The client that it is about.
    pub client: Option<String>,
    /// The session that it is about.
    pub session: Option<String>,
    /// Every other field, by name.
    pub others: Vec<(&'static str, String)>,
}

/// The newest lines.
#[derive(Debug)]
pub struct Feed {
    /// Locked for a push by whoever has something to say, which is seldom: see [`Limited`](super::limited::Limited).
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    newest: u64,
    events: VecDeque<Arc<Event>>,
    /// The last one of each backend, by pool and backend.
    of_backends: HashMap<(String, String), Arc<Event>>,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { kept: Mutex::default(), newest: watch::channel(0).0 }
    }

    /// What is kept and came after the line with this id, the oldest first. All that is kept came after 0.
    pub fn since(&self, id: u64) -> Vec<Arc<Event>> {
        let kept = self.kept();
        let first = kept.events.partition_point(|event| event.id <= id);
        kept.events.range(first..).cloned().collect()
    }

    /// The last line about a backend.
    pub fn last_of(&self, pool: &str, backend: &str) -> Option<Arc<Event>> {
        self.kept().of_backends.get(&(pool.to_owned(), backend.to_owned())).cloned()
    }

    /// The id of the newest line, 0 if there is none; for waiting until there is a newer one.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Keeps an event, under an id that it gives it.
    fn push(&mut self, mut event: Event) -> u64 {
        self.newest += 1;
        event.id = self.newest;
        let event = Arc::new(event);
        if let (Some(pool), Some(backend)) = (&event.pool, &event.backend) {
            let key = (pool.clone(), backend.clone());
            if self.of_backends.len() >= BACKENDS && !self.of_backends.contains_key(&key) {
                self.forget_oldest();
            }
            self.of_backends.insert(key, Arc::clone(&event));
        }
        self.events.push_back(event);
        if self.events.len() > EVENTS {
            self.events.pop_front();
        }
        self.newest
    }

    /// Looks at all of them, which is no matter: it takes new names of backends by the thousand to come here at all.
    fn forget_oldest(&mut self) {
        let oldest = self.of_backends.iter().min_by_key(|(_, event)| event.id).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.of_backends.remove(&key);
        }
    }
}

impl Event {
    fn of(line: &Line<'_>) -> Self {
        let mut event = Self {
            id: 0,
            at: SystemTime::now(),
            level: LogLevel::from(*line.metadata.level()),
            message: String::new(),
            listener: None,
            pool: None,
            backend: None,
            client: None,
            session: None,
            others: Vec::new(),
        };
        line.each(|name, value| event.note(name, value));
        event
    }

    fn note(&mut self, name: &'static str, value: Value<'_>) {
        let mut text = String::new();
        // Pages and terminals show it.
        fill(&mut Plain(&mut text), format_args!("{value}"));
        let text = short(text);
        match name {
            MESSAGE => self.message = text,
            "listener" => self.listener = Some(text),
            "pool" => self.pool = Some(text),
            "backend" => self.backend = Some(text),
            "client" => self.client = Some(text),
            "session" => self.session = Some(text),
            _ => self.others.push((name, text)),
        }
    }
}

fn short(mut text: String) -> String {
    const MORE: &str = "…";
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX - MORE.len()));
        text.push_str(MORE);
    }
    text
}

/// Whether the feed has lines of this kind.
pub(super) fn takes(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= tracing::Level::INFO && metadata.target() != ACCESS && is_own(metadata.target())
}

impl Sink for Arc<Feed> {
    fn take(&self, line: &Line<'_>) {
        let event = Event::of(line);
        let newest = self.kept().push(event);
        // Two lines of two threads may come here in the other order.
        self.newest.send_if_modified(|known| {
            let is_newer = newest > *known;
            *known = newest.max(*known);
            is_newer
        });
    }
}

#[cfg(test)]
mod tests;
