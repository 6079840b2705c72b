//! Waits until the last session of a backend has gone.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tokio::signal::ctrl_c;
use tokio::time::{Instant, interval};

use super::ask::Client;
use super::backend::Backend;
use super::say;
use super::trouble::Trouble;
use super::units::{count, span};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a line is written where there is no terminal, if anything has changed.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Looks in a row that may stay without an answer: a proxy that is busy for a moment ends no wait of half an hour.
const LOST_AFTER: u32 = 10;
/// What a shell says of a command that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// A wait for the end of a backend's sessions.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    client: &'a Client,
    backend: &'a Backend,
    started_at: Instant,
    timeout: Option<Duration>,
}

/// Why a wait is over.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Nobody is left.
    Empty,
    /// The backend is no longer in its pool.
    Gone,
    /// It takes sessions again.
    Ready,
    /// It took too long.
    Timeout(u64),
    /// Whoever waited does not want to any more.
    Interrupted,
}

impl<'a> Wait<'a> {
    pub(super) fn new(client: &'a Client, backend: &'a Backend, timeout: Option<Duration>) -> Self {
        Self { client, backend, started_at: Instant::now(), timeout }
    }

    /// Waits, from how the backend stands now, and tells how it goes.
    pub(super) async fn run(&self, now: &Value) -> Result<ExitCode, Trouble> {
        let mut teller = Teller::new();
        let end = tokio::select! {
            end = self.end(now, &mut teller) => end?,
            _ = ctrl_c() => End::Interrupted,
        };
        teller.finish();
        let (code, words) = self.verdict(&end);
        say(io::stdout(), format_args!("{words}\n"));
        Ok(code)
    }

    async fn end(&self, now: &Value, teller: &mut Teller) -> Result<End, Trouble> {
        let mut course = Course::default();
        let (mut now, mut lost) = (now.clone(), 0);
        let mut ticks = interval(LOOK_EVERY);
        ticks.tick().await;
        loop {
            let left = now["sessions_active"].as_u64().unwrap_or_default();
            course.note(left);
            // First: who takes sessions again is empty only for the moment.
            if now["admin"] == "ready" && now["removed"] != true {
                return Ok(End::Ready);
            }
            if left == 0 {
                return Ok(End::Empty);
            }
            if self.timeout.is_some_and(|timeout| self.started_at.elapsed() >= timeout) {
                return Ok(End::Timeout(left));
            }
            teller.tell(&course, self.started_at.elapsed());
            ticks.tick().await;
            match self.backend.look(self.client).await {
                Ok(Some(found)) => (now, lost) = (found, 0),
                Ok(None) => return Ok(End::Gone),
                Err(Trouble::NoAnswer { .. }) if lost < LOST_AFTER => lost += 1,
                Err(trouble) => return Err(trouble),
            }
        }
    }

    fn verdict(&self, end: &End) -> (ExitCode, String) {
        let (backend, waited) = (self.backend, span(self.started_at.elapsed()));
        match end {
            End::Empty => (ExitCode::SUCCESS, format!("{backend} has no session left, after {waited}")),
            End::Gone => (
                ExitCode::FAILURE,
                format!("{backend} is no longer in the file; how many sessions it has left is unknown"),
            ),
            End::Ready => (ExitCode::FAILURE, format!("{backend} takes sessions again: somebody has set it ready")),
            End::Timeout(left) => {
                let left = count(*left, "session");
                (ExitCode::FAILURE, format!("{backend} has {left} left after {waited}; it goes on taking nobody new"))
            }
            End::Interrupted => {
                let words = format!("{backend} goes on taking nobody new; `portti ready` ends that");
                (ExitCode::from(INTERRUPTED), words)
            }
        }
    }
}

/// How many there were, and how many are left.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Course {
    most: u64,
    left: u64,
}

impl Course {
    fn note(&mut self, left: u64) {
        self.left = left;
        self.most = self.most.max(left);
    }

    fn gone(self) -> u64 {
        self.most - self.left
    }

    /// How long the others take if they go as fast as those who have gone.
    fn estimate(self, elapsed: Duration) -> Option<Duration> {
        if self.gone() == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
        let share = self.left as f64 / self.gone() as f64;
        Duration::try_from_secs_f64(elapsed.as_secs_f64() * share).ok()
    }

    fn words(self, elapsed: Duration) -> String {
        let left = format!("{} of {} left", self.left, count(self.most, "session"));
        match self.estimate(elapsed) {
            Some(estimate) => format!("{left}, about {}", span(estimate.max(Duration::from_secs(1)))),
            None => left,
        }
    }
}

/// Tells how it goes: a bar on a terminal, else lines.
enum Teller {
    Bar(ProgressBar),
    Lines { told: Course, told_at: Option<Instant> },
}

impl Teller {
    fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { told: Course::default(), told_at: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    fn tell(&mut self, course: &Course, elapsed: Duration) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(course.most);
                bar.set_position(course.gone());
                bar.set_message(course.words(elapsed));
            }
            Self::Lines { told, told_at } => {
                if *told != *course && told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                    (*told, *told_at) = (*course, Some(Instant::now()));
                    say(io::stdout(), format_args!("{}\n", course.words(elapsed)));
                }
            }
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests;
