//! What listeners with `mode = "http"` do with requests.

use std::time::Duration;

use crate::config::scalar::{Hosts, Name};

/// Keys of `[listeners.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// How long a client may take with the head of a request.
    pub header_timeout: Duration,
    /// How long it may be silent between requests.
    pub keepalive_timeout: Duration,
    /// Backends are told by `Forwarded`, too.
    pub forwarded: bool,
    /// Where requests go: the first that fits.
    pub routes: Vec<HttpRoute>,
}

/// One of `[[listeners.NAME.routes]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// The request is for one of these; empty is any.
    pub hosts: Vec<Hosts>,
    /// Its path is this one or below it.
    pub path: String,
    /// Its method is one of these; empty is any.
    pub methods: Vec<String>,
    /// Where it goes: one of [`Config::pools`](super::Config::pools).
    pub pool: Name,
}
