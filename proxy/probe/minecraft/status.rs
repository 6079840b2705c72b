//! The number of players in the JSON of a status reply. Nothing else in it is read.
//!
//! The game's client shows servers whose description was cut in the middle of a character, holds bytes that are no UTF-8, or has
//! line breaks within a text: so none of that makes a reply a bad one.

use std::collections::BTreeMap;

use serde_json::Deserializer;
use serde_json::error::Category;
use serde_json::value::RawValue;

/// The fields of an object, their values unread.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Players online; `None` where the server does not say, or says what is no such number.
///
/// # Errors
/// The text is no JSON, or something else than an object.
pub(super) fn players(json: &[u8]) -> Result<Option<u32>, String> {
    let text = tolerable(json);
    // What may stand behind it is not looked at.
    let status = Deserializer::from_str(&text).into_iter::<Fields<'_>>().next();
    let status = status.ok_or("not JSON: nothing is in it")?.map_err(|error| match error.classify() {
        Category::Data => "the JSON is no object".to_owned(),
        _ => format!("not JSON: {error}"),
    })?;
    let players = status.get("players").and_then(|players| serde_json::from_str::<Fields<'_>>(players.get()).ok());
    Ok(players.and_then(|players| serde_json::from_str(players.get("online")?.get()).ok()))
}

/// The same text with everything replaced that the game's client takes and JSON does not allow: bytes that are no UTF-8, control
/// characters, and halves of surrogate pairs (`\ud83d`). Whole pairs are replaced, too: texts are not read.
fn tolerable(json: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(json).into_owned().into_bytes();
    let mut at = 0;
    while let Some(byte) = text.get_mut(at) {
        match byte {
            // What it stands before may be a backslash itself.
            b'\\' => {
                if let Some(escape @ [b'u', b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]) =
                    text.get_mut(at + 1..at + 6)
                {
                    escape.copy_from_slice(b"ufffd");
                }
                at += 1;
            }
            0..b' ' => *byte = b' ',
            _ => {}
        }
        at += 1;
    }
    // Only ASCII took the place of ASCII: but for an escape that is cut off or malformed, which is no JSON.
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of a status with these bytes as its description.
    fn described(description: &[u8]) -> Result<Option<u32>, String> {
        let front = br#"{"version":{"name":"1.21","protocol":767},"description":""#;
        let back = br#"","players":{"max":20,"online":3,"sample":[{"name":"Alex","id":"1"}]}}"#;
        players(&[front, description, back].concat())
    }

    #[test]
    fn odd_descriptions_do_not_matter() {
        let odd: [&[u8]; 9] = [
            br"cut \ud83d",
            br"\ud83d\ude00 whole, \uDE00 half, \\ud83d none",
            b"\xff\xfe no UTF-8 \xc3",
            b"two\nlines\tand\0more",
            br#"quoted \" and \\"#,
            r"§4§lA Minecraft Server \u00a7r".as_bytes(),
            br"\\\\\ud83d\\",
            b"",
            &[b'x'; 100_000],
        ];
        for description in odd {
            assert_eq!(described(description), Ok(Some(3)), "{}", description.escape_ascii());
        }
    }

    #[test]
    fn odd_fields_elsewhere_do_not_matter() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let cases = [
            (r#"{"\ud83d":1,"players":{"online":3}}"#.to_owned(), Some(3)),
            (format!(r#"{{"description":{deep},"players":{{"online":3}}}}"#), Some(3)),
            (r#"{"players":{"online":3}}{"more":1}"#.to_owned(), Some(3)),
            (r#"{"players":{"online":1},"players":{"online":3,"sample":"\ud83d"}}"#.to_owned(), Some(3)),
            (r#"{"players":{"online":"3"}}"#.to_owned(), None),
            (r#"{"players":{"online":3.5}}"#.to_owned(), None),
            (r#"{"players":[3]}"#.to_owned(), None),
            (r#"{"players":"\ud83d"}"#.to_owned(), None),
        ];
        for (json, expected) in cases {
            assert_eq!(players(json.as_bytes()), Ok(expected), "{json}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_text_holds_the_number_is_read(description in prop::collection::vec(any::<u8>(), 0..200)) {
            let escaped: Vec<u8> = description.into_iter().filter(|byte| !b"\"\\".contains(byte)).collect();
            prop_assert_eq!(described(&escaped), Ok(Some(3)));
        }

        #[test]
        fn no_bytes_cause_a_panic(json: Vec<u8>, escape in "(\\\\u?[dD]?[0-9a-fA-F]{0,4}|\"|\\{|ü){0,20}") {
            let _whatever = players(&json);
            let _whatever = players(escape.as_bytes());
        }
    }
}
