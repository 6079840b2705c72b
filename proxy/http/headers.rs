//! What is changed in the headers of messages on their way through. Pure.
//!
//! Sources: RFC 9110 (7.6.1, what concerns one connection alone), RFC 7239 (`Forwarded`); the `X-Forwarded-*` are a custom older
//! than that.

use std::fmt::Write as _;
use std::net::IpAddr;

use hyper::Version;
use hyper::header::{CONNECTION, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, VIA};

/// What a request is called, from proxy to proxy.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Its place in a trace (W3C Trace Context).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What others have to say of that trace.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What proxies tell backends of their clients, beside all that begins with `X-Forwarded-`. This proxy writes none of it, and passes on
/// what a trusted client says; `Proxy` becomes `HTTP_PROXY` in applications that are run by CGI.
const CLAIMS: [&str; 7] = [
    "cf-connecting-ip",
    "fastly-client-ip",
    "proxy",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
];

/// What this proxy tells backends itself.
const FORWARDING: [HeaderName; 7] =
    [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, FORWARDED, X_REQUEST_ID, TRACEPARENT, TRACESTATE];

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// The same, as it is written.
    pub written: &'a HeaderValue,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// What the client calls this server, if it says so.
    pub host: Option<&'a HeaderValue>,
    /// What it tells of others in front of it is believed, and kept.
    pub is_trusted: bool,
}

/// What this proxy calls itself to those behind it (RFC 9110, 7.6.3).
#[derive(Debug, Clone)]
pub struct Via {
    /// In messages that came by HTTP/1.1.
    one: HeaderValue,
    /// By HTTP/2.
    two: HeaderValue,
}

impl Via {
    /// By this name; `None` if it cannot be one.
    pub fn new(name: &str) -> Option<Self> {
        let value = |version: &str| HeaderValue::from_str(&format!("{version} {name}")).ok();
        Some(Self { one: value("1.1")?, two: value("2")? })
    }

    /// Adds it to a message that came so.
    pub fn sign(&self, headers: &mut HeaderMap, version: Version) {
        headers.append(VIA, if version == Version::HTTP_2 { self.two.clone() } else { self.one.clone() });
    }
}

/// Takes out what concerns one connection alone. That trailers are understood is kept: it is passed on.
pub fn strip(headers: &mut HeaderMap) {
    let (mut found, mut takes_trailers) = (Vec::new(), false);
    for (name, value) in headers.iter().filter(|(name, _)| is_of_one_connection(name) || is_alias(name)) {
        takes_trailers |= name == TE && lists(value, "trailers");
        found.push(name.clone());
        if name == CONNECTION {
            found.extend(words(value).filter_map(named));
        }
    }
    for name in &found {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a header concerns one connection alone, whatever `Connection` names. `Expect` does here: a client is told to go on by this
/// proxy, which does not wait for its backend's word, and one that believes to be waited for would take the body for a request.
pub fn is_of_one_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "expect"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// The header that a word of `Connection` names, if it is to be taken out with it.
pub fn named(word: &[u8]) -> Option<HeaderName> {
    const OWN: [&[u8]; 3] = [b"keep-alive", b"close", b"upgrade"];
    if OWN.iter().any(|own| word.eq_ignore_ascii_case(own)) {
        return None;
    }
    // What a message needs to be understood is nobody's to take out.
    HeaderName::from_bytes(word).ok().filter(|name| ![TRAILER, HOST].contains(name) && !is_forwarding(name.as_str()))
}

/// What only proxies tell a backend.
fn is_forwarding(name: &str) -> bool {
    is_claim(name) || FORWARDING.iter().any(|own| own.as_str() == name)
}

/// Whether this says something of the client that a stranger could make up.
fn is_claim(name: &str) -> bool {
    matches!(name.as_bytes(), [b'c' | b'f' | b'p' | b't' | b'x', ..])
        && (name.starts_with("x-forwarded-") || CLAIMS.contains(&name))
}

/// Whether applications behind a gateway (CGI, WSGI, Rack, PHP) would take a header for one of those: to them, `_` and `-` are the same
/// (RFC 3875, 4.1.18).
fn is_alias(name: &HeaderName) -> bool {
    name.as_str().contains('_') && is_forwarding(&name.as_str().replace('_', "-"))
}

/// Takes out of a client's trailers what is none: what means something before the body comes, or not at all (RFC 9110, 6.5.1), and
/// what backends are to hear from this proxy alone.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let there: Vec<HeaderName> = trailers.keys().filter(|name| never_trails(name)).cloned().collect();
    for name in &there {
        trailers.remove(name);
    }
}

fn never_trails(name: &HeaderName) -> bool {
    let means_something_before = matches!(
        name.as_str(),
        "authorization"
            | "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "host"
            | "max-forwards"
            | "set-cookie"
            | "trailer"
    );
    means_something_before || is_of_one_connection(name) || is_forwarding(name.as_str()) || is_alias(name)
}

/// Whether this is a token (RFC 9110, 5.6.2).
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What a header lists, without its parameters.
pub fn words(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let entries = value.as_bytes().split(|&byte| byte == b',');
    entries.map(|entry| entry.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii())
}

/// Whether a header's list has this word, whatever parameters it has.
pub fn lists(value: &HeaderValue, word: &str) -> bool {
    words(value).any(|listed| listed.eq_ignore_ascii_case(word.as_bytes()))
}

/// Tells the backend whom a request is from. What a stranger has written there is not passed on.
pub fn introduce(headers: &mut HeaderMap, source: &Source<'_>, with_forwarded: bool) {
    if !source.is_trusted {
        let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name.as_str())).cloned().collect();
        for name in &claims {
            headers.remove(name);
        }
    }
    let earlier = if source.is_trusted { joined(headers, &X_FORWARDED_FOR) } else { None };
    match earlier {
        None => drop(headers.insert(X_FORWARDED_FOR, source.written.clone())),
        Some(earlier) => set(headers, X_FORWARDED_FOR, &format!("{earlier}, {}", source.client)),
    }
    let scheme = HeaderValue::from_static(source.scheme);
    for (name, value) in [(X_FORWARDED_PROTO, Some(&scheme)), (X_FORWARDED_HOST, source.host)] {
        if source.is_trusted && headers.contains_key(&name) {
            continue;
        }
        match value {
            Some(value) => drop(headers.insert(name, value.clone())),
            None => drop(headers.remove(name)),
        }
    }
    let earlier = if source.is_trusted { joined(headers, &FORWARDED) } else { None };
    headers.remove(FORWARDED);
    if with_forwarded {
        let own = forwarded(source);
        set(headers, FORWARDED, &earlier.map_or_else(|| own.clone(), |earlier| format!("{earlier}, {own}")));
    } else if let Some(earlier) = earlier {
        set(headers, FORWARDED, &earlier);
    }
}

/// One element of `Forwarded`.
fn forwarded(source: &Source<'_>) -> String {
    let client = match source.client {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let mut element = format!("for={client};proto={}", source.scheme);
    // With a port it is no token.
    let host = source.host.and_then(|host| host.to_str().ok());
    if let Some(host) = host.filter(|host| !host.contains(['"', '\\'])) {
        _ = write!(element, ";host=\"{host}\"");
    }
    element
}

/// All values of a header in one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Sets a header; without a value that could not be one.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_no_value) => drop(headers.remove(name)),
    }
}

#[cfg(test)]
mod tests;
