//! Whose a request is, where it says so itself. Pure.

use hyper::header::{COOKIE, HeaderMap};

use crate::config::model::PlayerKey;
use crate::net::client::ClientKey;

/// The player who a request names, if it does.
pub fn named(key: &PlayerKey, headers: &HeaderMap) -> Option<ClientKey> {
    let word = match key {
        PlayerKey::Header(name) => headers.get(name)?.as_bytes(),
        PlayerKey::Cookie(name) => cookie(headers, name)?,
    };
    (!word.is_empty()).then(|| ClientKey::of_word(word))
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
}
