//! Characters that may not go to a terminal, a log or a page as they are. Pure.

use std::fmt::Write as _;

/// Whether a terminal, a viewer of logs or a browser might obey this character instead of showing it: control characters (C0, DEL and
/// C1, which many terminals take for escape sequences), those that end a line, and those that turn the direction of writing, so
/// that a text reads as another one (Unicode Standard Annex 9).
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
        )
}

/// JSON with each of these characters as `\uXXXX`, which means the same. Outside of strings JSON has none but line breaks and tabs.
pub fn printable_json(json: String) -> String {
    let is_bare = |c: char| is_unprintable(c) && !c.is_ascii_control() || c == '\u{7F}';
    if !json.contains(is_bare) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_bare(c) {
            // Writing to a text cannot fail. All of them have four digits at most.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_obeyed_or_turned_around_is_not_printable() {
        for c in [
            '\0', '\u{1b}', '\n', '\u{7f}', '\u{80}', '\u{9b}', '\u{9f}', '\u{61c}', '\u{200e}', '\u{2028}', '\u{2029}',
        ] {
            assert!(is_unprintable(c), "{c:?}");
        }
        for c in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            assert!(is_unprintable(c), "{c:?}");
        }
        for c in [' ', 'a', '~', '\u{a0}', '\u{e4}', '\u{5d0}', '\u{200d}', '\u{2027}', '\u{202f}', '\u{1f3ae}'] {
            assert!(!is_unprintable(c), "{c:?}");
        }
    }

    #[test]
    fn json_means_the_same_without_them() {
        let printable = |json: &str| printable_json(json.to_owned());
        assert_eq!(printable("{\n\t\"a\": \"\u{e4}\"}"), "{\n\t\"a\": \"\u{e4}\"}");
        assert_eq!(printable("\"a\u{9b}\u{202e}\u{7f}b\""), r#""a\u009b\u202e\u007fb""#);
    }
}
