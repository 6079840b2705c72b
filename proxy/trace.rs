//! Tracing: spans of requests and sessions, from where they end to who exports them.
//!
//! Whoever ends one hands it to a bounded queue and goes on; where that is full, it is left out and counted. Nobody is woken by
//! it: the control thread looks at the queue from time to time (`control/spans.rs`). While tracing is off, all this is one branch.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, mpsc};

pub mod context;
pub mod otlp;
pub mod span;

pub use self::context::{Context, SpanId};
pub use self::span::Span;
use crate::config::model::Tracing;
use crate::config::scalar::{Endpoint, Share};

/// Takes spans. One for the process, in every snapshot.
#[derive(Debug)]
pub struct Tracer {
    /// In parts of [`Share::WHOLE`], which of the traces that begin here are kept; or [`OFF`].
    sample: AtomicU32,
    /// Where spans go.
    collector: ArcSwapOption<Endpoint>,
    changed: Notify,
    /// Made when somebody exports.
    queue: OnceLock<mpsc::Sender<Span>>,
    exported: AtomicU64,
    queue_full: AtomicU64,
    export_failed: AtomicU64,
}

/// Spans that wait to be exported: some hundred bytes each, and a tenth of a second at 80,000 a second.
const QUEUED_SPANS: usize = 8 * 1024;

/// No share of anything.
const OFF: u32 = u32::MAX;

impl Default for Tracer {
    /// Off.
    fn default() -> Self {
        Self {
            sample: AtomicU32::new(OFF),
            collector: ArcSwapOption::empty(),
            changed: Notify::new(),
            queue: OnceLock::new(),
            exported: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            export_failed: AtomicU64::new(0),
        }
    }
}

impl Tracer {
    /// Does from now on as the config says.
    pub fn follow(&self, config: &Tracing) {
        let Tracing { otlp, sample } = config;
        self.collector.store(otlp.clone().map(Arc::new));
        self.sample.store(otlp.as_ref().map_or(OFF, |_| sample.parts()), Relaxed);
        self.changed.notify_one();
    }

    /// Whether spans are wanted at all. What is not built in can be left out by the compiler.
    pub fn is_on(&self) -> bool {
        cfg!(feature = "otlp") && self.sample.load(Relaxed) != OFF
    }

    /// Whether a trace that begins here is to be kept. No, if tracing is off.
    pub fn samples(&self) -> bool {
        self.is_on() && fastrand::u32(..Share::WHOLE) < self.sample.load(Relaxed)
    }

    /// Takes a span, unless too many wait.
    pub fn send(&self, span: Span) {
        let is_taken = self.queue.get().is_some_and(|queue| queue.try_send(span).is_ok());
        if !is_taken {
            self.queue_full.fetch_add(1, Relaxed);
        }
    }

    /// Where spans come out; `None` for all but the first who asks.
    pub fn open(&self) -> Option<mpsc::Receiver<Span>> {
        let (sender, receiver) = mpsc::channel(QUEUED_SPANS);
        self.queue.set(sender).ok().map(|()| receiver)
    }

    /// Where they go from there; `None` while tracing is off.
    pub fn collector(&self) -> Option<Arc<Endpoint>> {
        self.collector.load_full()
    }

    /// Resolves when the config may have changed since the last time. For one task alone.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Counts what became of spans that came out.
    pub fn count(&self, exported: u64, failed: u64) {
        self.exported.fetch_add(exported, Relaxed);
        self.export_failed.fetch_add(failed, Relaxed);
    }

    /// Spans that the collector has taken.
    pub fn exported(&self) -> u64 {
        self.exported.load(Relaxed)
    }

    /// Spans that were left out, by the word for why.
    pub fn dropped(&self) -> [(&'static str, u64); 2] {
        [("queue_full", self.queue_full.load(Relaxed)), ("export_failed", self.export_failed.load(Relaxed))]
    }
}

#[cfg(test)]
#[cfg(feature = "otlp")]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tracing(otlp: Option<&str>, sample: &str) -> Tracing {
        Tracing { otlp: otlp.map(|url| url.parse().unwrap()), sample: sample.parse().unwrap() }
    }

    fn span() -> Span {
        Span::ended(Context::new(true), None, "session", Duration::ZERO)
    }

    #[test]
    fn the_share_is_kept_to_and_off_is_off() {
        let tracer = Tracer::default();
        let kept = || (0..10_000).filter(|_| tracer.samples()).count();
        assert_eq!((tracer.is_on(), kept()), (false, 0));
        tracer.follow(&tracing(Some("http://127.0.0.1:4318"), "100%"));
        assert_eq!((tracer.is_on(), kept()), (true, 10_000));
        tracer.follow(&tracing(Some("http://127.0.0.1:4318"), "10%"));
        assert!((700..1_300).contains(&kept()), "{}", kept());
        tracer.follow(&tracing(Some("http://127.0.0.1:4318"), "0%"));
        assert_eq!((tracer.is_on(), kept()), (true, 0));
        tracer.follow(&tracing(None, "100%"));
        assert_eq!((tracer.is_on(), kept()), (false, 0));
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let tracer = Tracer::default();
        tracer.send(span());
        assert_eq!(tracer.dropped()[0], ("queue_full", 1));
        let mut queue = tracer.open().unwrap();
        assert!(tracer.open().is_none());
        for _ in 0..QUEUED_SPANS + 5 {
            tracer.send(span());
        }
        assert_eq!(tracer.dropped()[0], ("queue_full", 6));
        assert!(queue.try_recv().is_ok());
        tracer.send(span());
        assert_eq!((tracer.dropped()[0].1, queue.len()), (6, QUEUED_SPANS));
    }
}
