use super::*;

/// What is said of a text when its root is read by `read`.
fn messages(text: &str, read: impl FnOnce(&mut Section<'_>)) -> Vec<String> {
    let (table, damage) = syntax::parse(text);
    let report = Report::new(damage);
    Section::root(table.get_ref(), &report).read(read);
    report.into_parts().0.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

/// A value of each type, and what it is called.
const TYPES: [(&str, &str); 7] = [
    ("\"a\"", "a text"),
    ("3", "a number"),
    ("3.5", "a decimal number"),
    ("false", "false"),
    ("1979-05-27", "a date or time"),
    ("[1]", "a list"),
    ("{}", "a section"),
];

#[test]
fn every_wrong_type_is_named() {
    for (text, kind) in TYPES {
        let text = format!("k = {text}");
        let unless = |own: &str, wanted: &str| {
            if kind == own { Vec::new() } else { vec![format!("k: expected {wanted}, found {kind}")] }
        };
        let read = |reader: fn(&Value<'_>) -> bool| {
            messages(&text, |root| {
                let _setting = root.setting("k", false, |value| Some(reader(value)));
            })
        };
        assert_eq!(read(|value| value.flag().is_some()), unless("false", "true or false"));
        assert_eq!(read(|value| value.whole(0..=9).is_some()), unless("a number", "a whole number"));
        assert_eq!(read(|value| value.list("[]").is_some()), unless("a list", "a list"));
        assert_eq!(read(|value| value.table("{}").is_some()), unless("a section", "a section"));
        assert_eq!(read(|value| value.word(&[("a", ())], &[]).is_some()), unless("a text", "a text in quotes"));
        if kind != "a text" {
            assert_eq!(read(|value| value.duration().is_some()), unless("", "a duration"));
        }
    }
}

#[test]
fn whole_numbers_are_bounded_in_any_notation() {
    let cases = [
        ("1", Some(1)),
        ("0x10", Some(16)),
        ("1_0", Some(10)),
        ("-1", None),
        ("0", None),
        ("21", None),
        ("99999999999999999999999999999999999999999999999999", None),
    ];
    for (text, number) in cases {
        let mut found = None;
        let said = messages(&format!("k = {text}"), |root| {
            found = root.setting("k", None, |value| value.whole(1..=20).map(Some)).value;
        });
        assert_eq!(found, number, "{text}");
        assert_eq!(said.is_empty(), number.is_some(), "{text}: {said:?}");
    }
}

#[test]
fn a_setting_tells_absent_from_wrong() {
    let _said = messages("wrong = 3", |root| {
        let absent = root.setting("absent", true, Value::flag);
        assert!(absent.value && absent.origin == Origin::Default);
        assert_eq!(absent.place.path, "absent");
        let wrong = root.setting("wrong", true, Value::flag);
        assert!(wrong.value && wrong.is_refused());
    });
}

#[test]
fn unknown_keys_are_reported_wherever_they_are() {
    let said = messages("x.y = 1\n[a]\nb = 1\nzzzzzz = 2\n[a.\"odd key\"]\n", |root| {
        root.section("a", |section| section.setting("b", 0, |value| value.whole(0..=9)));
    });
    let expected =
        [r#"x: unknown key "x""#, r#"a.zzzzzz: unknown key "zzzzzz""#, r#"a."odd key": unknown key "odd key""#];
    assert_eq!(said, expected);
}

#[test]
fn a_missing_key_is_not_reported_beside_its_misspelling() {
    let bind = |root: &mut Section<'_>| drop(root.required("bind", "1"));
    assert_eq!(messages("", bind), [r#": the key "bind" is missing"#]);
    assert_eq!(messages("bnid = 1", bind), [r#"bnid: unknown key "bnid", did you mean "bind"?"#]);
}

#[test]
fn lines_that_cannot_be_read_are_reported_once_and_not_judged() {
    let said = messages("a = 3 3 3\nb = [1, 2,, 3]\nc = 4\nd = \n", |root| {
        for key in ["a", "b", "c", "d"] {
            let _setting = root.setting(key, true, Value::flag);
        }
        drop(root.required("e", "1"));
    });
    let paths: Vec<_> = said.iter().map(|message| message.split(':').next().unwrap()).collect();
    assert_eq!(paths, ["", "", "c", ""], "{said:#?}");
}

#[test]
fn the_nearest_word_is_near() {
    let words = ["balance", "backends", "retries", "breaker"];
    let nearest = |word: &str| known::nearest(word, words.into_iter());
    assert_eq!(nearest("blance"), Some("balance"));
    assert_eq!(nearest("BACKEND"), Some("backends"));
    assert_eq!(nearest("retry"), None);
    assert_eq!(nearest(&"balance".repeat(100_000)), None);
}
