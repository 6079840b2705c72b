use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::*;
use crate::config::model::Tracing;
use crate::config::scalar::Share;
use crate::trace::Context;

/// A collector that gives this answer, and tells how many spans came each time. Each connection takes so many batches.
async fn collector(status: u16, answer: &'static str, batches: usize) -> (String, mpsc::UnboundedReceiver<usize>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (sender, counts) = mpsc::unbounded_channel();
    spawn_local(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let taken = std::cell::Cell::new(0);
            let (sender, taken) = (sender.clone(), &taken);
            let service = service_fn(move |request: Request<Incoming>| {
                let sender = sender.clone();
                taken.set(taken.get() + 1);
                let is_last = taken.get() == batches;
                async move {
                    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
                    assert_eq!(request.headers()["content-type"], "application/json");
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len();
                    let _test_over = sender.send(spans);
                    let response = Response::builder().status(status);
                    let response = if is_last { response.header("connection", "close") } else { response };
                    Ok::<_, Infallible>(response.body(Full::<Bytes>::from(answer)).unwrap())
                }
            });
            let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    });
    (address.to_string(), counts)
}

fn tracer(address: &str) -> Arc<Tracer> {
    let tracer = Arc::<Tracer>::default();
    let otlp = Some(format!("http://{address}").parse().unwrap());
    tracer.follow(&Tracing { otlp, sample: Share::ALL });
    tracer
}

fn send(tracer: &Tracer, count: usize) {
    for _ in 0..count {
        tracer.send(Span::ended(Context::new(true), None, "session", Duration::ZERO));
    }
}

fn failed(tracer: &Tracer) -> u64 {
    tracer.dropped()[1].1
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < until, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn full_batches_go_at_once_and_the_rest_after_a_while() {
    let test = async {
        let (address, mut counts) = collector(200, "{}", 2).await;
        let tracer = tracer(&address);
        let export = Export::begin(&tracer).unwrap();
        assert!(Export::begin(&tracer).is_none(), "spans come out in one place");
        send(&tracer, 3 * BATCH + 7);
        let began = Instant::now();
        for expected in [BATCH, BATCH, BATCH] {
            assert_eq!(counts.recv().await, Some(expected));
        }
        assert!(began.elapsed() < PATIENCE);
        // The collector has closed a connection meanwhile, which loses nothing.
        assert_eq!(counts.recv().await, Some(7));
        assert!(began.elapsed() >= PATIENCE);
        eventually("all are counted", || tracer.exported() == 3 * BATCH as u64 + 7).await;
        // Off: what is there still goes where it was to go.
        send(&tracer, 5);
        tracer.follow(&Tracing { otlp: None, sample: Share::ALL });
        assert_eq!(counts.recv().await, Some(5));
        export.finish().await;
        assert_eq!((tracer.exported(), failed(&tracer)), (3 * BATCH as u64 + 12, 0));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn what_is_not_taken_is_counted() {
    let test = async {
        for (status, answer, taken) in
            [(503, "", 0), (400, "{}", 0), (200, r#"{"partialSuccess":{"rejectedSpans":"3"}}"#, 7)]
        {
            let (address, mut counts) = collector(status, answer, usize::MAX).await;
            let tracer = tracer(&address);
            let export = Export::begin(&tracer).unwrap();
            send(&tracer, 10);
            assert_eq!(counts.recv().await, Some(10));
            eventually("all are counted", || tracer.exported() + failed(&tracer) == 10).await;
            assert_eq!((tracer.exported(), failed(&tracer)), (taken, 10 - taken), "{status} {answer}");
            export.finish().await;
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_collector_that_is_not_there_or_silent_delays_no_end() {
    let test = async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for (address, counted) in [(gone.to_string(), 10), (silent.local_addr().unwrap().to_string(), 0)] {
            let tracer = tracer(&address);
            let export = Export::begin(&tracer).unwrap();
            send(&tracer, 10);
            let began = Instant::now();
            export.finish().await;
            assert!(began.elapsed() < LAST + Duration::from_millis(500), "{address}: {:?}", began.elapsed());
            assert_eq!((tracer.exported(), failed(&tracer)), (0, counted), "{address}");
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_waited_for_no_longer_than_that() {
    let test = async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tracer = tracer(&silent.local_addr().unwrap().to_string());
        let export = Export::begin(&tracer).unwrap();
        send(&tracer, BATCH);
        let began = Instant::now();
        while failed(&tracer) == 0 {
            sleep(Duration::from_millis(100)).await;
        }
        assert!(began.elapsed() < POST_TIMEOUT + PATIENCE + PAUSE, "{:?}", began.elapsed());
        assert_eq!(failed(&tracer), BATCH as u64);
        export.finish().await;
    };
    LocalSet::new().run_until(test).await;
}
