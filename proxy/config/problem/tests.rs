use super::*;

fn error(message: &str, span: Option<Range<usize>>) -> Problem {
    Problem { severity: Severity::Error, path: "a.b".into(), message: message.into(), hint: None, span }
}

fn rendered(problems: impl IntoIterator<Item = Problem>, text: &str) -> String {
    let mut all = Problems::default();
    problems.into_iter().for_each(|problem| all.add(problem));
    all.sort();
    all.render("portti.toml", text)
}

#[test]
fn a_problem_is_shown_with_its_place_its_line_and_a_hint() {
    let problem = error("wrong", Some(14..17)).hint("do this");
    let expected = "\
error: a.b: wrong
 --> portti.toml:2:5
  |
2 | b = xyz
  |     ^^^
  |
  = help: do this";
    assert_eq!(rendered([problem], "a = 12345\nb = xyz\nc = 3\n"), expected);
}

#[test]
fn line_ends_and_wide_characters_keep_the_place_right() {
    let text = "a = 1\r\nä = \"€\" # x\r\n";
    for (needle, place) in [("a", "1:1"), ("€", "2:6"), ("x", "2:11"), ("1", "1:5")] {
        let at = text.find(needle).unwrap();
        let shown = rendered([error("wrong", Some(at..at + needle.len()))], text);
        assert!(shown.contains(&format!("--> portti.toml:{place}\n")), "{needle}: {shown}");
    }
}

#[test]
fn spans_at_beyond_and_across_the_ends_are_shown() {
    let text = "ab\ncd";
    for (span, place) in [
        (2..2, "1:3"),
        (5..5, "2:3"),
        (0..5, "1:1"),
        (9..12, "2:3"),
        (Range { start: 4, end: 1 }, "2:2"),
        (2..3, "1:3"),
    ] {
        let shown = rendered([error("wrong", Some(span.clone()))], text);
        assert!(shown.contains(&format!(":{place}\n")), "{span:?}: {shown}");
    }
    assert!(rendered([error("wrong", Some(0..0))], "").contains(":1:1"));
    assert!(rendered([error("wrong", Some(2..3))], "aää").contains(":1:2"), "inside of a character");
}

#[test]
fn the_order_is_that_of_the_file() {
    let shown = rendered([error("whole", None), error("late", Some(6..7)), error("early", Some(0..1))], "a = 1\nb = 2");
    let positions = ["early", "late", "whole"].map(|word| shown.find(word).unwrap());
    assert!(positions.is_sorted(), "{shown}");
}

#[test]
fn at_most_a_hundred_are_shown_and_the_rest_is_counted() {
    let problems = || (0..2000).map(|_| error("wrong", Some(0..1)));
    let shown = rendered(problems(), "a");
    assert_eq!(shown.matches("error:").count(), SHOWN_MAX);
    assert!(shown.ends_with("\n\nand 1900 more"), "{}", &shown[shown.len() - 40..]);

    let mut all = Problems::default();
    problems().for_each(|problem| all.add(problem));
    assert_eq!(all.errors(), 2000);
    assert_eq!(all.iter().count(), KEPT_MAX);
}

#[test]
fn a_long_line_is_cut_and_a_very_long_one_left_out() {
    for (repeats, shown) in [(300, true), (100_000, false)] {
        let text = format!("k = [{}oops, {}]", "1, ".repeat(repeats), "2, ".repeat(repeats));
        let at = text.find("oops").unwrap();
        let output = rendered([error("wrong", Some(at..at + 4))], &text);
        assert!(output.contains(&format!("portti.toml:1:{}", at + 1)), "{output}");
        assert_eq!(output.contains("oops"), shown);
        assert!(output.lines().all(|line| line.chars().count() <= TERM_WIDTH + 10), "{output}");
    }
}

#[test]
fn nothing_that_a_terminal_obeys_gets_through() {
    let text = "a = \"\u{1b}[31m\u{9b}2J\u{7}\u{202e}\u{7f}\"\tb\n";
    let problem = error(&format!("unknown {}", quoted("\u{1b}]0;\u{9b}\u{202e}x\n")), Some(0..text.len()));
    let shown = rendered([problem], text);
    let obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!shown.chars().any(obeyed), "{shown:?}");
    assert!(shown.contains(r"\u{1b}]0;"), "{shown}");
}

#[test]
fn quoted_text_is_short() {
    assert_eq!(quoted("a\"b"), r#""a\"b""#);
    assert_eq!(quoted(&"x".repeat(1000)).len(), QUOTED_MAX + 5);
}
