//! What this proxy answers itself.

use hyper::body::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::forward::Failed;
use super::headers;

/// Why a request is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is none, or could be read in two ways.
    BadRequest,
    /// Its head is longer than any may be, or has more headers.
    HeadTooLarge,
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
    pub const ALL: [Self; 14] = [
        Self::BadRequest,
        Self::HeadTooLarge,
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
            Self::HeadTooLarge => "head_too_large",
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
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
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

    /// What a client of gRPC takes that status for (gRPC, "HTTP to gRPC Status Code Mapping").
    fn grpc_status(self) -> &'static str {
        match self.status() {
            StatusCode::BAD_REQUEST | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "13",
            StatusCode::NOT_FOUND => "12",
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => "14",
            _ => "2",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::HeadTooLarge => "the head of this request is too long, or has too many headers",
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

/// The form of an answer that this proxy gives itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For programs.
    Json,
    /// For people.
    Text,
    /// For calls of gRPC, whose clients read the status of the call, and not that of HTTP.
    Grpc,
}

/// Marks an answer behind which a connection of HTTP/1.1 ends: what follows the request may not be another one.
#[derive(Debug, Clone, Copy)]
pub struct FinalAnswer;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The answer.
pub fn refuse(reason: Reason, form: Form) -> Response<Bytes> {
    let words = reason.words();
    let mut response = match form {
        Form::Grpc => refuse_call(reason),
        Form::Text => say(reason.status(), "text/plain; charset=utf-8", format!("{words}\n")),
        Form::Json => {
            let body = format!("{{\"error\": \"{words}\", \"reason\": \"{}\"}}\n", reason.as_str());
            say(reason.status(), "application/json", body)
        }
    };
    if matches!(reason, Reason::BadRequest | Reason::HeadTooLarge) {
        response.extensions_mut().insert(FinalAnswer);
    }
    response
}

fn say(status: StatusCode, kind: &'static str, body: String) -> Response<Bytes> {
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

/// The answer to a call of gRPC that has no messages: its status stands among the headers ("Trailers-Only").
fn refuse_call(reason: Reason) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from_static(reason.grpc_status()));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(reason.words()));
    response
}

impl Form {
    /// The form that a request with these headers is answered in.
    pub fn of(asked: &HeaderMap) -> Self {
        if asked.get(CONTENT_TYPE).is_some_and(is_grpc) {
            return Self::Grpc;
        }
        if wants_text(asked) { Self::Text } else { Self::Json }
    }
}

fn is_grpc(kind: &HeaderValue) -> bool {
    let kind = kind.as_bytes().strip_prefix(b"application/grpc");
    kind.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// Whether a client would rather have text: it is named, and JSON is not.
fn wants_text(asked: &HeaderMap) -> bool {
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
        let response = refuse(reason, Form::of(&asked));
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
    #[test]
    fn calls_of_grpc_get_a_status_of_their_own() {
        for (kind, is_call) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let asked = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(Form::of(&asked) == Form::Grpc, is_call, "{kind}");
        }
        for (reason, status) in [
            (Reason::NoBackend, "14"),
            (Reason::ConnectFailed, "14"),
            (Reason::NoRoute, "12"),
            (Reason::BadRequest, "13"),
        ] {
            let response = refuse(reason, Form::Grpc);
            assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 0));
            assert_eq!(response.headers()[GRPC_STATUS], status, "{reason:?}");
        }
    }
}
