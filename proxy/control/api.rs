//! What the admin server answers to which request.

use std::rc::Rc;

use hyper::body::Body;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use tokio::time::Instant;

mod access;
mod bans;
mod events;
mod hand;
mod health;
mod input;
#[cfg(test)]
mod openapi;
mod preview;
mod process;
pub(super) mod reply;
mod routes;
mod sessions;

pub(super) use self::events::GivenUp;
pub(super) use self::reply::Answer;
use self::reply::{Outcome, Refusal};
use self::routes::{Endpoint, Parts};
use super::state::State;
use super::view::Status;
use super::{dashboard, scrape};
use crate::metrics::Exposition;

/// How many answers there were, by path and status.
pub(super) type Asked = std::collections::BTreeMap<(&'static str, u16), u64>;

/// The path in the counts for those that there are not.
const NOWHERE: &str = "other";

/// The answer to a request.
pub(super) async fn answer<B>(request: Request<B>, state: Rc<State>) -> Answer
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (path, outcome) = match routes::find(request.method(), request.uri().path()) {
        Ok((route, parts)) => (route.path, respond(request, (route.endpoint, parts), &state).await),
        // Whoever may not ask does not hear what there is.
        Err(refusal) => (NOWHERE, Err(may(&request, &state).err().unwrap_or(refusal))),
    };
    let answer = outcome.unwrap_or_else(|refusal| refusal.answer());
    state.count_asked(path, answer.status().as_u16());
    answer
}

/// Whether the answer has no end.
pub(super) fn is_stream(answer: &Answer) -> bool {
    answer.headers().get(CONTENT_TYPE).is_some_and(|content| content == reply::EVENTS)
}

fn may<B>(request: &Request<B>, state: &State) -> Result<(), Refusal> {
    access::check((request.uri(), request.headers()), &state.config().admin)
}

async fn respond<B>(request: Request<B>, (endpoint, parts): (Endpoint, Parts), state: &Rc<State>) -> Outcome
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !endpoint.is_open() {
        may(&request, state)?;
    }
    let now = Instant::now();
    match endpoint {
        Endpoint::Dashboard => Ok(dashboard::page()),
        Endpoint::Healthz => Ok(reply::text(StatusCode::OK, "ok")),
        Endpoint::Startupz => Ok(health::started(state)),
        Endpoint::Readyz => Ok(health::ready(state, now)),
        Endpoint::DeepHealth => Ok(health::deep(state, now)),
        Endpoint::Metrics => Ok(reply::respond(StatusCode::OK, Exposition::CONTENT_TYPE, scrape::text(state, now))),
        Endpoint::BackendState => hand::set_state(request, &parts, state).await,
        Endpoint::BackendWeight => hand::set_weight(request, &parts, state).await,
        Endpoint::Maintenance => hand::set_maintenance(request, &parts, state).await,
        Endpoint::Bans => Ok(bans::list(state, now)),
        Endpoint::Ban => bans::ban(request, state).await,
        Endpoint::Unban => bans::lift(&request, state, now),
        Endpoint::Status => {
            state.live().note_look();
            Ok(reply::json(StatusCode::OK, &Status::of(state, now)))
        }
        Endpoint::Sessions => sessions::list(&request, state).await,
        Endpoint::EndSession => sessions::end(&parts[0], state).await,
        Endpoint::Events => events::begin(&request, state),
        Endpoint::Config => process::config(state),
        Endpoint::LogLevel => process::set_log_level(request, state).await,
        Endpoint::ConfigDiff => preview::diff(request, state).await,
        Endpoint::Reload => process::reload(state).await,
        Endpoint::Drain => process::drain(state).await,
    }
}
