//! Asks the admin server of a running portti, over HTTP.

use std::error::Error as _;
use std::fmt::{self, Display};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::timeout;

use super::trouble::{Refusal, Silence, Trouble};
use crate::net::socket;

/// How long it may take to connect, and to answer what only looks. Health checks give up after some seconds anyway.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// The same for what changes something: a reload may look host names up and wait for workers to close sockets.
const PATIENCE_FOR_DEEDS: Duration = Duration::from_secs(15);
/// The sessions of a full house, or the status of thousands of backends; a bound on what is read.
const ANSWER_MAX: usize = 16 << 20;

/// What may stand in a path or a query as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    admin: String,
    /// Marked as sensitive, so that no debug output shows it.
    authorization: Option<HeaderValue>,
}

/// An answer of the admin server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

/// What goes with a request.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    Nothing,
    Json(Value),
    Toml(&'a str),
}

impl Client {
    /// Asks at this address, without a token.
    pub(crate) fn new(admin: impl Into<String>) -> Self {
        Self { admin: admin.into(), authorization: None }
    }

    /// Shows a token with each request. White space around it is an editor's.
    pub(super) fn with_token(self, token: Option<&str>) -> Result<Self, Trouble> {
        let Some(token) = token.map(str::trim) else { return Ok(self) };
        match HeaderValue::from_str(&format!("Bearer {token}")) {
            Ok(mut authorization) if !token.is_empty() => {
                authorization.set_sensitive(true);
                Ok(Self { authorization: Some(authorization), ..self })
            }
            _ => Err(Trouble::BadToken),
        }
    }

    /// `GET`, whatever the answer is.
    pub(crate) async fn look(&self, path: &str) -> Result<Answer, Trouble> {
        self.exchange(Method::GET, path, Body::Nothing).await
    }

    /// `GET`: the JSON of a success.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Trouble> {
        let answer = self.look(path).await?;
        self.json(answer)
    }

    /// A request that changes something: the JSON of a success, or null where that says nothing.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Body<'_>) -> Result<Value, Trouble> {
        let answer = self.exchange(method, path, body).await?;
        if answer.status == StatusCode::NO_CONTENT { Ok(Value::Null) } else { self.json(answer) }
    }

    /// `GET`, of which more comes as long as it goes on.
    #[cfg(feature = "top")]
    pub(super) async fn follow(&self, path: &str) -> Result<Incoming, Trouble> {
        let response = self.within(PATIENCE, self.send(Method::GET, path, Body::Nothing)).await?;
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        let answer = self.within(PATIENCE, read(response)).await?;
        Err(self.refusal(&answer))
    }

    async fn exchange(&self, method: Method, path: &str, body: Body<'_>) -> Result<Answer, Trouble> {
        let patience = if method == Method::GET { PATIENCE } else { PATIENCE_FOR_DEEDS };
        self.within(patience, async { read(self.send(method, path, body).await?).await }).await
    }

    async fn within<T>(
        &self,
        patience: Duration,
        exchange: impl Future<Output = Result<T, Silence>>,
    ) -> Result<T, Trouble> {
        let answer = timeout(patience, exchange).await.unwrap_or(Err(Silence::Waited(patience)));
        answer.map_err(|why| self.no_answer(why))
    }

    async fn send(&self, method: Method, path: &str, body: Body<'_>) -> Result<Response<Incoming>, Silence> {
        let stream = socket::connect_to(&self.admin).await?;
        let host = host(stream.peer_addr()?);
        let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(silence)?;
        // Ends with the answer: it is asked to.
        tokio::spawn(connection);
        let request = self.request(method, (&host, path), body).map_err(|wrong| invalid(&wrong))?;
        requests.send_request(request).await.map_err(silence)
    }

    fn request(
        &self,
        method: Method,
        (host, path): (&str, &str),
        body: Body<'_>,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        request = request.header(CONNECTION, "close").header(ACCEPT, "application/json, text/event-stream, */*");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let (content_type, bytes) = match body {
            Body::Nothing => return request.body(Full::default()),
            Body::Json(value) => ("application/json", Bytes::from(value.to_string())),
            Body::Toml(text) => ("application/toml", Bytes::copy_from_slice(text.as_bytes())),
        };
        request.header(CONTENT_TYPE, content_type).body(Full::new(bytes))
    }

    /// The JSON of a success.
    pub(super) fn json(&self, answer: Answer) -> Result<Value, Trouble> {
        if !answer.status.is_success() {
            return Err(self.refusal(&answer));
        }
        serde_json::from_str(&answer.body).map_err(|_not_json| self.no_answer(Silence::Strange))
    }

    fn refusal(&self, answer: &Answer) -> Trouble {
        let refusal = Refusal::read(answer.status, &answer.body, self.authorization.is_some());
        refusal.map_or_else(|| self.no_answer(Silence::Strange), Trouble::Refused)
    }

    fn no_answer(&self, why: Silence) -> Trouble {
        Trouble::NoAnswer { admin: self.admin.clone(), why }
    }
}

impl Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.admin)
    }
}

/// What the server is called: its address. It need not go by the name that it was looked up by (`[admin] hosts`).
fn host(mut address: SocketAddr) -> String {
    if let SocketAddr::V6(address) = &mut address {
        // The way there is this machine's, and no part of its name.
        address.set_scope_id(0);
    }
    address.to_string()
}

/// A path of the API, of segments that may hold anything.
pub(super) fn path(segments: &[&str]) -> String {
    segments.iter().fold("/api/v1".to_owned(), |path, segment| path + "/" + &encoded(segment))
}

/// A query of what there is of these.
pub(super) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let pairs = pairs.iter().filter_map(|(key, value)| Some(format!("{key}={}", encoded(value.as_deref()?))));
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

async fn read(response: Response<Incoming>) -> Result<Answer, Silence> {
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(|error| {
        match error.downcast::<hyper::Error>() {
            Ok(error) => silence(*error),
            Err(error) if error.is::<LengthLimitError>() => Silence::Strange,
            Err(error) => io::Error::other(error).into(),
        }
    })?;
    let body = String::from_utf8(body.to_bytes().into()).map_err(|_not_text| Silence::Strange)?;
    Ok(Answer { status, body })
}

/// What is not of the connection is of who answers.
fn silence(error: hyper::Error) -> Silence {
    let kind = error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    kind.map_or(Silence::Strange, |kind| Silence::Io(kind.into()))
}

fn invalid(request: &hyper::http::Error) -> Silence {
    io::Error::other(request.to_string()).into()
}

#[cfg(test)]
mod tests;
