//! A request's place in a trace, and what it leaves there.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue};

use super::{Exchange, Told};
use crate::http::front::Front;
use crate::http::headers::{TRACEPARENT, TRACESTATE};
use crate::session::Visitor;
use crate::telemetry::millis;
use crate::trace::{Context, Span, SpanId};

/// The place in a trace of a request whose span is kept.
#[derive(Debug, Clone, Copy)]
pub struct Traced {
    context: Context,
    parent: Option<SpanId>,
}

impl Traced {
    /// Finds a request's place, and writes it into its headers for the backend. A client that is trusted says which trace it
    /// belongs to, and whether that is kept; for others one begins, so that no stranger can have everything kept. While tracing
    /// is off, headers pass as they are.
    pub fn begin(visitor: &Visitor, front: &Front, headers: &mut HeaderMap) -> Option<Self> {
        let tracer = visitor.tally.tracer()?;
        let told = told(headers).filter(|_| front.trusts(visitor.client.ip()));
        if told.is_none() {
            // It belongs to the trace that has not been followed.
            headers.remove(TRACESTATE);
        }
        let (context, parent) = match told {
            // Nothing is added to it here, so it passes as it is.
            Some(told) if !told.is_sampled => return None,
            Some(told) => (told.next(), Some(told.span)),
            None => (Context::new(tracer.samples()), None),
        };
        match HeaderValue::from_str(&context.to_string()) {
            Ok(value) => drop(headers.insert(TRACEPARENT, value)),
            Err(_never) => drop(headers.remove(TRACEPARENT)),
        }
        context.is_sampled.then_some(Self { context, parent })
    }
}

/// What a client says, if it says one thing that can be understood.
fn told(headers: &HeaderMap) -> Option<Context> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let told = values.next()?.to_str().ok()?.parse().ok();
    told.filter(|_| values.next().is_none())
}

impl Exchange {
    /// Hands on the request's span, now that it is over.
    pub(super) fn leave_span(&self, told: &Told, took: Duration) {
        let Some((Traced { context, parent }, tracer)) = self.traced.zip(self.visitor.tally.tracer()) else { return };
        let Some(asked) = told.method() else { return };
        let (method, name) = known(asked);
        let mut span = Span::ended(context, parent, name, took);
        span.tell("http.request.method", method);
        if method == OTHER {
            span.tell("http.request.method_original", asked.as_str().to_owned());
        }
        span.tell_if("url.path", told.path().map(str::to_owned));
        span.tell("url.scheme", if self.visitor.is_encrypted { "https" } else { "http" });
        if let Some((host, port)) = told.host().map(host_and_port) {
            span.tell("server.address", host.to_owned());
            span.tell_if("server.port", port);
        }
        span.tell("client.address", self.visitor.client.ip());
        span.tell("portti.request_id", told.id().to_owned());
        span.tell("portti.session", self.visitor.session.to_string());
        span.tell("portti.listener", self.visitor.tally.listener().clone());
        span.tell_if("portti.pool", self.pool().cloned());
        if let Some(source) = &self.source {
            span.tell("portti.backend", Arc::clone(&source.backend));
            span.tell("portti.queue_ms", millis(source.queue));
            span.tell("portti.connect_ms", millis(source.connect));
        }
        span.tell_if("portti.first_byte_ms", self.first_byte.map(millis));
        span.tell("portti.bytes_down", self.bytes);
        self.tell_outcome(&mut span);
        tracer.send(span);
    }

    fn tell_outcome(&self, span: &mut Span) {
        span.tell_if("http.response.status_code", self.status.map(|status| status.as_u16()));
        span.tell_if("portti.reason", self.reason.or_else(|| self.broken_off()));
        // What a client asks wrongly is no error of who is asked.
        if let Some(status) = self.status.filter(hyper::StatusCode::is_server_error) {
            span.is_error = true;
            match self.reason {
                Some(reason) => span.tell("error.type", reason),
                None => span.tell("error.type", status.as_str().to_owned()),
            }
        }
    }
}

/// What stands for a method that is not known: spans are told apart by it, and clients could make up any number.
const OTHER: &str = "_OTHER";

/// A method, and what its span is called.
fn known(method: &Method) -> (&'static str, &'static str) {
    let word = match *method {
        Method::CONNECT => "CONNECT",
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::TRACE => "TRACE",
        _ => return (OTHER, "HTTP"),
    };
    (word, word)
}

/// `a.example:8080`, `[::1]:8080`, or without a port.
fn host_and_port(host: &str) -> (&str, Option<u16>) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, None),
    };
    (name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name), port)
}

#[cfg(test)]
mod tests;
