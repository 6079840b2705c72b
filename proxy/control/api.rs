//! What the admin server answers to which path.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use super::scrape;
use super::state::State;
use super::view::{self, DeepHealth, Health, Problem, Status};
use crate::admission::level::Level;
use crate::drain::Phase;
use crate::metrics::Exposition;

type Answer = Response<Full<Bytes>>;

/// The answer to a request. Nothing of it is awaited, so that no client can hold the control thread.
pub(super) fn answer<B>(request: &Request<B>, state: &State) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "this path knows only GET and HEAD");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let now = Instant::now();
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok"),
        "/startupz" => started(state),
        "/readyz" => ready(state, now),
        "/health/deep" => deep_health(state, now),
        "/metrics" => metrics(state, now),
        "/api/v1/status" => json(StatusCode::OK, view::json(&Status::of(state, now))),
        _ => problem(
            StatusCode::NOT_FOUND,
            "no such path; there are /healthz, /startupz, /readyz, /health/deep, /metrics and /api/v1/status",
        ),
    }
}

fn started(state: &State) -> Answer {
    if state.is_listening() { text(StatusCode::OK, "started") } else { unavailable("starting") }
}

/// Whether a load balancer in front should send clients here.
fn ready(state: &State, now: Instant) -> Answer {
    let any_eligible = || state.snapshot().pools.values().any(|pool| pool.has_eligible(now));
    if state.phase() != Phase::Running {
        unavailable("draining")
    } else if !state.is_listening() {
        unavailable("starting")
    } else if state.admission().level() == Level::Overloaded {
        unavailable("overloaded")
    } else if !any_eligible() {
        unavailable("no pool has an eligible backend")
    } else {
        text(StatusCode::OK, "ready")
    }
}

fn deep_health(state: &State, now: Instant) -> Answer {
    let health = DeepHealth::of(state, now);
    let down = health.status == Health::Down;
    json(if down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, view::json(&health))
}

fn metrics(state: &State, now: Instant) -> Answer {
    respond(StatusCode::OK, Exposition::CONTENT_TYPE, scrape::text(state, now))
}

fn unavailable(why: &str) -> Answer {
    text(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn problem(status: StatusCode, error: &str) -> Answer {
    json(status, view::json(&Problem { error }))
}

fn text(status: StatusCode, body: &str) -> Answer {
    respond(status, "text/plain; charset=utf-8", format!("{body}\n"))
}

fn json(status: StatusCode, body: String) -> Answer {
    respond(status, "application/json", body)
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
