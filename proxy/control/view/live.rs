//! What is live, as it is told.

use std::collections::BTreeMap;

use hyper::body::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::{Status, json, timestamp};
use crate::control::history::{History, Point};
use crate::control::state::State;
use crate::pool::{Digest, Key};
use crate::session::{Listing, Row, SessionId};
use crate::telemetry::feed::Event;

/// `GET /api/v1/sessions`.
#[derive(Debug, Serialize)]
pub(in crate::control) struct Sessions {
    sessions: Vec<SessionStatus>,
    /// How many the filter takes, on all pages.
    total: usize,
    /// Where the next page begins, if there is one.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct SessionStatus {
    id: Shown<SessionId>,
    listener: String,
    client: std::net::SocketAddr,
    pool: Option<String>,
    backend: Option<Shown<Key>>,
    age_ms: u64,
    bytes_up: u64,
    bytes_down: u64,
    rtt_us: Option<u32>,
    retransmits: Option<u32>,
    mode: &'static str,
}

/// As it is displayed.
#[derive(Debug)]
struct Shown<T>(T);

/// The curve of the last ten minutes.
#[derive(Debug, Serialize)]
pub(in crate::control) struct HistoryEvent {
    every_seconds: u32,
    points: Vec<PointStatus>,
}

/// The status, and the newest point of the curve.
#[derive(Debug, Serialize)]
pub(in crate::control) struct StatusEvent {
    #[serde(flatten)]
    status: Status,
    point: Option<PointStatus>,
}

/// A line of the log.
#[derive(Debug, Serialize)]
pub(in crate::control) struct LogEvent<'a> {
    id: u64,
    #[serde(flatten)]
    last: LastEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    /// What else it says.
    fields: BTreeMap<&'static str, &'a str>,
}

/// What it says, and when.
#[derive(Debug, Serialize)]
pub(super) struct LastEvent {
    at: String,
    level: &'static str,
    text: String,
}

#[derive(Debug, Serialize)]
struct PointStatus {
    at: u64,
    sessions: usize,
    new: u64,
    refused: u64,
}

/// The middle, and what nearly all do not exceed.
#[derive(Debug, Serialize)]
pub(super) struct Spread<T> {
    median: T,
    p99: T,
}

impl Sessions {
    pub(in crate::control) fn of(listing: Listing, next: Option<String>) -> Self {
        let Listing { rows, total } = listing;
        Self { sessions: rows.into_iter().map(SessionStatus::of).collect(), total, next }
    }
}

impl SessionStatus {
    fn of(row: Row) -> Self {
        Self {
            id: Shown(row.mark.id),
            listener: row.tally.listener().to_string(),
            client: row.client,
            pool: row.pool.map(|pool| pool.name().to_string()),
            backend: row.backend.map(|backend| Shown(backend.key().clone())),
            age_ms: u64::try_from(row.age.as_millis()).unwrap_or(u64::MAX),
            bytes_up: row.bytes.0,
            bytes_down: row.bytes.1,
            rtt_us: row.quality.map(|quality| quality.rtt_us),
            retransmits: row.quality.map(|quality| quality.retransmits),
            mode: super::mode(row.mode),
        }
    }
}

impl HistoryEvent {
    pub(in crate::control) fn of(history: &History) -> Self {
        Self { every_seconds: 1, points: history.points().map(PointStatus::of).collect() }
    }

    /// As an event.
    pub(in crate::control) fn into_text(self) -> Bytes {
        event("history", &self)
    }
}

impl StatusEvent {
    pub(in crate::control) fn of(state: &State, now: Instant) -> Self {
        let point = state.live().with_history(History::newest);
        Self { status: Status::of(state, now), point: point.map(PointStatus::of) }
    }

    /// As an event.
    pub(in crate::control) fn into_text(self) -> Bytes {
        event("status", &self)
    }
}

impl<'a> LogEvent<'a> {
    pub(in crate::control) fn of(event: &'a Event) -> Self {
        Self {
            id: event.id,
            last: LastEvent::of(event),
            listener: event.listener.as_deref(),
            pool: event.pool.as_deref(),
            backend: event.backend.as_deref(),
            client: event.client.as_deref(),
            session: event.session.as_deref(),
            fields: event.others.iter().map(|(name, value)| (*name, value.as_str())).collect(),
        }
    }

    /// As an event; a reader that comes again says its id (`Last-Event-ID`).
    pub(in crate::control) fn into_text(self) -> Bytes {
        let text = event("log", &self);
        [format!("id: {}\n", self.id).as_bytes(), &*text].concat().into()
    }
}

impl LastEvent {
    pub(super) fn of(event: &Event) -> Self {
        Self { at: timestamp(event.at), level: event.level.as_str(), text: event.message.clone() }
    }
}

impl PointStatus {
    fn of(Point { at, sessions, new, refused }: Point) -> Self {
        Self { at, sessions, new, refused }
    }
}

impl Spread<u32> {
    pub(super) fn of(digest: Digest) -> Self {
        Self { median: digest.median, p99: digest.p99 }
    }
}

impl Spread<f64> {
    /// Of microseconds.
    pub(super) fn in_millis(digest: Digest) -> Self {
        Self { median: f64::from(digest.median) / 1e3, p99: f64::from(digest.p99) / 1e3 }
    }
}

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// One event of a stream (WHATWG HTML, 9.2). JSON has no line break, so that its text is one line.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    format!("event: {name}\ndata: {}\n\n", json(data)).into()
}
