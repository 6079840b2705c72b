//! Whether everybody reads a request in the same way, as far as its framing has not seen to that. Pure.

use std::net::Ipv6Addr;

use hyper::header::{CONTENT_LENGTH, HOST};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri, Version};

use super::upgrade::asks_for_protocol;

/// Whether this may be passed on.
pub fn is_sound<B>(request: &Request<B>) -> bool {
    // Counted in passing: most requests have so few headers that this takes less than to look them up.
    let (mut hosts, mut lengths, mut is_named) = (0, 0, true);
    for (name, value) in request.headers() {
        if name == HOST {
            hosts += 1;
            is_named &= is_host(value.as_bytes());
        }
        lengths += usize::from(name == CONTENT_LENGTH);
    }
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let agrees = |target: &[u8]| {
        is_host(target) && request.headers().get(HOST).is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(target))
    };
    // RFC 9112, 3.2: one, and only one; in HTTP/2 the target may have it instead, and HTTP/1.0 knows none.
    let may_lack = match request.version() {
        Version::HTTP_2 => target.is_some(),
        version => version == Version::HTTP_10,
    };
    let enough = hosts == 1 || (hosts == 0 && may_lack);
    let is_served = request.method() != Method::CONNECT || asks_for_protocol(request);
    let has_path = has_path(request);
    enough && is_named && lengths <= 1 && has_path && target.is_none_or(agrees) && is_served
}

/// Whether a target has a path, or gets one from [absolute form](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2).
fn has_path<B>(request: &Request<B>) -> bool {
    let (method, target): (&Method, &Uri) = (request.method(), request.uri());
    // None has a word without a slash, which the library takes for an authority.
    let written = target.path_and_query().map_or("", PathAndQuery::as_str);
    match written.as_bytes() {
        [b'/', ..] => true,
        // In HTTP/2 the path is a field of its own (RFC 9113, 8.3.1).
        [b'?', ..] => target.authority().is_some() && request.version() != Version::HTTP_2,
        b"*" => method == Method::OPTIONS,
        _ => false,
    }
}

/// Whether this is a host, perhaps with a port, and no more (RFC 9112, 3.2; RFC 3986, 3.2.2). Nothing at all is one, too. Names of
/// which some part is encoded are none here: some would decode them.
fn is_host(value: &[u8]) -> bool {
    let Ok(value) = str::from_utf8(value) else { return false };
    let (is_host, behind) = match value.strip_prefix('[').and_then(|value| value.split_once(']')) {
        Some((address, behind)) => (address.parse::<Ipv6Addr>().is_ok(), behind),
        None => {
            let (name, behind) = value.split_at(value.find(':').unwrap_or(value.len()));
            (name.bytes().all(is_of_name), behind)
        }
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && behind.strip_prefix(':').map_or(behind.is_empty(), is_port)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        let hosts = [
            "",
            "a",
            "A.example",
            "a_b-c.d",
            "a.example.",
            "a.example:80",
            "a:",
            "192.0.2.1:25565",
            "[::1]",
            "[2001:db8::1]:80",
            "a;b=c",
        ];
        for host in hosts {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        let others = [
            "a b",
            "a\tb",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "u@a",
            "u:p@a",
            "http://a",
            "\"a\"",
            "<a>",
            "a:b",
            "a:-1",
            "a:80:90",
            "a: 80",
            "::1",
            "[::1",
            "::1]",
            "[a]",
            "[]",
            "[::1]80",
            "[::1]a",
            "[::1%1]",
            "[[::1]]",
            "a%2fb",
            "%61",
            "a%",
            "\u{e4}.example",
        ];
        for other in others {
            assert!(!is_host(other.as_bytes()), "{other}");
        }
        assert!(!is_host(b"a\xe4"));
    }

    fn sound(method: &str, target: &str, headers: &[(&str, &str)]) -> bool {
        let asked = Request::builder().method(method).uri(target);
        let asked = headers.iter().fold(asked, |asked, (name, value)| asked.header(*name, *value));
        is_sound(&asked.body(()).unwrap())
    }

    #[test]
    fn it_says_once_whom_it_asks_and_how_much_follows() {
        let host = ("host", "a");
        assert!(sound("GET", "/", &[host]));
        assert!(sound("GET", "http://A/", &[host, ("content-length", "1")]));
        for (target, headers) in [
            ("/", &[][..]),
            ("/", &[host, host]),
            ("/", &[("host", "a b")]),
            ("http://a/", &[]),
            ("http://b/", &[host]),
            ("http://a:80/", &[host]),
            ("http://u@a/", &[("host", "u@a")]),
            ("/", &[host, ("content-length", "1"), ("content-length", "1")]),
        ] {
            assert!(!sound("GET", target, headers), "{target} {headers:?}");
        }
    }

    #[test]
    fn http_1_0_need_not_say_whom_it_asks() {
        let sound = |target: &str, hosts: &[&str]| {
            let asked = Request::builder().version(Version::HTTP_10).uri(target);
            is_sound(&hosts.iter().fold(asked, |asked, host| asked.header("host", *host)).body(()).unwrap())
        };
        assert!(sound("/", &[]) && sound("/", &["a"]) && sound("http://a/", &[]));
        assert!(!sound("/", &["a", "a"]) && !sound("/", &["a b"]) && !sound("http://b/", &["a"]));
    }

    #[test]
    fn in_http2_the_target_may_have_the_host() {
        let sound = |target: &str| is_sound(&Request::builder().version(Version::HTTP_2).uri(target).body(()).unwrap());
        assert!(sound("http://a/") && sound("http://[::1]:80/"));
        assert!(!sound("/") && !sound("http://u@a/") && !sound("http://a;b@c/"));
    }

    #[test]
    fn its_target_has_a_path() {
        for (method, target, expected) in [
            ("GET", "/", true),
            ("GET", "//b/", true),
            ("GET", "http://a", true),
            ("GET", "http://a?x=1", true),
            ("OPTIONS", "*", true),
            ("GET", "*", false),
            ("GET", "a", false),
            ("OPTIONS", "a", false),
            ("CONNECT", "/", false),
        ] {
            assert_eq!(sound(method, target, &[("host", "a")]), expected, "{method} {target}");
        }
        let by_http2 = Request::builder().version(Version::HTTP_2).uri("http://a?x=1").body(()).unwrap();
        assert!(!is_sound(&by_http2));
    }
}
