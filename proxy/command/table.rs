//! Tables of what the API says, as a person reads them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::config::scalar::is_unprintable;

/// Columns as wide as their widest cell. Those whose head begins with `>` stand to the right.
pub(super) fn table<const N: usize>(page: &mut String, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let to_right = head.map(|head| head.starts_with('>'));
    let head = head.map(|head| head.trim_start_matches('>').to_owned());
    let all: Vec<_> = std::iter::once(head).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| all.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    for row in all {
        let mut line = String::new();
        for ((cell, width), to_right) in row.into_iter().zip(widths).zip(to_right) {
            // Writing to a text cannot fail.
            let _ = if to_right { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:width$}  ") };
        }
        page.push_str(line.trim_end());
        page.push('\n');
    }
}

/// The items of a list; none where there is no list.
pub(super) fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text without its quotes; what is missing is a dash.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => without_controls(text),
        other => other.to_string(),
    }
}

/// Several texts, with commas; one is as good.
pub(super) fn list(value: &Value) -> String {
    match value {
        Value::Array(several) => several.iter().map(cell).collect::<Vec<_>>().join(","),
        one => cell(one),
    }
}

/// Counts by their names, without those that are zero; empty if there are none.
pub(super) fn counts(value: &Value) -> String {
    let counts = value.as_object().into_iter().flatten().filter(|(_, count)| count.as_u64() != Some(0));
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

/// What others have written, such as a ban's reason, is not to steer the terminal.
pub(super) fn without_controls(text: &str) -> String {
    text.chars().map(|one| if is_unprintable(one) { ' ' } else { one }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let mut page = String::new();
        let row = |name: &str, count: &str| [name.to_owned(), count.to_owned(), "x".to_owned()];
        table(&mut page, ["NAME", ">COUNT", "END"], [row("ä", "3"), row("longer", "1000000")]);
        assert_eq!(page, "NAME      COUNT  END\nä             3  x\nlonger  1000000  x\n");
    }

    #[test]
    fn cells_say_what_there_is() {
        assert_eq!([cell(&json!(null)), cell(&json!("a\u{1b}\u{9b}\u{202e}b")), cell(&json!(3))], ["-", "a   b", "3"]);
        assert_eq!([list(&json!(["a", "b"])), list(&json!("a")), list(&json!(null))], ["a,b", "a", "-"]);
        assert_eq!(counts(&json!({"denied": 3, "shed": 0, "drained": 1})), "denied 3, drained 1");
        assert_eq!(counts(&json!(null)), "");
    }
}
