//! Spans as a collector of OpenTelemetry reads them: OTLP over HTTP, in JSON. Pure.
//!
//! Sources: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding> (ids in hex, whole numbers of 64 bits as texts,
//! enumerations as numbers) and `opentelemetry/proto/trace/v1/trace.proto`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::span::{Span, Value};

/// `SPAN_KIND_SERVER`: somebody else has asked for it.
const SERVER: u8 = 2;

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// The body of one export. `instance` tells this process from others of its kind.
pub fn export(spans: &[Span], instance: &str) -> Vec<u8> {
    let resource = [
        ("service.name", text("portti")),
        ("service.version", text(env!("CARGO_PKG_VERSION"))),
        ("service.instance.id", text(instance)),
    ];
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": resource.map(|(key, value)| attribute(key, &value)) },
        "scopeSpans": [{
            "scope": { "name": "portti", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }]});
    body.to_string().into_bytes()
}

/// How many spans a collector that took an export did not take after all.
pub fn rejected(answer: &[u8]) -> u64 {
    let answer: Json = serde_json::from_slice(answer).unwrap_or_default();
    let count = &answer["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0)
}

fn span(span: &Span) -> Json {
    let attributes = span.attributes.iter().map(|(key, value)| attribute(key, &any_value(value)));
    let mut json = json!({
        "traceId": span.context.trace.to_string(),
        "spanId": span.context.span.to_string(),
        "name": span.name,
        "kind": SERVER,
        "startTimeUnixNano": nanos(span.ended_at.checked_sub(span.took).unwrap_or(UNIX_EPOCH)),
        "endTimeUnixNano": nanos(span.ended_at),
        "attributes": attributes.collect::<Vec<_>>(),
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = parent.to_string().into();
    }
    if span.is_error {
        json["status"] = json!({ "code": ERROR });
    }
    json
}

fn attribute(key: &str, value: &Json) -> Json {
    json!({ "key": key, "value": value })
}

fn any_value(value: &Value) -> Json {
    match value {
        Value::Word(word) => text(word),
        Value::Text(written) => text(written),
        Value::Name(name) => text(name.as_str()),
        Value::Ip(address) => text(&address.to_string()),
        Value::Socket(address) => text(&address.to_string()),
        Value::Backend(backend) => text(&backend.key().to_string()),
        Value::Whole(number) => json!({ "intValue": number.to_string() }),
        Value::Number(number) => json!({ "doubleValue": number }),
    }
}

fn text(text: &str) -> Json {
    json!({ "stringValue": text })
}

/// Since 1970.
fn nanos(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
            ],
        });
        assert_eq!(resource["scopeSpans"][0]["spans"], json!([expected]));
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
