//! Spans as a collector of OpenTelemetry reads them: OTLP over HTTP, in JSON. Pure.
//!
//! Sources: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding> (ids in hex, whole numbers of 64 bits as texts,
//! enumerations as numbers) and `opentelemetry/proto/trace/v1/trace.proto`. It is written piece by piece: made of objects, which have
//! a tree each, it would take the control thread ten times as long.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;

use super::span::{Span, Value};

/// `SPAN_KIND_SERVER`: somebody else has asked for it.
const SERVER: u8 = 2;

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// What a span takes, more or less.
const SPAN_BYTES: usize = 1536;

/// JSON in the making. Memory takes every byte, so that writing cannot fail.
#[derive(Debug, Default)]
struct Text(Vec<u8>);

/// The body of one export. `instance` tells this process from others of its kind.
pub fn export(spans: &[Span], instance: &str) -> Vec<u8> {
    let mut out = Text(Vec::with_capacity(spans.len() * SPAN_BYTES));
    let version = env!("CARGO_PKG_VERSION");
    let resource = [("service.name", "portti"), ("service.version", version), ("service.instance.id", instance)];
    out.plain(r#"{"resourceSpans":[{"resource":{"attributes":"#);
    out.list(resource, |out, (key, value)| out.attribute(key, |out| out.text(value)));
    out.plain(r#"},"scopeSpans":[{"scope":{"name":"portti"},"spans":"#);
    out.list(spans, Text::span);
    out.plain("}]}]}");
    out.0
}

/// How many spans a collector that took an export did not take after all.
pub fn rejected(answer: &[u8]) -> u64 {
    let answer: Json = serde_json::from_slice(answer).unwrap_or_default();
    let count = &answer["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0)
}

impl Text {
    fn plain(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// What has nothing in it to be escaped, in quotes.
    fn quoted(&mut self, shown: impl Display) {
        _ = write!(self.0, "\"{shown}\"");
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.plain("[");
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.plain(",");
            }
            write(self, item);
        }
        self.plain("]");
    }

    fn span(&mut self, span: &Span) {
        self.plain(r#"{"traceId":"#);
        self.quoted(span.context.trace);
        self.plain(r#","spanId":"#);
        self.quoted(span.context.span);
        if let Some(parent) = span.parent {
            self.plain(r#","parentSpanId":"#);
            self.quoted(parent);
        }
        self.plain(r#","name":"#);
        self.quoted(span.name);
        self.plain(r#","startTimeUnixNano":"#);
        self.quoted(nanos(span.ended_at.checked_sub(span.took).unwrap_or(UNIX_EPOCH)));
        self.plain(r#","endTimeUnixNano":"#);
        self.quoted(nanos(span.ended_at));
        if span.is_error {
            _ = write!(self.0, r#","status":{{"code":{ERROR}}}"#);
        }
        _ = write!(self.0, r#","kind":{SERVER},"attributes":"#);
        self.list(&span.attributes, |out, (key, value)| out.attribute(key, |out| out.value(value)));
        self.plain("}");
    }

    fn attribute(&mut self, key: &'static str, value: impl FnOnce(&mut Self)) {
        self.plain(r#"{"key":"#);
        self.quoted(key);
        self.plain(r#","value":{"#);
        value(self);
        self.plain("}}");
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Word(word) => self.text(word),
            Value::Text(text) => self.text(text),
            Value::Name(name) => self.text(name.as_str()),
            Value::Ip(address) => self.shown(address),
            Value::Backend(backend) => self.text(&backend.key().to_string()),
            Value::Whole(number) => {
                self.plain(r#""intValue":"#);
                self.quoted(number);
            }
            Value::Number(number) => {
                self.plain(r#""doubleValue":"#);
                _ = serde_json::to_writer(&mut self.0, number);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.plain(r#""stringValue":"#);
        _ = serde_json::to_writer(&mut self.0, text);
    }

    fn shown(&mut self, shown: impl Display) {
        self.plain(r#""stringValue":"#);
        self.quoted(shown);
    }
}

/// Since 1970.
fn nanos(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::trace::context::Context;

    #[test]
    fn spans_are_written_as_collectors_read_them() {
        let parent: Context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let mut span = Span::ended(parent.next(), Some(parent.span), "GET", Duration::from_millis(1500));
        span.ended_at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        span.is_error = true;
        span.tell("http.request.method", "GET");
        span.tell("url.path", "/\"\u{1}".to_owned());
        span.tell("http.response.status_code", 502_u16);
        span.tell("portti.first_byte_ms", 1.5);
        span.tell("client.address", std::net::IpAddr::from([127, 0, 0, 1]));
        span.tell_if("portti.reason", None::<&str>);
        let id = span.context.span.to_string();
        let written: Json = serde_json::from_slice(&export(&[span], "it")).unwrap();
        let resource = &written["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "portti");
        let expected = json!({
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "spanId": id,
            "parentSpanId": "00f067aa0ba902b7",
            "name": "GET",
            "kind": 2,
            "startTimeUnixNano": "1699999998500000000",
            "endTimeUnixNano": "1700000000000000000",
            "status": { "code": 2 },
            "attributes": [
                { "key": "http.request.method", "value": { "stringValue": "GET" } },
                { "key": "url.path", "value": { "stringValue": "/\"\u{1}" } },
                { "key": "http.response.status_code", "value": { "intValue": "502" } },
                { "key": "portti.first_byte_ms", "value": { "doubleValue": 1.5 } },
                { "key": "client.address", "value": { "stringValue": "127.0.0.1" } },
            ],
        });
        assert_eq!(resource["scopeSpans"][0]["spans"], json!([expected]));
        let other = || Span::ended(Context::new(true), None, "session", Duration::MAX);
        let written: Json = serde_json::from_slice(&export(&[other(), other()], "it")).unwrap();
        assert_eq!(written["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_was_not_taken_after_all_is_read_from_the_answer() {
        for (answer, expected) in [
            ("", 0),
            ("{}", 0),
            ("no json", 0),
            (r#"{"partialSuccess":{}}"#, 0),
            (r#"{"partialSuccess":{"rejectedSpans":"7","errorMessage":"too old"}}"#, 7),
            (r#"{"partialSuccess":{"rejectedSpans":7}}"#, 7),
            (r#"{"partialSuccess":{"rejectedSpans":-1}}"#, 0),
        ] {
            assert_eq!(rejected(answer.as_bytes()), expected, "{answer}");
        }
    }
}
