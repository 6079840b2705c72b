//! The fields of a message: headers, and trailers behind a body. Pure.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Fields of a head, or trailers.
pub const HEADERS_MAX: usize = 100;

/// Bytes of a head.
pub const HEAD_MAX: usize = 64 * 1024;

/// No message that HTTP/1.1 knows, or one that could be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Those fields that pass, as a map with room for more. Their values go on standing where they were read.
pub fn collect(
    input: &Bytes,
    fields: &[httparse::Header<'_>],
    room: usize,
    mut passes: impl FnMut(&HeaderName, &HeaderValue) -> bool,
) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(fields.len() + room);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_invalid| Malformed)?;
        let value = HeaderValue::from_maybe_shared(input.slice_ref(field.value)).map_err(|_invalid| Malformed)?;
        if passes(&name, &value) {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

/// A number of digits alone.
pub fn number(digits: &[u8]) -> Option<u64> {
    let digit = |byte: u8| char::from(byte).to_digit(10).map(u64::from);
    let (&first, others) = digits.split_first()?;
    others.iter().try_fold(digit(first)?, |number, &byte| number.checked_mul(10)?.checked_add(digit(byte)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        for (text, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1 ", None),
            ("0x1", None),
            ("1,1", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
    }
}
