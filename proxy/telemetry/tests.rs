//! The log as a whole, on the thread of a test.

use serde_json::Value;
use tracing::subscriber::with_default;

use super::*;
use crate::config::model::LogFormat;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that are written of what is said, of a log that begins with the level info.
fn written(environment: Option<&str>, says: impl FnOnce(&Telemetry)) -> Vec<Value> {
    let out = Written::default();
    let log = Log { level: LogLevel::Info, format: LogFormat::Json, access: true };
    let (subscriber, telemetry) = assemble(&log, environment.map(str::to_owned), out.clone()).unwrap();
    with_default(subscriber, || says(&telemetry));
    // What is queued is written before it goes.
    drop(telemetry);
    let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["message"].as_str()).collect()
}

/// Says something of each kind.
fn say(when: &str) {
    tracing::debug!("{when}: debug");
    tracing::info!("{when}: info");
    tracing::error!("{when}: error");
}

#[test]
fn the_level_changes_while_the_process_runs_and_the_hand_stands_above_the_file() {
    let lines = written(None, |telemetry| {
        say("first");
        telemetry.set_level(LogLevel::Error);
        say("file: error");
        telemetry.set_level_by_hand(Some(LogLevel::Debug));
        say("by hand: debug");
        telemetry.set_level(LogLevel::Info);
        say("still by hand");
        assert_eq!(telemetry.level(), Level::ByHand(LogLevel::Debug));
        telemetry.set_level_by_hand(None);
        say("file: info");
        assert_eq!(telemetry.level(), Level::File(LogLevel::Info));
    });
    let expected = [
        "first: info",
        "first: error",
        "file: error: error",
        "by hand: debug: debug",
        "by hand: debug: info",
        "by hand: debug: error",
        "still by hand: debug",
        "still by hand: info",
        "still by hand: error",
        "file: info: info",
        "file: info: error",
    ];
    assert_eq!(messages(&lines), expected);
}

#[test]
fn the_environment_stands_above_the_file_and_below_the_hand() {
    let lines = written(Some("error"), |telemetry| {
        telemetry.set_level(LogLevel::Debug);
        say("environment");
        telemetry.set_level_by_hand(Some(LogLevel::Info));
        say("by hand");
    });
    assert_eq!(messages(&lines), ["environment: error", "by hand: info", "by hand: error"]);
}

#[test]
fn access_lines_are_written_whatever_the_level() {
    let lines = written(Some("off"), |_| tracing::info!(target: "access", session = 1));
    assert_eq!((lines.len(), &lines[0]["target"]), (1, &Value::from("access")));
}

#[test]
fn what_was_left_out_at_last_is_told_at_the_end() {
    let lines = written(None, |telemetry| {
        (0..5).for_each(|_| tracing::info!(listener = "game", client = "a", worker = 7, dry_run = true, "again"));
        assert_eq!(telemetry.left_out_lines(), 4);
    });
    assert_eq!(messages(&lines), ["again", "again"]);
    let field = |name: &str| lines[1][name].clone();
    let kept = ["listener", "worker", "dry_run", "client", "left_out"].map(field);
    assert_eq!(kept, ["game".into(), 7.into(), true.into(), Value::Null, 4.into()]);
}

#[test]
fn the_feed_hears_of_what_the_level_leaves_out() {
    let lines = written(Some("error"), |telemetry| {
        let before = *telemetry.feed().newest().borrow();
        tracing::info!(pool = "of the feed's test", backend = "a", "up");
        // Other tests of this process speak to the same feed.
        let event = telemetry.feed().last_of("of the feed's test", "a").unwrap();
        assert!(event.id > before);
        assert!(telemetry.feed().since(before).contains(&event));
    });
    assert_eq!(messages(&lines), [""; 0]);
}
