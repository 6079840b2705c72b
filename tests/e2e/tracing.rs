//! Spans: what a collector gets, what backends are told, and what it costs when there is no collector.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::support::proxy::{pool, pool_of};
use crate::support::{Backend, Peer, Proxy, always_for, assert_took, eventually, free_address, soon};

/// A collector that keeps what it gets.
struct Collector {
    backend: Backend,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn new() -> Self {
        let spans = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&spans);
        let backend = Backend::serving(move |stream| {
            let kept = Arc::clone(&kept);
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let kept = Arc::clone(&kept);
                    async move {
                        assert_eq!(request.uri().path(), "/v1/traces");
                        let body = request.into_body().collect().await?.to_bytes();
                        let body: Value = serde_json::from_slice(&body).unwrap();
                        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
                        kept.lock().unwrap().extend(spans);
                        Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::from("{}")))
                    }
                });
                let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
        Self { backend, spans }
    }

    /// `[tracing]` that leads here.
    fn config(&self, keys: &str) -> String {
        format!("[tracing]\notlp = \"http://{}\"\n{keys}\n", self.backend.address)
    }

    /// All spans of this name, as soon as there are so many.
    async fn spans(&self, name: &str, count: usize) -> Vec<Value> {
        let named = || {
            let spans = self.spans.lock().unwrap();
            spans.iter().filter(|span| span["name"] == name).cloned().collect::<Vec<_>>()
        };
        eventually(&format!("{count} spans named {name}"), async || named().len() >= count).await;
        assert_eq!(named().len(), count, "more than {count} spans named {name}");
        named()
    }
}

/// The attribute of a span, whatever its kind.
fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let all = span["attributes"].as_array().unwrap();
    let found = all.iter().find(|attribute| attribute["key"] == key);
    let value = &found.unwrap_or_else(|| panic!("no {key} in {span}"))["value"];
    value.as_object().unwrap().values().next().unwrap()
}

/// A backend that answers with the heads that it gets.
fn echo() -> Backend {
    Backend::serving(async |stream| {
        let service = service_fn(async |request: Request<Incoming>| {
            let mut said = String::new();
            for (name, value) in request.headers() {
                said += &format!("{name}: {}\n", value.to_str().unwrap());
            }
            let status = if request.uri().path() == "/broken" { 500 } else { 200 };
            Ok::<_, hyper::Error>(Response::builder().status(status).body(Full::<Bytes>::from(said)).unwrap())
        });
        let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    })
}

const HTTP: &str = "[listeners.game]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\n";

/// What a request on a connection of its own is answered with.
async fn ask(proxy: &Proxy, path: &str, headers: &str) -> String {
    let mut client = Peer::connect(proxy.address()).await;
    client
        .send(format!("GET {path} HTTP/1.1\r\nHost: a.example:80\r\nConnection: close\r\n{headers}\r\n").as_bytes())
        .await;
    let mut answer = String::new();
    soon("an answer", client.0.read_to_string(&mut answer)).await.unwrap();
    answer
}

/// Trace, span and flags that a backend was told; it echoes them.
fn told(answer: &str) -> Vec<String> {
    let parents: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix("traceparent: ")).collect();
    assert_eq!(parents.len(), 1, "{answer}");
    let parts: Vec<_> = parents[0].split('-').map(str::to_owned).collect();
    assert_eq!((parts.len(), parts[0].as_str()), (4, "00"), "{answer}");
    parts[1..].to_vec()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn parent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{SPAN}-{flags}\r\ntracestate: other=1\r\n")
}

#[tokio::test]
async fn a_request_leaves_a_span_and_its_backend_hears_of_it() {
    let (collector, backend) = (Collector::new(), echo());
    let proxy = Proxy::with(&(HTTP.to_owned() + &collector.config("") + &pool(&[&backend], "")));
    let answer = ask(&proxy, "/rooms?secret=1", "X-Request-Id: mine\r\n").await;
    let (parent, spans) = (told(&answer), collector.spans("GET", 1).await);
    let span = &spans[0];
    assert_eq!((&span["traceId"], &span["spanId"]), (&parent[0].as_str().into(), &parent[1].as_str().into()));
    assert_eq!((parent[2].as_str(), &span["kind"], &span["parentSpanId"]), ("01", &2.into(), &Value::Null));
    let address = backend.address.to_string();
    for (key, expected) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.path", "/rooms"),
        ("url.scheme", "http"),
        ("server.address", "a.example"),
        ("server.port", "80"),
        ("client.address", "127.0.0.1"),
        ("portti.listener", "game"),
        ("portti.pool", "game"),
        ("portti.backend", address.as_str()),
    ] {
        assert_eq!(attribute(span, key), expected, "{key}");
    }
    assert!(!span.to_string().contains("secret"), "{span}");
    assert!(answer.contains(&format!("x-request-id: {}\n", attribute(span, "portti.request_id").as_str().unwrap())));
    let nanos = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"));

    // The session is known by the same name, and each has its own trace.
    let sessions = collector.spans("session", 1).await;
    assert_eq!(attribute(&sessions[0], "portti.session"), attribute(span, "portti.session"));
    assert_ne!(sessions[0]["traceId"], span["traceId"]);
    eventually("both are counted", async || proxy.metric("portti_spans_exported_total", &[]).await == 2.0).await;
    assert_eq!(proxy.metric("portti_spans_dropped_total", &[]).await, 0.0);
}

#[tokio::test]
async fn what_goes_wrong_is_an_error() {
    let (collector, backend) = (Collector::new(), echo());
    let config = |pool: String| HTTP.to_owned() + &collector.config("") + &pool;
    let proxy = Proxy::with(&config(pool(&[&backend], "")));
    ask(&proxy, "/broken", "").await;
    proxy.reload_with(&config(pool_of(&[free_address()], "retries = 0"))).await;
    ask(&proxy, "/", "").await;
    let spans = collector.spans("GET", 2).await;
    let errors: Vec<_> = spans.iter().map(|span| (&span["status"]["code"], attribute(span, "error.type"))).collect();
    assert_eq!(errors, [(&2.into(), &"500".into()), (&2.into(), &"connect_failed".into())]);
}

#[tokio::test]
async fn traces_of_trusted_clients_are_followed() {
    let (collector, backend) = (Collector::new(), echo());
    let trusting = format!("{HTTP}trusted = [\"127.0.0.1\"]\n");
    // None that begin here: what is kept is what clients keep.
    let proxy = Proxy::with(&(trusting + &collector.config("sample = \"0%\"") + &pool(&[&backend], "")));
    let answer = ask(&proxy, "/", &parent("01")).await;
    let (followed, spans) = (told(&answer), collector.spans("GET", 1).await);
    assert_eq!((&spans[0]["traceId"], &spans[0]["parentSpanId"]), (&TRACE.into(), &SPAN.into()));
    assert_eq!((followed[0].as_str(), followed[2].as_str()), (TRACE, "01"));
    assert_eq!(spans[0]["spanId"], followed[1].as_str(), "the backend's parent is this span");
    assert!(answer.contains("tracestate: other=1\n"), "{answer}");
    // Not kept there: nothing is added here.
    let answer = ask(&proxy, "/", &parent("00")).await;
    assert_eq!(told(&answer), [TRACE, SPAN, "00"]);
    assert!(answer.contains("tracestate: other=1\n"), "{answer}");
    // Nor is what cannot be understood.
    let answer = ask(&proxy, "/", "traceparent: 00-no\r\ntracestate: other=1\r\n").await;
    assert_eq!(told(&answer)[2], "00");
    assert!(!answer.contains("tracestate"), "{answer}");
    always_for(Duration::from_millis(1500), "no other span", async || collector.spans.lock().unwrap().len() == 1).await;
}

#[tokio::test]
async fn strangers_have_nothing_kept() {
    let (collector, backend) = (Collector::new(), echo());
    let config = |sample: &str| HTTP.to_owned() + &collector.config(sample) + &pool(&[&backend], "");
    let proxy = Proxy::with(&config("sample = \"0%\""));
    let answer = ask(&proxy, "/", &parent("01")).await;
    let begun = told(&answer);
    assert!(begun[0] != TRACE && begun[2] == "00" && !answer.contains("tracestate"), "{answer}");
    proxy.reload_with(&config("sample = \"100%\"")).await;
    let answer = ask(&proxy, "/", &parent("00")).await;
    let (begun, spans) = (told(&answer), collector.spans("GET", 1).await);
    assert!(begun[0] != TRACE && begun[2] == "01" && !answer.contains("tracestate"), "{answer}");
    assert_eq!((&spans[0]["traceId"], &spans[0]["parentSpanId"]), (&begun[0].as_str().into(), &Value::Null));
}

#[tokio::test]
async fn a_reload_switches_it_on_and_off() {
    let (collector, backend) = (Collector::new(), echo());
    let (off, on) = (HTTP.to_owned() + &pool(&[&backend], ""), collector.config(""));
    let proxy = Proxy::with(&off);
    // Off: what clients say passes as it is.
    let answer = ask(&proxy, "/", &parent("01")).await;
    assert_eq!(told(&answer), [TRACE, SPAN, "01"]);
    assert!(answer.contains("tracestate: other=1\n"), "{answer}");
    assert!(!ask(&proxy, "/", "").await.contains("traceparent"));
    proxy.reload_with(&(off.clone() + &on)).await;
    told(&ask(&proxy, "/", "").await);
    collector.spans("GET", 1).await;
    proxy.reload_with(&off).await;
    assert!(!ask(&proxy, "/", "").await.contains("traceparent"));
    always_for(Duration::from_millis(1500), "no span", async || collector.spans.lock().unwrap().len() <= 2).await;
}

#[tokio::test]
async fn a_session_leaves_a_span_and_one_that_is_refused_does_not() {
    let (collector, backend) = (Collector::new(), Backend::echo());
    let rest = collector.config("") + &pool(&[&backend], "");
    let listener = "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n";
    let proxy = Proxy::with(&format!("{listener}deny = [\"127.0.0.9\"]\n{rest}"));
    let mut refused = proxy.connect_from([127, 0, 0, 9]).await;
    refused.ending().await;
    let mut client = proxy.connect().await;
    client.echo(b"hello").await;
    client.end().await;
    client.expect_end().await;
    let spans = collector.spans("session", 1).await;
    for (key, expected) in [
        ("portti.reason", "client_closed"),
        ("portti.listener", "game"),
        ("portti.pool", "game"),
        ("client.address", "127.0.0.1"),
        ("portti.bytes_up", "5"),
        ("portti.bytes_down", "5"),
        ("portti.attempts", "1"),
    ] {
        assert_eq!(attribute(&spans[0], key), expected, "{key}");
    }
    assert_eq!(attribute(&spans[0], "portti.backend"), &backend.address.to_string());
    assert!(attribute(&spans[0], "portti.first_byte_ms").as_f64().unwrap() > 0.0);
    assert_eq!(spans[0]["status"], Value::Null);
    proxy.expect_ended("denied", 1).await;
}

#[tokio::test]
async fn a_collector_that_is_down_or_silent_costs_nothing_but_a_counter() {
    let (backend, silent) = (echo(), Backend::mute());
    for address in [free_address(), silent.address] {
        let tracing = format!("[tracing]\notlp = \"http://{address}\"\n");
        let mut proxy = Proxy::with(&(HTTP.to_owned() + &tracing + &pool(&[&backend], "")));
        let began = Instant::now();
        for _ in 0..50 {
            told(&ask(&proxy, "/", "").await);
        }
        assert_took(began.elapsed(), Duration::ZERO, Duration::from_secs(5));
        let failed = async || proxy.metric("portti_spans_dropped_total", &[("reason", "export_failed")]).await;
        eventually("lost spans are counted", async || failed().await > 0.0).await;
        told(&ask(&proxy, "/", "").await);
        assert_eq!(proxy.metric("portti_spans_exported_total", &[]).await, 0.0);
        let began = Instant::now();
        proxy.shut_down();
        proxy.ended().await;
        assert_took(began.elapsed(), Duration::ZERO, Duration::from_millis(1700));
    }
}

#[tokio::test]
async fn what_is_left_at_the_end_is_flushed() {
    let (collector, backend) = (Collector::new(), Backend::echo());
    let mut proxy = Proxy::with(&(collector.config("") + &pool(&[&backend], "")));
    let mut client = proxy.connect().await;
    client.echo(b"hello").await;
    proxy.shut_down();
    proxy.shut_down();
    let began = Instant::now();
    proxy.ended().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // Whoever has ended has been answered by the collector.
    assert_eq!(collector.spans.lock().unwrap().len(), 1);
    assert_eq!(attribute(&collector.spans.lock().unwrap()[0], "portti.reason"), "drained");
}
