//! What RFC 9113 asks of the fields of a message, as far as the library does not see to it. Pure.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};

use crate::http::wire::fields::HEADERS_MAX;

/// What is wrong with the fields of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No request by the rules of the protocol.
    Malformed,
    /// More fields than are taken.
    TooMany,
}

/// Looks at the fields of a request, and joins its cookies, which browsers send apart (RFC 9113, 8.2.3).
///
/// # Errors
/// They are not as they must be.
pub fn check(headers: &mut HeaderMap) -> Result<(), Fault> {
    if headers.values().any(is_padded) {
        return Err(Fault::Malformed);
    }
    join_cookies(headers);
    if headers.len() > HEADERS_MAX { Err(Fault::TooMany) } else { Ok(()) }
}

/// Whether a value begins or ends with white space, which makes its message malformed (RFC 9113, 8.2.1).
pub fn is_padded(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| byte.is_some_and(|byte| b" \t".contains(byte));
    is_space(value.as_bytes().first()) || is_space(value.as_bytes().last())
}

fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let all: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        list.iter().map(field).collect()
    }

    #[test]
    fn cookies_are_joined_in_their_order() {
        let mut crumbs = headers(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]);
        assert_eq!(check(&mut crumbs), Ok(()));
        assert_eq!(crumbs, headers(&[("cookie", "a=1; b=2; c=3"), ("x", "y")]));
        let mut one = headers(&[("cookie", "a=1; b=2")]);
        assert_eq!((check(&mut one), one), (Ok(()), headers(&[("cookie", "a=1; b=2")])));
    }

    #[test]
    fn values_have_no_space_at_their_ends() {
        for (value, expected) in
            [("", Ok(())), ("a b", Ok(())), (" a", Err(Fault::Malformed)), ("a\t", Err(Fault::Malformed))]
        {
            assert_eq!(check(&mut headers(&[("x", value)])), expected, "{value:?}");
        }
    }

    #[test]
    fn fields_are_counted_with_all_cookies_as_one() {
        let crumbs = vec![("cookie", "a=1"); 300];
        let of = |others: usize| headers(&[vec![("x", "y"); others], crumbs.clone()].concat());
        assert_eq!(check(&mut of(HEADERS_MAX - 1)), Ok(()));
        assert_eq!(check(&mut of(HEADERS_MAX)), Err(Fault::TooMany));
    }
}
