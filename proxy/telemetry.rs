//! Logging: lines to standard error, written by a thread of their own.
//!
//! A worker never waits for a log line: it hands the line to a bounded queue, and where that is full (standard error is a
//! pipe that nobody reads) the line is left out and counted.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::panic;
use std::time::Duration;

use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::model::{Log, LogFormat, LogLevel};

/// Lines that wait to be written: some seconds of a busy access log, about 8 MiB.
const QUEUED_LINES: usize = 16 * 1024;

/// The log of the process. What is queued is written before this is dropped.
#[derive(Debug, Default)]
pub struct Telemetry {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    filter: reload::Handle<EnvFilter, Registry>,
    dropped: ErrorCounter,
    _writes_the_rest: WorkerGuard,
}

/// Starts the log. Called once, by the program; without it, lines go nowhere.
pub fn start(log: &Log) -> Telemetry {
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUED_LINES).finish(io::stderr());
    let dropped = writer.error_counter();
    let (filter, handle) = reload::Layer::new(filter(log.level));
    tracing_subscriber::registry().with(filter).with(lines(log.format, writer)).init();
    log_panics();
    Telemetry { running: Some(Running { filter: handle, dropped, _writes_the_rest: guard }) }
}

impl Telemetry {
    /// Changes the level. `RUST_LOG`, where it is set, stands above the file.
    pub fn set_level(&self, level: LogLevel) {
        if let Some(running) = &self.running {
            // It fails only when the subscriber is gone, and with it whoever could read the line.
            let _gone = running.filter.reload(filter(level));
        }
    }

    /// Lines left out since the start.
    pub fn dropped_lines(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.dropped.dropped_lines() as u64)
    }
}

fn lines<S>(format: LogFormat, writer: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let json = match format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    if json {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(writer)
            .boxed()
    } else {
        fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(writer).boxed()
    }
}

/// What passes: the level for everything, and access lines always, for whether there are any is not a matter of level.
fn filter(level: LogLevel) -> EnvFilter {
    let from_env = std::env::var("RUST_LOG").ok().filter(|directives| !directives.is_empty());
    // What a resolver thinks of stray packets is not what operators should know.
    let usual = || format!("{},hickory_resolver=error,hickory_net=error", level_name(level));
    let directives = from_env.unwrap_or_else(usual);
    let access = if directives.contains("access") { "" } else { ",access=info" };
    EnvFilter::new(format!("{directives}{access}"))
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

/// A duration as a log line tells it: to the millisecond.
pub fn shown(duration: Duration) -> impl Display {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(millis))
}

/// A panic ends one session; the log says where it was.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(tracing::field::display);
        let message = panic.payload_as_str().unwrap_or("(no message)");
        tracing::error!(location, message, "a task panicked; this is a bug in portti");
    }));
}
