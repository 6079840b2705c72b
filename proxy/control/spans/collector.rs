//! The connection to the collector.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::task::{JoinHandle, spawn_local};

use crate::config::scalar::Endpoint;
use crate::net::socket;
use crate::trace::otlp;

/// One collector at a time, by a connection that is kept.
#[derive(Debug, Default)]
pub(super) struct Collector {
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    endpoint: Arc<Endpoint>,
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

/// Bytes of an answer that are read: it says which spans were not taken, and why.
const ANSWER_MAX: usize = 64 * 1024;

/// Why a batch was not taken, for a person.
type Why = String;

impl Collector {
    /// Sends one batch, and says how many of its spans were not taken after all. Without a connection nothing is written in vain.
    ///
    /// # Errors
    /// Nothing of it was taken, as far as is known.
    pub(super) async fn post(&mut self, endpoint: &Arc<Endpoint>, body: impl FnOnce() -> Vec<u8>) -> Result<u64, Why> {
        let kept = self.connection.take().filter(|kept| kept.is_open() && kept.endpoint == *endpoint);
        let (mut connection, is_kept) = match kept {
            Some(kept) => (kept, true),
            None => (Connection::open(endpoint).await?, false),
        };
        let mut answer = connection.sender.try_send_request(request(endpoint, body())?).await;
        // The collector had closed the connection before it took anything.
        if is_kept && let Some(unsent) = answer.as_mut().err().and_then(|error| error.take_message()) {
            connection = Connection::open(endpoint).await?;
            answer = connection.sender.try_send_request(unsent).await;
        }
        let rejected = read(answer.map_err(|error| error.into_error().to_string())?).await?;
        self.connection = Some(connection);
        Ok(rejected)
    }

    /// Closes the connection.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }
}

impl Connection {
    async fn open(endpoint: &Arc<Endpoint>) -> Result<Self, Why> {
        let stream = socket::connect_to(&endpoint.authority).await.map_err(|error| error.to_string())?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // Whoever sends hears of what goes wrong.
        let driver = spawn_local(async move { drop(connection.await) });
        Ok(Self { endpoint: Arc::clone(endpoint), sender, driver })
    }

    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn request(endpoint: &Endpoint, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Why> {
    Request::post(&*endpoint.path)
        .header(HOST, &*endpoint.authority)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("portti/", env!("CARGO_PKG_VERSION")))
        .body(Full::from(body))
        .map_err(|error| error.to_string())
}

/// How many spans of the batch were not taken.
async fn read(answer: Response<Incoming>) -> Result<u64, Why> {
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await.map_err(|error| error.to_string())?;
    Ok(otlp::rejected(&body.to_bytes()))
}
