use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

use super::*;

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The example with everything switched on: settings behind `#` without a space.
fn full_example() -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => setting.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(on).collect::<Vec<_>>().join("\n")
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder of cases, each with what is expected to be said of it. `UPDATE_EXPECTED=1` writes that anew.
fn cases(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(repository(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    // What is built without tracing says so instead.
    files.retain(|path| cfg!(feature = "otlp") || path.file_stem().is_some_and(|name| name != "tracing"));
    files.sort();
    files
        .into_iter()
        .map(|file| (file.clone(), std::fs::read_to_string(file.with_extension("stderr")).unwrap_or_default()))
        .collect()
}

fn file_name(path: &Path) -> &Path {
    Path::new(path.file_name().unwrap())
}

fn expect(path: &Path, said: &str, expected: &str) {
    let said = if said.is_empty() { String::new() } else { format!("{said}\n") };
    if std::env::var_os("UPDATE_EXPECTED").is_some() && said != expected {
        std::fs::write(path.with_extension("stderr"), said).unwrap();
    } else {
        assert!(said == expected, "{} says:\n{said}\nand not:\n{expected}", path.display());
    }
}

#[test]
fn invalid_files_are_answered_word_for_word() {
    let cases = cases("tests/config/invalid");
    assert!(cases.len() >= 25, "only {} cases", cases.len());
    for (path, expected) in cases {
        match check(file_name(&path), &std::fs::read(&path).unwrap()) {
            Ok(_) => panic!("{} is valid", path.display()),
            Err(error) => expect(&path, &error.to_string(), &expected),
        }
        assert!(path.with_extension("stderr").exists(), "{} has no expectation", path.display());
    }
}

#[test]
fn valid_files_are_accepted_and_warned_of_word_for_word() {
    let cases = cases("tests/config/valid");
    assert!(cases.len() >= 5, "only {} cases", cases.len());
    for (path, expected) in cases {
        match check(file_name(&path), &std::fs::read(&path).unwrap()) {
            Ok(loaded) => expect(&path, &loaded.warnings, &expected),
            Err(error) => panic!("{} is invalid:\n{error}", path.display()),
        }
    }
}

#[test]
fn the_example_shows_every_key_and_no_other() {
    assert!(examine(EXAMPLE).1.into_parts().0.is_empty());
    let full = full_example();
    let (_config, report) = examine(&full);
    let (problems, asked) = report.into_parts();
    assert!(problems.is_empty(), "{}", problems.render("config.example.toml", &full));
    let mut shown = BTreeSet::new();
    collect("", &DeTable::parse(&full).unwrap().into_inner(), &mut shown);
    assert!(asked.len() > 60, "{asked:?}");
    assert_eq!(shown, asked);
}

/// The patterns of all keys of a table.
fn collect(pattern: &str, table: &DeTable<'_>, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let name = if ["listeners", "pools"].contains(&pattern) { "*" } else { name.get_ref().as_ref() };
        let path = if pattern.is_empty() { name.into() } else { format!("{pattern}.{name}") };
        match value.get_ref() {
            DeValue::Table(table) => collect(&path, table, keys),
            DeValue::Array(list) => {
                let tables = list.iter().filter_map(|entry| entry.get_ref().as_table());
                tables.for_each(|table| collect(&format!("{path}[]"), table, keys));
            }
            _ => {}
        }
        if name != "*" {
            keys.insert(path);
        }
    }
}

#[test]
fn the_example_shows_the_defaults() {
    let least =
        "[listeners.game]\nbind = \"0.0.0.0:25565\"\npool = \"game\"\n[pools.game]\nbackends = [\"127.0.0.1:25571\"]\n";
    let defaults = parse(least).unwrap().config;
    let words: Vec<_> =
        diff::diff(&defaults, &parse(EXAMPLE).unwrap().config).iter().map(ToString::to_string).collect();
    // What a default cannot be, or depends on the machine.
    let expected = [
        "listeners.game.max_connections_per_ip: off -> 64",
        "listener lobby added",
        "backend 127.0.0.1:25572 added to pool game",
        "backend 127.0.0.1:25573 added to pool game",
        "pools.game.max_lifetime: off -> 4h",
        "pool lobby added",
    ];
    assert_eq!(
        words.iter().filter(|word| !word.starts_with("server.workers")).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
}

#[test]
fn the_manual_has_every_key_in_its_section() {
    let manual = std::fs::read_to_string(repository("docs/config.md")).unwrap();
    let keys = examine(&full_example()).1.into_parts().1;
    let mut found = 0;
    for key in &keys {
        let Some((section, key)) = key.rsplit_once('.') else {
            continue;
        };
        let heading = match section {
            "pools.*.backends[]" => "## Entries of `backends`".into(),
            section if section.ends_with("[]") => {
                format!("## `[[{}]]`", section[..section.len() - 2].replace('*', "NAME"))
            }
            _ => format!("## `[{}]`", section.replace('*', "NAME")),
        };
        let chapter = manual.split("\n#").find(|chapter| chapter.starts_with(&format!("{}\n", &heading[1..])));
        let chapter = chapter.unwrap_or_else(|| panic!("docs/config.md has no heading {heading:?}"));
        // A section of its own stands under its own heading.
        let below = [format!("{section}.{key}."), format!("{section}.{key}[].")];
        let is_section =
            key != "backends" && keys.iter().any(|other| below.iter().any(|below| other.starts_with(below)));
        assert!(
            is_section || chapter.contains(&format!("`{key}`")),
            "docs/config.md: `{key}` is not under {heading:?}"
        );
        found += 1;
    }
    assert!(found > 25, "{keys:?}");
}

#[test]
fn every_row_of_the_manual_belongs_to_a_table() {
    let manual = std::fs::read_to_string(repository("docs/config.md")).unwrap();
    let mut lines = manual.lines().peekable();
    let mut before = "";
    while let Some(line) = lines.next() {
        let is_first = line.starts_with('|') && !before.starts_with('|');
        let has_rule = lines.peek().is_some_and(|next| next.starts_with("|---"));
        assert!(!is_first || has_rule, "no table above: {line}");
        before = line;
    }
}

#[test]
fn the_manual_shows_a_real_answer() {
    let manual = std::fs::read_to_string(repository("docs/config.md")).unwrap();
    let answer = include_str!("../../tests/config/invalid/a_bit_of_everything.stderr");
    assert!(manual.contains(&answer.replace("a_bit_of_everything.toml", "portti.toml")));
}

#[test]
fn deep_nesting_is_a_problem_and_no_crash() {
    for text in [
        "a = ".to_owned() + &"[".repeat(100_000),
        "a = ".to_owned() + &"{a=".repeat(100_000),
        "[a".to_owned() + &".a".repeat(100_000) + "]",
    ] {
        let rendered = parse(&text).unwrap_err().render("deep.toml", &text);
        assert!(rendered.contains("recur"), "{rendered}");
    }
}

#[test]
fn a_file_of_rubbish_is_answered_in_good_time() {
    for rubbish in ["x\n", "@ ", "[[[", "a=1\n", "\"", "[a]\n", "\u{feff}", "{"] {
        let text = rubbish.repeat(200_000 / rubbish.len());
        let said = parse(&text).unwrap_err().render("rubbish.toml", &text);
        assert!(said.len() < 1 << 17, "{rubbish:?}: {} bytes", said.len());
    }
}

#[test]
fn a_large_file_is_refused_unread() {
    let text = "#".repeat(SIZE_MAX + 1);
    assert_eq!(parse(&text).unwrap_err().iter().next().unwrap().message, "the file is larger than 4 MiB");
    assert_ne!(parse(&text[1..]).unwrap_err().iter().next().unwrap().message, "the file is larger than 4 MiB");
}

#[test]
fn a_file_is_read_at_most_a_byte_too_far() {
    assert_eq!(read(Path::new("/dev/zero")).unwrap().len(), SIZE_MAX + 1);
}

#[test]
fn text_that_is_not_utf8_is_pointed_at() {
    let bytes = b"[server]\nworkers = \"\xff\"\n";
    let error = check(Path::new("p.toml"), bytes).unwrap_err();
    assert!(error.to_string().starts_with("error: the file is not UTF-8 text\n --> p.toml:2:12\n"), "{error}");
}

#[test]
fn an_unreadable_file_is_told_with_the_systems_reason() {
    let error = load(Path::new("/nowhere/portti.toml")).unwrap_err();
    assert_eq!(error.to_string(), "error: cannot read /nowhere/portti.toml: No such file or directory (os error 2)");
    assert!(matches!(error, LoadError::Unreadable { kind: io::ErrorKind::NotFound, .. }));
    assert!(matches!(load(Path::new("/")), Err(LoadError::Unreadable { kind: io::ErrorKind::IsADirectory, .. })));
}

/// The example, all of it, with one part replaced by something that may break it.
fn mutated() -> impl Strategy<Value = String> {
    let bits = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}=\"'.,#\n\t 0-9a-z\\\\-]{0,6}",
        "\\PC{0,4}",
        any::<char>().prop_map(|c| c.to_string()),
    ];
    let example = full_example();
    (0..example.len(), 0..40_usize, bits).prop_map(move |(at, length, bit)| {
        let start = example.floor_char_boundary(at);
        let end = example.floor_char_boundary(at + length);
        format!("{}{bit}{}", &example[..start], &example[end..])
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        if let Err(problems) = parse(&text) {
            prop_assert!(problems.errors() > 0);
            problems.render("any.toml", &text);
        }
    }

    #[test]
    fn no_edit_makes_it_panic(text in mutated()) {
        match parse(&text) {
            Ok(parsed) => { parsed.warnings.render("edited.toml", &text); }
            Err(problems) => { problems.render("edited.toml", &text); }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(check(Path::new("bytes.toml"), &bytes).is_err());
    }
}
