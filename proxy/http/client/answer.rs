//! Heads of answers, as strictly as RFC 9112 asks of who passes them on. Pure.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Response, StatusCode};

use super::decoder::Decoder;
use crate::http::headers;

/// The head of an answer, and what it says of what follows.
#[derive(Debug)]
pub struct Answer {
    /// As it is passed on.
    pub head: Response<()>,
    /// How its body is read.
    pub body: Decoder,
    /// Whether the connection stays open behind it.
    pub stays: bool,
}

/// No answer that HTTP/1.1 knows, or one that could be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Headers of an answer, or trailers.
pub(super) const HEADERS_MAX: usize = 100;

/// Bytes of its head.
const HEAD_MAX: usize = 64 * 1024;

/// Takes the head of the answer to a request of this method, when all of it has come. Those that only say that another one will come
/// (1xx) are passed over; but one that changes the protocol is an answer.
///
/// # Errors
/// It is none.
pub fn take(input: &mut Bytes, asked: &Method) -> Result<Option<Answer>, Malformed> {
    while let Some((head, length, is_1_1)) = parse(input)? {
        skip(input, length);
        let status = head.status();
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            continue;
        }
        return understand(head, is_1_1, asked).map(Some);
    }
    Ok(None)
}

/// Passes over so many bytes. What nobody reads any more is not kept.
pub(super) fn skip(input: &mut Bytes, length: usize) {
    input.advance(length);
    if input.is_empty() {
        *input = Bytes::new();
    }
}

/// The head that the input begins with, its length, and whether its version is 1.1.
fn parse(input: &Bytes) -> Result<Option<(Response<()>, usize, bool)>, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let parser = ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut parsed, input, &mut fields) {
        Ok(Status::Complete(length)) if length <= HEAD_MAX => length,
        Ok(Status::Partial) if input.len() < HEAD_MAX => return Ok(None),
        _ => return Err(Malformed),
    };
    let mut head = Response::new(());
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed)?;
    *head.status_mut() = status;
    // Reasons that are no custom are passed on as they are.
    if let Some(reason) = parsed.reason.filter(|&reason| Some(reason) != status.canonical_reason()) {
        let reason = ReasonPhrase::try_from(reason.as_bytes()).map_err(|_invalid| Malformed)?;
        head.extensions_mut().insert(reason);
    }
    *head.headers_mut() = collect(input, parsed.headers)?;
    Ok(Some((head, length, parsed.version == Some(1))))
}

/// Fields as a map. Their values go on standing where they were read.
pub(super) fn collect(input: &Bytes, fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_invalid| Malformed)?;
        let value = HeaderValue::from_maybe_shared(input.slice_ref(field.value)).map_err(|_invalid| Malformed)?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn understand(mut head: Response<()>, is_1_1: bool, asked: &Method) -> Result<Answer, Malformed> {
    let body = body_of(&mut head, is_1_1, asked)?;
    let has = |word| head.headers().get_all(CONNECTION).iter().any(|value| headers::lists(value, word));
    let is_http = head.status() != StatusCode::SWITCHING_PROTOCOLS;
    let stays = is_http && body.has_end() && !has("close") && (is_1_1 || has("keep-alive"));
    Ok(Answer { head, body, stays })
}

/// How long the body is (RFC 9112, 6.3).
fn body_of(head: &mut Response<()>, is_1_1: bool, asked: &Method) -> Result<Decoder, Malformed> {
    let (status, headers) = (head.status(), head.headers_mut());
    let has_none = status.is_informational() || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if has_none || asked == Method::HEAD {
        return Ok(Decoder::length(0));
    }
    let length = length_of(headers)?;
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = (codings.next(), codings.next());
    match (coding, length) {
        ((None, _), None) => Ok(Decoder::until_close()),
        ((None, _), Some(length)) => Ok(Decoder::length(length)),
        // Any other would be lost on the way, and with a length beside it nobody knows which of them counts.
        ((Some(coding), None), None) if is_1_1 && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(Decoder::chunked())
        }
        _ => Err(Malformed),
    }
}

/// The length that is said, maybe more than once; then it is said once from here on.
fn length_of(headers: &mut HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut said = None;
    let mut times = 0;
    for value in headers.get_all(CONTENT_LENGTH) {
        for word in value.as_bytes().split(|&byte| byte == b',') {
            let length = number(word.trim_ascii()).ok_or(Malformed)?;
            if said.replace(length).is_some_and(|other| other != length) {
                return Err(Malformed);
            }
            times += 1;
        }
    }
    if let Some(length) = said.filter(|_| times > 1) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(said)
}

/// A number of digits alone.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()
}

#[cfg(test)]
mod tests;
