//! What is done with requests: by listeners with `mode = "http"`, and by pools.

use std::time::Duration;

use crate::admission::level::Level;
use crate::config::scalar::{Hosts, Name};

/// Keys of `[listeners.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// How long a client may take with the head of a request.
    pub header_timeout: Duration,
    /// How long it may be silent between requests.
    pub keepalive_timeout: Duration,
    /// How long it may take nothing of an answer.
    pub send_timeout: Option<Duration>,
    /// How long the next piece of a request's body may take.
    pub body_timeout: Option<Duration>,
    /// Backends are told by `Forwarded`, too.
    pub forwarded: bool,
    /// What this proxy calls itself in `Via`; `None` is nothing.
    pub via: Option<String>,
    /// What players are known again by, beside their addresses.
    pub reconnect_key: Option<PlayerKey>,
    /// Paths are compared in their normal form, else as they are written.
    pub path_normalize: bool,
    /// Where requests go: the first that fits.
    pub routes: Vec<HttpRoute>,
}

/// One of `[[listeners.NAME.routes]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// The request is for one of these; empty is any.
    pub hosts: Vec<Hosts>,
    /// Its path is this one or below it; in normal form, where paths are compared in that.
    pub path: String,
    /// Its method is one of these; empty is any.
    pub methods: Vec<String>,
    /// Where it goes: one of [`Config::pools`](super::Config::pools).
    pub pool: Name,
    /// From this level on, those of newcomers are shed; `None` is as the listener says.
    pub shed_at: Option<Level>,
}

/// Where requests say whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayerKey {
    /// In this header.
    Header(String),
    /// In this cookie.
    Cookie(String),
}

/// Keys of `[pools.NAME]` that concern requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    /// What backends speak.
    pub protocol: Protocol,
    /// Connections that a worker keeps to a backend for the next request.
    pub warm_connections: u32,
    /// For how long.
    pub warm_timeout: Duration,
    /// Connections of HTTP/2 that a worker may have to a backend.
    pub h2_connections: u32,
    /// Answers with one of these count against a backend (`breaker.status`).
    pub failing: Vec<u16>,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9112.
    Http1,
    /// RFC 9113: from the first byte on, or as TLS agrees.
    Http2,
}
