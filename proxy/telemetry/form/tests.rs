use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use super::*;

struct Written(Form, Arc<Mutex<String>>);

impl<S: Subscriber> Layer<S> for Written {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        // 2026-01-02T03:04:05.678901Z
        let at = UNIX_EPOCH + Duration::from_micros(1_767_323_045_678_901);
        self.1.lock().unwrap().push_str(&self.0.line(&Line::of(event, 0), at));
    }
}

/// What is written of what is said.
fn written(form: Form, says: impl FnOnce()) -> String {
    let text = Arc::default();
    let layer = Written(form, Arc::clone(&text));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), says);
    text.lock().unwrap().clone()
}

fn a_circuit_opens() {
    tracing::warn!(target: "portti::pool", pool = %"game", backend = "10.0.0.1:25565", failures = 5, "circuit opened: left alone");
}

const PLAIN: Form = Form::Text { on_terminal: true, colours: false };

#[test]
fn on_a_terminal_a_line_is_time_level_words_and_fields() {
    let line = written(PLAIN, a_circuit_opens);
    let expected = "03:04:05.678  WARN circuit opened: left alone pool=game backend=10.0.0.1:25565 failures=5\n";
    assert_eq!(line, expected);
}

#[test]
fn colours_are_around_the_time_the_level_and_the_names_of_fields() {
    let line = written(Form::Text { on_terminal: true, colours: true }, a_circuit_opens);
    let expected = "\x1b[2m03:04:05.678\x1b[0m \x1b[33m WARN\x1b[0m circuit opened: left alone \x1b[2mpool=\x1b[0mgame \
        \x1b[2mbackend=\x1b[0m10.0.0.1:25565 \x1b[2mfailures=\x1b[0m5\n";
    assert_eq!(line, expected);
}

#[test]
fn text_in_a_file_has_the_date() {
    let line = written(Form::Text { on_terminal: false, colours: false }, a_circuit_opens);
    assert!(line.starts_with("2026-01-02T03:04:05.678Z  WARN circuit opened"), "{line}");
}

#[test]
fn lines_without_words_and_those_of_libraries_say_whose_they_are() {
    let says = || {
        tracing::info!(target: "access", session = 7, reason = "client_closed");
        tracing::error!(target: "hickory_resolver::x", "lost");
        tracing::error!(target: "portting", "lost");
    };
    let expected = "03:04:05.678  INFO access: session=7 reason=client_closed\n\
        03:04:05.678 ERROR hickory_resolver::x: lost\n\
        03:04:05.678 ERROR portting: lost\n";
    assert_eq!(written(PLAIN, says), expected);
}

#[test]
fn nobody_writes_to_the_terminal_what_the_terminal_obeys() {
    let evil = "a\x1b[2Jb\r";
    let says = || tracing::info!(target: "portti", host = evil, why = "two words", empty = "", "{evil} said\n\tso");
    let expected =
        "03:04:05.678  INFO a\\u{1b}[2Jb\\r said\n\tso host=\"a\\u{1b}[2Jb\\r\" why=\"two words\" empty=\"\"\n";
    assert_eq!(written(PLAIN, says), expected);
}

#[test]
fn no_character_turns_the_direction_of_a_line_or_begins_a_sequence() {
    let unprintable: Vec<char> = ('\u{7f}'..='\u{9f}')
        .chain(['\u{61c}', '\u{200e}', '\u{200f}'])
        .chain('\u{2028}'..='\u{202e}')
        .chain('\u{2066}'..='\u{2069}')
        .collect();
    for &c in &unprintable {
        let path = format!("/a{c}b");
        for form in [PLAIN, Form::Json] {
            let line = written(form, || tracing::info!(target: "portti", path, "said {path}"));
            assert!(!line.trim_end().contains(|found| unprintable.contains(&found)), "{line:?}");
        }
        let line = written(PLAIN, || tracing::info!(target: "portti", path, "said {path}"));
        assert_eq!(line.matches(&format!("\\u{{{:x}}}", u32::from(c))).count(), 2, "{line:?}");
    }
}

#[test]
fn as_json_numbers_are_numbers_and_all_else_is_text() {
    let says = || {
        let (up, down, absent) = (18_446_744_073_709_551_615_u64, -7, None::<u64>);
        tracing::info!(target: "access", session = %"a-1", up, down, ms = 2.0, odd = f64::NAN, dry_run = true, absent);
    };
    let line = written(Form::Json, says);
    let expected =
        r#"{"timestamp":"2026-01-02T03:04:05.678901Z","level":"INFO","session":"a-1","up":18446744073709551615,"#
            .to_owned()
            + r#""down":-7,"ms":2.0,"odd":null,"dry_run":true,"target":"access"}"#;
    assert_eq!(line, expected + "\n");
}

#[test]
fn every_character_comes_out_of_json_as_it_went_in() {
    let text: String = (0..0x180).chain([0x2028, 0xffff, 0x1f3ae]).filter_map(char::from_u32).collect();
    let line = written(Form::Json, || tracing::info!(target: "portti", shown = %text, plain = &*text, "{text}"));
    assert_eq!(line.matches('\n').count(), 1);
    let read: Json = serde_json::from_str(&line).unwrap();
    assert_eq!([&read["message"], &read["shown"], &read["plain"]], [&json!(text); 3]);
}

#[test]
fn records_of_the_log_crate_say_where_they_come_from() {
    let says = || {
        tracing::warn!(target: "log", { log.target = "notify::inotify", log.line = 7 }, "lost");
    };
    let read: Json = serde_json::from_str(&written(Form::Json, says)).unwrap();
    assert_eq!((&read["target"], &read["message"]), (&json!("notify::inotify"), &json!("lost")));
    assert_eq!(read.get("log.line"), None);
    assert_eq!(written(PLAIN, says), "03:04:05.678  WARN notify::inotify: lost\n");
}
