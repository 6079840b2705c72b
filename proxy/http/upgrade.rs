//! Requests that go on in another protocol: `Upgrade` (RFC 9110, 7.8), WebSocket for one (RFC 6455), and in HTTP/2 extended CONNECT
//! (RFC 8441). Toward the backend both are an upgrade of HTTP/1.1.

use h2::ext::Protocol;
use hyper::body::Body;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TE, UPGRADE,
};
use hyper::http::{request, response};
use hyper::{Method, Request, StatusCode, Version};

use super::headers;
use super::http2::stream::Opening;

/// A client's wish to go on in another protocol.
#[derive(Debug)]
pub struct Wish {
    protocol: HeaderValue,
    /// It came on a stream of HTTP/2.
    is_stream: bool,
    /// What the stream of HTTP/2 becomes that the request came on; `None` where it is the connection itself.
    stream: Option<Opening>,
}

impl Wish {
    /// The wish of a request, if it has one that can be passed on; in HTTP/2 with what its stream is to become.
    pub fn of<B: Body>(request: &mut Request<B>, stream: Option<Opening>) -> Option<Self> {
        let (protocol, is_stream) = match request.extensions_mut().remove::<Protocol>() {
            Some(protocol) => {
                let protocol = HeaderValue::from_str(protocol.as_str()).ok()?;
                if is_http(&protocol) {
                    return None;
                }
                (protocol, true)
            }
            None => (wanted(request)?, false),
        };
        Some(Self { protocol, is_stream, stream })
    }

    /// Whether what follows are the frames of a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
    }

    /// Writes it into the request for the backend.
    pub fn ask(&self, request: &mut request::Parts) {
        // It would have to be named beside that, which not every server of WebSockets understands.
        request.headers.remove(TE);
        request.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers.insert(UPGRADE, self.protocol.clone());
        if self.is_stream {
            request.method = Method::GET;
            if self.is_websocket() {
                // In HTTP/2 there is none; the backend's answer to it proves nothing here that its status does not.
                request.headers.insert(SEC_WEBSOCKET_KEY, random_key());
            }
        }
    }

    /// Writes the backend's consent into the answer to the client, and returns what its stream becomes.
    pub fn grant(self, response: &mut response::Parts, protocol: Option<HeaderValue>) -> Option<Opening> {
        response.headers.remove(CONTENT_LENGTH);
        if self.is_stream {
            response.status = StatusCode::OK;
            response.headers.remove(SEC_WEBSOCKET_ACCEPT);
        } else {
            response.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            response.headers.insert(UPGRADE, protocol.unwrap_or(self.protocol));
        }
        self.stream
    }

    /// Whether a client would take this status for a consent, which it is not.
    pub fn is_misled_by(&self, status: StatusCode) -> bool {
        self.is_stream && status.is_success()
    }
}

/// Whether a request asks to connect a stream to something (RFC 8441): the only CONNECT that is served.
pub fn is_extended_connect<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2 && request.extensions().get::<Protocol>().is_some()
}

/// Whether such a request names a protocol as `Upgrade` can name it (RFC 8441, 4; RFC 9110, 7.8).
pub fn asks_for_protocol<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>().map_or("", Protocol::as_str);
    let (name, version) = protocol.split_once('/').unwrap_or((protocol, "0"));
    is_extended_connect(request) && headers::is_token(name) && headers::is_token(version)
}

/// The protocols that a request of HTTP/1.1 names. HTTP/2 is not one of them: it would be spoken past everything that is looked at
/// here.
fn wanted<B: Body>(request: &Request<B>) -> Option<HeaderValue> {
    let headers: &HeaderMap = request.headers();
    let mut protocols = headers.get_all(UPGRADE).iter();
    let (protocol, others) = (protocols.next()?, protocols.next());
    let is_asked = headers.get_all(CONNECTION).iter().any(|value| headers::lists(value, "upgrade"));
    let is_plain = request.version() == Version::HTTP_11 && request.body().is_end_stream();
    (others.is_none() && is_asked && is_plain && !is_http(protocol)).then(|| protocol.clone())
}

fn is_http(protocol: &HeaderValue) -> bool {
    ["h2c", "h2"].iter().any(|name| headers::lists(protocol, name))
}

/// Sixteen random bytes in base64 (RFC 6455, 4.1): 21 letters of six bits, and one of the last two.
fn random_key() -> HeaderValue {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut key = [b'='; 24];
    for letter in &mut key[..21] {
        *letter = LETTERS[fastrand::usize(..LETTERS.len())];
    }
    key[21] = LETTERS[fastrand::usize(..4) << 4];
    HeaderValue::from_bytes(&key).unwrap_or_else(|_never| HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};
    use hyper::body::Bytes;

    use super::*;

    fn request(list: &[(&str, &str)]) -> Request<Empty<Bytes>> {
        let builder = list.iter().fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
        builder.body(Empty::new()).unwrap()
    }

    #[test]
    fn a_wish_is_one_protocol_and_a_connection_that_names_it() {
        let asked = ("connection", "keep-alive, Upgrade");
        for (list, expected) in [
            (vec![asked, ("upgrade", "WebSocket")], Some("WebSocket")),
            (vec![asked, ("upgrade", "echo/1, echo/2")], Some("echo/1, echo/2")),
            (vec![asked], None),
            (vec![("upgrade", "websocket")], None),
            (vec![asked, ("upgrade", "h2c")], None),
            (vec![asked, ("upgrade", "websocket, H2C")], None),
            (vec![asked, ("upgrade", "websocket"), ("upgrade", "h2c")], None),
        ] {
            let found = Wish::of(&mut request(&list), None).map(|wish| wish.protocol);
            assert_eq!(found.as_ref().map(|protocol| protocol.to_str().unwrap()), expected, "{list:?}");
        }
        let mut with_body = request(&[asked, ("upgrade", "websocket")]).map(|_| Full::new(Bytes::from("body")));
        assert!(Wish::of(&mut with_body, None).is_none());
        let mut old = request(&[asked, ("upgrade", "websocket")]);
        *old.version_mut() = Version::HTTP_10;
        assert!(Wish::of(&mut old, None).is_none());
    }

    #[test]
    fn a_stream_becomes_a_get_with_a_key_and_its_answer_a_200() {
        let mut asked = request(&[("sec-websocket-version", "13")]);
        asked.extensions_mut().insert(Protocol::from_static("websocket"));
        *asked.version_mut() = Version::HTTP_2;
        *asked.method_mut() = Method::CONNECT;
        assert!(is_extended_connect(&asked) && asks_for_protocol(&asked));
        for (name, expected) in
            [("echo/2", true), ("", false), ("a b", false), ("web socket", false), ("a/", false), ("a/1/2", false)]
        {
            let mut other = asked.clone();
            other.extensions_mut().insert(Protocol::from(name));
            assert_eq!(asks_for_protocol(&other), expected, "{name:?}");
        }
        let wish = Wish::of(&mut asked, None).unwrap();
        let (mut parts, _) = asked.into_parts();
        wish.ask(&mut parts);
        assert_eq!((parts.method, &parts.headers[UPGRADE]), (Method::GET, &HeaderValue::from_static("websocket")));
        let key = parts.headers[SEC_WEBSOCKET_KEY].to_str().unwrap();
        assert!(key.len() == 24 && key.ends_with("==") && "AQgw".contains(&key[21..22]), "{key}");
        assert!(wish.is_misled_by(StatusCode::OK) && !wish.is_misled_by(StatusCode::FORBIDDEN));
        let answer = hyper::Response::builder().status(101).header("sec-websocket-accept", "x").body(()).unwrap();
        let (mut answer, ()) = answer.into_parts();
        wish.grant(&mut answer, Some(HeaderValue::from_static("websocket")));
        assert_eq!((answer.status, answer.headers.len()), (StatusCode::OK, 0));
    }
}
