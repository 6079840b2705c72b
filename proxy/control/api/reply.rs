//! Answers of the admin server, and how those that are no success say why.

use std::convert::Infallible;
use std::pin::Pin;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::control::view;

/// What is sent: mostly a text that is there as a whole.
pub(in crate::control) type Content = Pin<Box<dyn Body<Data = Bytes, Error = Infallible>>>;

/// An answer.
pub(in crate::control) type Answer = Response<Content>;

/// Why something was not done. `code` is for programs, `error` for people.
#[derive(Debug)]
pub(in crate::control) struct Refusal {
    status: StatusCode,
    code: &'static str,
    error: String,
    /// The methods that there are, where it was another.
    allow: Option<String>,
}

/// What has come of a request.
pub(in crate::control) type Outcome = Result<Answer, Refusal>;

#[derive(Debug, Serialize)]
struct Problem<'a> {
    code: &'static str,
    error: &'a str,
}

impl Refusal {
    /// With an explanation for people.
    pub(in crate::control) fn new(status: StatusCode, code: &'static str, error: impl Into<String>) -> Self {
        Self { status, code, error: error.into(), allow: None }
    }

    /// The request itself is wrong.
    pub(in crate::control) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", error)
    }

    /// There is no such thing. `which` are those that there are.
    pub(in crate::control) fn no_such<'a>(
        code: &'static str,
        what: &str,
        name: &str,
        which: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut which: Vec<_> = which.into_iter().take(NAMED + 1).collect();
        if which.len() > NAMED {
            which[NAMED] = "...";
        }
        let there_are = if which.is_empty() { "there is none".to_owned() } else { which.join(", ") };
        Self::new(StatusCode::NOT_FOUND, code, format!("there is no {what} {name:?}; there are: {there_are}"))
    }

    /// The path is there, but not with this method.
    pub(in crate::control) fn method(allow: String) -> Self {
        let error = format!("this path knows only {allow}");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", error) }
    }

    /// The word for it.
    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// As an answer.
    pub(in crate::control) fn answer(&self) -> Answer {
        let mut answer = json(self.status, &Problem { code: self.code, error: &self.error });
        if let Some(allow) = self.allow.as_ref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            answer.headers_mut().insert(ALLOW, allow);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// Names told of what there is; a list of thousands helps nobody.
const NAMED: usize = 20;

/// The type of a stream of events.
pub(super) const EVENTS: &str = "text/event-stream";

/// A view as JSON.
pub(in crate::control) fn json(status: StatusCode, view: &impl Serialize) -> Answer {
    respond(status, "application/json", view::json(view))
}

/// A line for people.
pub(in crate::control) fn text(status: StatusCode, line: &str) -> Answer {
    respond(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// Done, and there is nothing to say.
pub(in crate::control) fn done() -> Answer {
    let mut answer = Response::new(whole(String::new()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// Texts that are sent as they come.
pub(super) fn stream(content: impl Body<Data = Bytes, Error = Infallible> + 'static) -> Answer {
    let mut answer = Response::new(Box::pin(content) as Content);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENTS));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A text of this type.
pub(in crate::control) fn respond(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(whole(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn whole(body: String) -> Content {
    Box::pin(Full::new(Bytes::from(body)))
}
