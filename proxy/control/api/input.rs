//! What requests bring: bodies and queries, bounded in size and time.

use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tokio::time::timeout;

use super::reply::Refusal;

/// Bytes of a body, at most, where it is an order; a text of the config may be as long as its file may.
const ORDER_MAX: usize = 64 * 1024;

/// How long a body may take to come. Longer than a far network needs, short enough that those that hang hold no place for long.
const PATIENCE: Duration = Duration::from_secs(5);

/// An order in JSON.
///
/// # Errors
/// It is none, is too large, or does not come.
pub(in crate::control) async fn order<T, B>(request: Request<B>) -> Result<T, Refusal>
where
    T: DeserializeOwned,
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = text(request, "application/json", ORDER_MAX).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad_request(format!("the body is not what is expected: {error}")))
}

/// A body of this type, and so many bytes at most.
///
/// # Errors
/// It is of another type, is too large, or does not come.
pub(in crate::control) async fn text<B>(request: Request<B>, content_type: &str, most: usize) -> Result<Bytes, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // A form of a page of another site cannot say this type without asking first, which nobody allows it.
    let said = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(content_type) {
        let error = format!("the body must be of the type {content_type}, and say so (Content-Type)");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_type", error));
    }
    let collected = timeout(PATIENCE, Limited::new(request.into_body(), most).collect()).await;
    let collected = collected.map_err(|_elapsed| {
        let error = format!("the body did not come within {} s", PATIENCE.as_secs());
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", error)
    })?;
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let error = format!("the body is larger than {most} bytes");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error))
        }
        Err(error) => Err(Refusal::bad_request(format!("the body broke off: {error}"))),
    }
}

/// What stands behind the `?`.
///
/// # Errors
/// It is not what is expected.
pub(in crate::control) fn query<T: DeserializeOwned, B>(request: &Request<B>) -> Result<T, Refusal> {
    let query = request.uri().query().unwrap_or_default();
    serde_html_form::from_str(query)
        .map_err(|error| Refusal::bad_request(format!("the query is not what is expected: {error}")))
}

/// `null` is an answer, nothing is none.
pub(super) fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(value)
}
