//! Paths in the one form in which they are compared. Pure.
//!
//! Sources: RFC 3986 (3.3 for what a path may have as it is, 6.2.2 for what is the same).

use std::borrow::Cow;
use std::fmt::Write as _;

/// A path in the form in which all that mean the same are equal: percent-encoded where it must be and nowhere else, with capital
/// digits, without empty segments, and without `.` and `..`. An encoded slash (`%2F`) and an encoded backslash stay encoded: they
/// are part of a name. `None` where the path has no meaning: an escape that is none, a zero byte, or more `..` than segments before
/// them. What does not begin with a slash (`*`) is no path, and stays as it is.
pub fn normal_path(path: &str) -> Option<Cow<'_, str>> {
    if is_normal(path.as_bytes()) || !path.starts_with('/') {
        return Some(Cow::Borrowed(path));
    }
    let decoded = reencoded(path.as_bytes())?;
    let (mut segments, mut is_open) = (Vec::new(), true);
    for segment in decoded.split('/') {
        is_open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()?),
            name => segments.push(name),
        }
    }
    let mut normal = segments.iter().fold(String::with_capacity(decoded.len()), |path, name| path + "/" + name);
    if is_open {
        normal.push('/');
    }
    Some(Cow::Owned(normal))
}

/// Whether there is nothing to do, as for nearly every path.
fn is_normal(path: &[u8]) -> bool {
    let mut before = b' ';
    path.iter().all(|&byte| {
        let is_plain = stands_bare(byte) && byte != b'.' || byte == b'/';
        let is_fine = (is_plain || byte == b'.' && before != b'/') && !(byte == b'/' && before == b'/');
        before = byte;
        is_fine
    })
}

/// The same path with each byte written in one way.
fn reencoded(path: &[u8]) -> Option<String> {
    let (mut out, mut rest) = (String::with_capacity(path.len()), path);
    while let Some((&byte, behind)) = rest.split_first() {
        let (meant, behind) = match (byte, behind) {
            (b'%', [high, low, behind @ ..]) => (digit(*high)? << 4 | digit(*low)?, behind),
            (b'%', _) => return None,
            (b'/', behind) => {
                out.push('/');
                rest = behind;
                continue;
            }
            (byte, behind) => (byte, behind),
        };
        match meant {
            0 => return None,
            meant if stands_bare(meant) => out.push(char::from(meant)),
            // Writing to a text cannot fail.
            meant => drop(write!(out, "%{meant:02X}")),
        }
        rest = behind;
    }
    Some(out)
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Whether a segment may have this byte as it is (`pchar`).
fn stands_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_that_mean_the_same_are_equal() {
        for (path, expected) in [
            ("/", "/"),
            ("*", "*"),
            ("/rooms", "/rooms"),
            ("/%72ooms", "/rooms"),
            ("/%72%6f%6F%6d%73", "/rooms"),
            ("//rooms", "/rooms"),
            ("/./rooms", "/rooms"),
            ("/a/../rooms", "/rooms"),
            ("/a//../rooms", "/rooms"),
            ("/%2e/rooms", "/rooms"),
            ("/a/%2E%2e/rooms", "/rooms"),
            ("/a/.%2e/rooms//7/", "/rooms/7/"),
            ("/rooms/.", "/rooms/"),
            ("/rooms/..", "/"),
            ("/rooms%3Ajoin", "/rooms:join"),
            ("/a.b/..c/...", "/a.b/..c/..."),
            ("/rooms%2f7", "/rooms%2F7"),
            ("/a%5C..%5crooms", "/a%5C..%5Crooms"),
            ("/a\\b", "/a%5Cb"),
            ("/%c3%A4", "/%C3%A4"),
            ("/\u{e4}", "/%C3%A4"),
            ("/%2572ooms", "/%2572ooms"),
        ] {
            assert_eq!(normal_path(path).as_deref(), Some(expected), "{path}");
        }
        for path in
            ["/..", "/../rooms", "/a/../../rooms", "/%2e%2E/rooms", "/%", "/%7", "/%zz", "/%7g", "/%+7", "/a%00"]
        {
            assert_eq!(normal_path(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_normal_stays(path in "/([a-c./%]|%2[eEfF]|%6[1-3]|\u{e4}){0,12}") {
            if let Some(normal) = normal_path(&path) {
                prop_assert!(is_normal(normal.replace('%', "x").replace("/.", "/x").as_bytes()), "{normal}");
                prop_assert_eq!(normal_path(&normal), Some(Cow::Borrowed(&*normal)));
            }
        }
    }
}
