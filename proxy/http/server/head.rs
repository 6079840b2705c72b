//! Heads of requests, as strictly as RFC 9112 asks of who passes them on. Pure.

use std::mem::MaybeUninit;

use bytes::Bytes;
use httparse::{ParserConfig, Status};
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue, TE, TRANSFER_ENCODING};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, Uri, Version};

use crate::http::answer::{self, Form, Reason};
use crate::http::headers;
use crate::http::wire::decoder::Decoder;
use crate::http::wire::fields::{HEAD_MAX, HEADERS_MAX, Malformed, collect, number};
use crate::http::wire::input::skip;
use crate::http::wire::lines::Lines;

/// The head of a request, and what it says of what follows.
#[derive(Debug)]
pub struct Head {
    /// As it came.
    pub request: Request<()>,
    /// How its body is read.
    pub body: Decoder,
    /// The client waits for a word before it sends that (RFC 9110, 10.1.1).
    pub expects: bool,
    /// What may be said in the answer.
    pub terms: Terms,
}

/// What the client understands of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// HTTP/1.1; else HTTP/1.0.
    pub is_1_1: bool,
    /// It asked for the head alone.
    pub is_head: bool,
    /// It takes trailers.
    pub takes_trailers: bool,
    /// It may send another request on this connection.
    pub stays: bool,
}

/// Finds one head after the other.
#[derive(Debug, Default)]
pub struct Heads {
    lines: Lines,
    /// Its first line has come, and is one of a request.
    has_line: bool,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is none, or could be read in two ways.
    Malformed,
    /// It is longer than any may be, or has more headers.
    TooLarge,
}

/// What headers say of what follows them.
#[derive(Debug, Default)]
struct Said {
    length: Option<u64>,
    is_chunked: bool,
    /// One of them contradicts another, or is none.
    is_malformed: bool,
    closes: bool,
    keeps_alive: bool,
    takes_trailers: bool,
    expects: bool,
}

/// Headers that this proxy adds to nearly every request.
const ADDED: usize = 4;

impl Refused {
    /// Why, as it is answered, counted and logged (RFC 9110, 15.5.1; RFC 6585, 5).
    pub fn reason(self) -> Reason {
        match self {
            Self::Malformed => Reason::BadRequest,
            Self::TooLarge => Reason::HeadTooLarge,
        }
    }

    /// The answer to it.
    pub fn answer(self) -> Response<Bytes> {
        answer::refuse(self.reason(), Form::Json)
    }
}

impl Heads {
    /// Takes the head of a request, when all of it has come. Empty lines before it are passed over (RFC 9112, 2.2).
    ///
    /// # Errors
    /// It is none that is passed on, whatever comes.
    pub fn take(&mut self, input: &mut Bytes) -> Result<Option<Head>, Refused> {
        while input.starts_with(b"\r\n") {
            skip(input, 2);
        }
        match self.lines.end(input)? {
            Some(length) if length <= HEAD_MAX => {
                let head = parse(input, length)?;
                *self = Self::default();
                skip(input, length);
                Ok(Some(head))
            }
            None if input.len() < HEAD_MAX => self.check_begin(input).map(|()| None),
            _ => Err(Refused::TooLarge),
        }
    }

    /// Looks at what has come of a head: other protocols are not waited for.
    fn check_begin(&mut self, input: &[u8]) -> Result<(), Refused> {
        let (lines, is_known) = (self.lines.last(), self.has_line);
        self.has_line = lines > 0;
        // What stands behind it is looked at when all has come: the verdict is not to depend on the pieces.
        let is_line = || {
            let line = input[..lines].split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
            httparse::Request::new(&mut []).parse(line).is_ok()
        };
        let is_word = |&byte: &u8| byte == b'\r' || byte.is_ascii_graphic();
        let is_sound = if self.has_line { is_known || is_line() } else { input.first().is_none_or(is_word) };
        if is_sound { Ok(()) } else { Err(Refused::Malformed) }
    }
}

/// The head of that length that the input begins with.
fn parse(input: &Bytes, length: usize) -> Result<Head, Refused> {
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let parser = ParserConfig::default();
    match parser.parse_request_with_uninit_headers(&mut parsed, &input[..length], &mut fields) {
        Ok(Status::Complete(found)) if found == length => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refused::TooLarge),
        _ => return Err(Refused::Malformed),
    }
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else { return Err(Refused::Malformed) };
    let asks_for_server = method == "OPTIONS" && has_authority_alone(target);
    let target = input.slice_ref(target.as_bytes());
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_invalid| Malformed)?;
    let target = Uri::from_maybe_shared(target).map_err(|_invalid| Malformed)?;
    *request.uri_mut() = if asks_for_server { of_whole_server(target)? } else { target };
    *request.version_mut() = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut said = Said::default();
    *request.headers_mut() = collect(input, parsed.headers, ADDED, |name, value| {
        said.note(name, value);
        true
    })?;
    said.understand(request)
}

/// Whether a target of absolute form has neither path nor query.
fn has_authority_alone(target: &str) -> bool {
    let authority = target.split_once("://").filter(|_| !target.starts_with('/'));
    authority.is_some_and(|(_, rest)| !rest.contains(['/', '?']))
}

/// `OPTIONS` of such a target is about the server as a whole (RFC 9112, 3.2.4), as with `*`.
fn of_whole_server(target: Uri) -> Result<Uri, Malformed> {
    let mut parts = target.into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("*"));
    Uri::from_parts(parts).map_err(|_invalid| Malformed)
}

impl From<Malformed> for Refused {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl Said {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) {
        if name == CONTENT_LENGTH {
            // Longer ones are less than nothing to those that count with a sign.
            let length = number(value.as_bytes()).filter(|&length| i64::try_from(length).is_ok());
            // Even the same one twice.
            self.is_malformed |= length.is_none() || self.length.is_some();
            self.length = length;
        } else if name == TRANSFER_ENCODING {
            // Any other coding, also one more, nobody would undo.
            self.is_malformed |= self.is_chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked");
            self.is_chunked = true;
        } else if name == CONNECTION {
            self.closes |= headers::lists(value, "close");
            self.keeps_alive |= headers::lists(value, "keep-alive");
        } else if name == TE {
            self.takes_trailers |= headers::lists(value, "trailers");
        } else if name == EXPECT {
            self.expects |= value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        }
    }

    fn understand(self, request: Request<()>) -> Result<Head, Refused> {
        let is_1_1 = request.version() == Version::HTTP_11;
        // A server of HTTP/1.0 would not look for chunks.
        let is_ambiguous = self.is_chunked && (self.length.is_some() || !is_1_1);
        if self.is_malformed || is_ambiguous {
            return Err(Refused::Malformed);
        }
        let body = if self.is_chunked { Decoder::chunked() } else { Decoder::length(self.length.unwrap_or(0)) };
        let terms = Terms {
            is_1_1,
            is_head: request.method() == Method::HEAD,
            takes_trailers: is_1_1 && self.takes_trailers,
            stays: !self.closes && (is_1_1 || self.keeps_alive),
        };
        Ok(Head { request, expects: is_1_1 && self.expects && !body.is_over(), body, terms })
    }
}

#[cfg(test)]
mod tests;
