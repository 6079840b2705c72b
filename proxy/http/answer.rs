//! What this proxy answers itself.

use hyper::body::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::forward::Failed;
use super::headers;

/// Why a request is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is none, or could be read in two ways.
    BadRequest,
    /// Its body did not come on.
    BodyTimeout,
    /// Nothing is served there.
    NoRoute,
    /// Nobody new is served at this service level.
    Shed,
    /// No backend is eligible, or has room.
    NoBackend,
    /// As many wait for one as may.
    QueueFull,
    /// No place became free in time.
    QueueTimeout,
    /// None could be reached.
    ConnectFailed,
    /// This machine has no port left to connect from.
    NoSourcePort,
    /// The backend's connection broke.
    BackendReset,
    /// The backend did not answer in time.
    RequestTimeout,
    /// The backend has agreed to another protocol that nobody had asked for, or has not agreed, and says that all is well.
    NotUpgraded,
    /// As many sessions live as may.
    AtCapacity,
}

impl Reason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 13] = [
        Self::BadRequest,
        Self::BodyTimeout,
        Self::NoRoute,
        Self::Shed,
        Self::NoBackend,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::ConnectFailed,
        Self::NoSourcePort,
        Self::BackendReset,
        Self::RequestTimeout,
        Self::NotUpgraded,
        Self::AtCapacity,
    ];

    /// The word for it, as in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::BodyTimeout => "body_timeout",
            Self::NoRoute => "no_route",
            Self::Shed => "shed",
            Self::NoBackend => "no_backend",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::ConnectFailed => "connect_failed",
            Self::NoSourcePort => "no_source_port",
            Self::BackendReset => "backend_reset",
            Self::RequestTimeout => "request_timeout",
            Self::NotUpgraded => "not_upgraded",
            Self::AtCapacity => "at_capacity",
        }
    }

    /// RFC 9110, 15.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Shed
            | Self::NoBackend
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::NoSourcePort
            | Self::AtCapacity => StatusCode::SERVICE_UNAVAILABLE,
            Self::ConnectFailed | Self::BackendReset | Self::NotUpgraded => StatusCode::BAD_GATEWAY,
            Self::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::BadRequest => "this is no request that has one meaning",
            Self::BodyTimeout => "the request did not come on",
            Self::NoRoute => "nothing is served here",
            Self::NotUpgraded => "the server could not agree on a protocol",
            Self::QueueTimeout => "no place became free in time, please try again",
            Self::Shed | Self::QueueFull | Self::NoSourcePort | Self::AtCapacity => {
                "too many are here already, please try again"
            }
            Self::NoBackend => "no server is ready, please try again",
            Self::ConnectFailed => "no server could be reached",
            Self::BackendReset => "the server broke off",
            Self::RequestTimeout => "the server did not answer in time",
        }
    }
}

impl From<Failed> for Reason {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NoBackend | Failed::Refused => Self::NoBackend,
            Failed::QueueFull => Self::QueueFull,
            Failed::QueueTimeout => Self::QueueTimeout,
            Failed::Connect => Self::ConnectFailed,
            Failed::NoSourcePort => Self::NoSourcePort,
            Failed::Reset => Self::BackendReset,
            Failed::Timeout => Self::RequestTimeout,
            Failed::Body => Self::BadRequest,
            Failed::BodyTimeout => Self::BodyTimeout,
        }
    }
}

/// The answer, in JSON or in text.
pub fn refuse(reason: Reason, wants_text: bool) -> Response<Bytes> {
    say((reason.status(), reason.words(), reason.as_str()), wants_text)
}

/// An answer of this status, in these words and this one.
pub fn say((status, words, word): (StatusCode, &str, &str), wants_text: bool) -> Response<Bytes> {
    let (kind, body) = if wants_text {
        ("text/plain; charset=utf-8", format!("{words}\n"))
    } else {
        ("application/json", format!("{{\"error\": \"{words}\", \"reason\": \"{word}\"}}\n"))
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    }
    response
}

/// Whether a client would rather have text: it is named, and JSON is not.
pub fn wants_text(asked: &HeaderMap) -> bool {
    let (mut text, mut json) = (false, false);
    for kind in asked.get_all(ACCEPT).iter().flat_map(headers::words) {
        text |= [&b"text/plain"[..], b"text/html", b"text/*"].iter().any(|text| kind.eq_ignore_ascii_case(text));
        json |= kind.eq_ignore_ascii_case(b"application/json");
    }
    text && !json
}

/// Long enough for a server to be back, short enough for a player to wait.
const RETRY_SECONDS: &str = "5";

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(reason: Reason, accept: &'static str) -> (StatusCode, String, String, bool) {
        let asked = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        let response = refuse(reason, wants_text(&asked));
        let kind = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let retries = response.headers().contains_key(RETRY_AFTER);
        (response.status(), kind, String::from_utf8(response.body().to_vec()).unwrap(), retries)
    }

    #[test]
    fn programs_get_json_and_people_text() {
        let (status, kind, body, retries) = answer(Reason::RequestTimeout, "*/*");
        assert_eq!((status.as_u16(), kind.as_str(), retries), (504, "application/json", false));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["reason"], "request_timeout");
        let (status, kind, body, retries) = answer(Reason::NoBackend, "text/html, */*;q=0.8");
        assert_eq!((status.as_u16(), retries), (503, true));
        assert_eq!(
            (kind.as_str(), body.as_str()),
            ("text/plain; charset=utf-8", "no server is ready, please try again\n")
        );
        assert_eq!(answer(Reason::NoRoute, "text/plain, application/json").1, "application/json");
    }
}
