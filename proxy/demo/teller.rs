//! Tells the story: plain lines on standard output.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::Duration;

use tokio::time::Instant;

/// Knows when the story began. Goes on in silence when nobody reads any more.
#[derive(Debug)]
pub(super) struct Teller {
    began_at: Instant,
}

impl Teller {
    pub(super) fn new() -> Self {
        Self { began_at: Instant::now() }
    }

    /// One thing that has happened, and to whom.
    pub(super) fn event(&self, who: &str, what: impl Display) {
        self.say(&event(self.began_at.elapsed(), who, &what.to_string()));
    }

    /// The heading of a chapter.
    pub(super) fn chapter(&self, heading: impl Display) {
        self.say(&format!("\n{heading}\n"));
    }

    /// Any text. A line's end is added.
    pub(super) fn say(&self, text: &str) {
        // A pipe whose reader has gone must not end the demo.
        let _gone = writeln!(io::stdout(), "{text}");
    }
}

/// `  2.1s  player 3   what happened`, with further lines of it below its first.
fn event(at: Duration, who: &str, what: &str) -> String {
    let what = what.trim_end().replace('\n', "\n                   ");
    format!("{:>5.1}s  {who:<10} {what}", at.as_secs_f64())
}

/// A time as a person would say it: three digits at most.
pub(super) fn spell(time: Duration) -> String {
    let (seconds, milliseconds) = (time.as_secs_f64(), time.as_secs_f64() * 1000.0);
    if seconds >= 0.9995 {
        format!("{seconds:.1} s")
    } else if milliseconds >= 9.95 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{milliseconds:.1} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_stand_in_columns() {
        let at = Duration::from_millis(2_149);
        assert_eq!(event(at, "player 3", "is served"), "  2.1s  player 3   is served");
        assert_eq!(event(at * 100, "file", "is served"), "214.9s  file       is served");
        let report = event(at, "file", "is refused:\n  why\n");
        assert_eq!(report, "  2.1s  file       is refused:\n                     why");
    }

    #[test]
    fn times_have_few_digits() {
        let cases = [
            (0, "0.0 ms"),
            (412, "0.4 ms"),
            (9_949, "9.9 ms"),
            (9_951, "10 ms"),
            (999_400, "999 ms"),
            (999_600, "1.0 s"),
            (3_001_000, "3.0 s"),
        ];
        for (microseconds, expected) in cases {
            assert_eq!(spell(Duration::from_micros(microseconds)), expected);
        }
    }
}
