//! Whose a request is, where it says so itself. Pure.

use std::net::IpAddr;

use hyper::header::{COOKIE, HeaderMap, HeaderName};

use crate::config::model::PlayerKey;
use crate::net::client::ClientKey;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies in front that are looked past: more than anybody has in a row.
const PROXIES_MAX: usize = 16;

/// The player who a request names, if it does.
pub fn named(key: &PlayerKey, headers: &HeaderMap) -> Option<ClientKey> {
    let word = match key {
        PlayerKey::Header(name) => headers.get(name)?.as_bytes(),
        PlayerKey::Cookie(name) => cookie(headers, name)?,
    };
    (!word.is_empty()).then(|| ClientKey::of_word(word))
}

/// The address that a request came from: the client's own, or, where proxies in front are trusted, what they have added to
/// `X-Forwarded-For`. The last entry is of the nearest proxy; what stands before one that is not trusted may be made up.
pub fn source(client: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
    let told = entries.map_while(|entry| str::from_utf8(entry).ok()?.trim().parse().ok()).take(PROXIES_MAX);
    let mut nearest = client;
    for address in told {
        if !trusts(nearest) {
            break;
        }
        nearest = address;
    }
    nearest
}

/// A cookie's value (RFC 6265, 4.2.1); in HTTP/2 each may have a header of its own.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|&byte| byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn players_are_named_by_header_or_cookie() {
        let cookie = |name: &str| PlayerKey::Cookie(name.to_owned());
        let header = PlayerKey::Header("x-player".to_owned());
        let mut headers = HeaderMap::new();
        assert_eq!((named(&header, &headers), named(&cookie("sid"), &headers)), (None, None));
        headers.insert("x-player", HeaderValue::from_static("7"));
        headers.append(COOKIE, HeaderValue::from_static("asid=1; sid=two; last=3"));
        headers.append(COOKIE, HeaderValue::from_static("more=4=5"));
        let word = |text: &str| Some(ClientKey::of_word(text.as_bytes()));
        assert_eq!(named(&header, &headers), word("7"));
        for (name, value) in [("asid", Some("1")), ("sid", Some("two")), ("more", Some("4=5")), ("id", None)] {
            assert_eq!(named(&cookie(name), &headers), value.and_then(word), "{name}");
        }
        headers.insert(COOKIE, HeaderValue::from_static("sid="));
        assert_eq!(named(&cookie("sid"), &headers), None);
    }

    #[test]
    fn a_request_comes_from_where_trusted_proxies_say_and_no_further() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusts = |proxy: IpAddr| proxy == address("10.0.0.1") || proxy == address("10.0.0.2");
        let from = |client: &str, lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
            }
            source(address(client), &headers, trusts).to_string()
        };
        assert_eq!(from("192.0.2.1", &["198.51.100.9"]), "192.0.2.1", "a client's own word counts for nothing");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["198.51.100.9, 192.0.2.7"]), "192.0.2.7", "what was there before is made up");
        assert_eq!(from("10.0.0.1", &["1.1.1.1, 192.0.2.7", "10.0.0.2"]), "192.0.2.7", "behind two proxies");
        assert_eq!(from("10.0.0.1", &["192.0.2.7,nonsense"]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["2001:db8::7"]), "2001:db8::7");
    }
}
