//! Heads of answers, as strictly as RFC 9112 asks of who passes them on. Pure.

use std::mem::MaybeUninit;

use bytes::Bytes;
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Response, StatusCode};

use crate::http::headers;
use crate::http::wire::decoder::Decoder;
use crate::http::wire::fields::{HEAD_MAX, HEADERS_MAX, Malformed, collect, number};
use crate::http::wire::input::skip;

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

/// What a head says of what follows it.
#[derive(Debug, Default)]
struct Said {
    is_1_1: bool,
    /// The length, and how often it is said.
    length: Option<u64>,
    lengths: usize,
    /// Codings, and whether the last of them is known here.
    codings: usize,
    is_chunked: bool,
    /// One of them contradicts another, or is none.
    is_malformed: bool,
    closes: bool,
    keeps_alive: bool,
    /// What concerns this connection alone, beside what always does.
    named: Vec<HeaderName>,
}

/// Takes the head of the answer to a request of this method, when all of it has come. Those that only say that another one will come
/// (1xx) are passed over; but one that changes the protocol is an answer.
///
/// # Errors
/// It is none.
pub fn take(input: &mut Bytes, asked: &Method) -> Result<Option<Answer>, Malformed> {
    // Nothing is there of most answers when they are first asked for.
    while !input.is_empty()
        && let Some((head, length, said)) = parse(input)?
    {
        skip(input, length);
        let status = head.status();
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            continue;
        }
        return said.understand(head, asked).map(Some);
    }
    Ok(None)
}

/// The head that the input begins with, its length, and what it says.
fn parse(input: &Bytes) -> Result<Option<(Response<()>, usize, Said)>, Malformed> {
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
    let mut said = Said { is_1_1: parsed.version == Some(1), ..Said::default() };
    // Who goes on in another protocol wants to know which.
    let passes_all = status == StatusCode::SWITCHING_PROTOCOLS;
    *head.headers_mut() = collect(input, parsed.headers, 0, |name, value| said.note(name, value) || passes_all)?;
    Ok(Some((head, length, said)))
}

impl Said {
    /// Takes note of a field, and says whether it is passed on: it may concern this connection alone.
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> bool {
        if name == CONTENT_LENGTH {
            for word in value.as_bytes().split(|&byte| byte == b',') {
                let length = number(word.trim_ascii());
                self.is_malformed |= length.is_none() || self.length.is_some_and(|other| Some(other) != length);
                self.length = length;
                self.lengths += 1;
            }
        } else if name == TRANSFER_ENCODING {
            self.codings += 1;
            self.is_chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
        } else if name == CONNECTION {
            for word in headers::words(value) {
                match word {
                    _ if word.eq_ignore_ascii_case(b"close") => self.closes = true,
                    _ if word.eq_ignore_ascii_case(b"keep-alive") => self.keeps_alive = true,
                    other => self.named.extend(headers::named(other)),
                }
            }
        }
        !headers::is_of_one_connection(name)
    }

    fn understand(&self, mut head: Response<()>, asked: &Method) -> Result<Answer, Malformed> {
        let body = self.body(head.status(), asked)?;
        if let Some(length) = self.length.filter(|_| self.lengths > 1) {
            head.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        for name in &self.named {
            head.headers_mut().remove(name);
        }
        let is_http = head.status() != StatusCode::SWITCHING_PROTOCOLS;
        let stays = is_http && body.has_end() && !self.closes && (self.is_1_1 || self.keeps_alive);
        Ok(Answer { head, body, stays })
    }

    /// How long the body is (RFC 9112, 6.3).
    fn body(&self, status: StatusCode, asked: &Method) -> Result<Decoder, Malformed> {
        if self.is_malformed {
            return Err(Malformed);
        }
        let has_none =
            status.is_informational() || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        if has_none || asked == Method::HEAD {
            return Ok(Decoder::length(0));
        }
        match (self.codings, self.length) {
            (0, None) => Ok(Decoder::until_close()),
            (0, Some(length)) => Ok(Decoder::length(length)),
            // Any other would be lost on the way, and with a length beside it nobody knows which of them counts.
            (1, None) if self.is_1_1 && self.is_chunked => Ok(Decoder::chunked()),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
