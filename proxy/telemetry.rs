//! Logging: lines to standard error, written by a thread of their own, and the newest of them kept in memory.
//!
//! A worker never waits for a log line: it hands the line to a bounded queue, and where that is full or writing fails the line
//! is dropped and counted. What says again what has just been said is left out, and the next
//! line like it says how often.

use std::fmt::Display;
use std::io;
use std::panic;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

pub mod feed;
mod form;
pub mod level;
mod limited;
mod line;
mod lines;
mod repeats;
mod writer;

use self::feed::Feed;
use self::level::{Level, Levels};
use self::limited::Limited;
use self::lines::Lines;
use self::writer::{Account, Guard, Writer};
use crate::config::model::{Log, LogLevel};

/// The feed of the process, which has one subscriber of `tracing` at most.
static FEED: LazyLock<Limited<Arc<Feed>>> = LazyLock::new(|| Limited::new(Arc::new(Feed::new())));

/// The log of the process. What is queued is written before this is dropped. By default no line goes anywhere.
#[derive(Debug)]
pub struct Telemetry {
    levels: Mutex<Levels>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: Limited<Lines>,
    writer: Writer,
    losses: Mutex<Account>,
    _writes_the_rest: Guard,
}

/// Starts the log. Called once, by the program; without it, lines go nowhere.
///
/// # Errors
/// The operating system gave no thread.
pub fn start(log: &Log) -> io::Result<Telemetry> {
    let (subscriber, telemetry) = assemble(log, std::env::var("RUST_LOG").ok(), io::stderr())?;
    subscriber.init();
    log_panics();
    Ok(telemetry)
}

fn assemble(
    log: &Log,
    environment: Option<String>,
    out: impl io::Write + Send + 'static,
) -> io::Result<(impl Subscriber + Send + Sync, Telemetry)> {
    let (writer, guard) = writer::start(out)?;
    let levels = Levels::new(log.level, environment);
    let (filter, handle) = reload::Layer::new(levels.ruling().filter());
    let lines = Limited::new(Lines::new(log.format, writer.clone()));
    let subscriber = tracing_subscriber::registry().with(lines.clone().with_filter(filter)).with(feed());
    let running = Running { filter: handle, lines, writer, losses: Mutex::default(), _writes_the_rest: guard };
    Ok((subscriber, Telemetry { levels: Mutex::new(levels), running: Some(running) }))
}

/// Starts the feed alone, for a program that has the proxy as a part of it. Where that has a subscriber of `tracing` of its own,
/// that one stays, and the feed is empty. May be called again.
pub fn start_feed() -> Telemetry {
    let _theirs_stays = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(feed()));
    Telemetry::default()
}

/// What fills the feed.
fn feed<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    FEED.clone().with_filter(filter_fn(feed::takes).with_max_level_hint(LevelFilter::INFO))
}

impl Telemetry {
    /// Changes the level that the file says.
    pub fn set_level(&self, level: LogLevel) {
        self.change(|levels| levels.file = level);
    }

    /// Sets the level by hand, above what the file and `RUST_LOG` say; `None` takes that back.
    pub fn set_level_by_hand(&self, level: Option<LogLevel>) {
        self.change(|levels| levels.by_hand = level);
    }

    /// Which lines are written, and who rules that.
    pub fn level(&self) -> Level {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).ruling()
    }

    /// The newest lines.
    pub fn feed(&self) -> Arc<Feed> {
        Arc::clone(FEED.sink())
    }

    /// Lines that were lost since the start, because they were not taken fast enough or could not be written.
    pub fn dropped_lines(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.writer.losses().count())
    }

    /// Lines that were left out since the start, because they said again what had just been said.
    pub fn left_out_lines(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.lines.left_out())
    }

    /// Tells of lines that were left out and that nothing like them has followed, and of lines that were lost, once lines are written
    /// again. To be called every second or so.
    pub fn tell_left_out(&self) {
        if let Some(running) = &self.running {
            running.lines.tell_overdue();
            running.tell_lost();
        }
        FEED.tell_overdue();
    }

    fn change(&self, change: impl FnOnce(&mut Levels)) {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let before = levels.ruling();
        change(&mut levels);
        let now = levels.ruling();
        if let Some(running) = self.running.as_ref().filter(|_| now != before) {
            // It fails only when the subscriber is gone, and with it whoever could read the line.
            let _gone = running.filter.reload(now.filter());
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { levels: Mutex::new(Levels::new(LogLevel::Info, None)), running: None }
    }
}

impl Running {
    fn tell_lost(&self) {
        let losses = self.writer.losses();
        let due = self.losses.lock().unwrap_or_else(PoisonError::into_inner).due(losses.count(), losses.are_over());
        if let Some(dropped) = due {
            tracing::warn!(dropped, "lines of the log were lost: standard error did not take them");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lines.tell_rest();
    }
}

/// A duration as a log line tells it: to the millisecond.
pub fn shown(duration: Duration) -> impl Display {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(millis))
}

/// Milliseconds, to the microsecond, as fields of lines and spans have them.
pub fn millis(duration: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "exact for 285 years")]
    let micros = ((duration.as_nanos() + 500) / 1000) as f64;
    micros / 1e3
}

/// A panic ends one session; the log says where it was.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(tracing::field::display);
        let error = panic.payload_as_str().unwrap_or("(no message)");
        tracing::error!(location, error, "a task panicked; this is a bug in portti");
    }));
}

#[cfg(test)]
mod tests;
