//! Hands spans to the collector of OpenTelemetry: in batches, and dropping what it does not take.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use self::collector::Collector;
use crate::config::scalar::Endpoint;
use crate::trace::{Span, Tracer, otlp};

mod collector;

/// Spans that are sent in one piece: some hundred KiB.
const BATCH: usize = 512;

/// How long the first of a batch waits for others.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks at the queue. Workers wake nobody, so that it costs them nothing more.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long the collector may take with a batch, connecting included.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// After a batch that was not taken. The queue takes what comes meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// How long what is left may take at the end.
const LAST: Duration = Duration::from_secs(1);

/// Between two lines of the log about the same trouble.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// Exporting, as a task of the control thread.
#[derive(Debug)]
pub struct Export {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Export {
    /// Begins to export what the tracer takes, whenever tracing is on. `None` where that is not built in.
    pub fn begin(tracer: &Arc<Tracer>) -> Option<Self> {
        let queue = cfg!(feature = "otlp").then(|| tracer.open())??;
        let (stop, stopped) = oneshot::channel();
        let exporter = Exporter::new(Arc::clone(tracer), queue);
        Some(Self { stop, task: spawn_local(exporter.run(stopped)) })
    }

    /// Exports what is left, as far as that takes no longer than a moment.
    pub async fn finish(mut self) {
        drop(self.stop);
        if timeout(LAST, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the last spans are lost: the collector has not taken them in time");
        }
    }
}

struct Exporter {
    tracer: Arc<Tracer>,
    queue: mpsc::Receiver<Span>,
    /// What goes next, and since when there is anything.
    batch: Vec<Span>,
    since: Instant,
    /// Where it goes.
    endpoint: Option<Arc<Endpoint>>,
    collector: Collector,
    /// Nothing is sent before.
    not_before: Instant,
    trouble: Trouble,
    instance: String,
}

/// What went wrong, between two lines of the log.
#[derive(Debug, Default)]
struct Trouble {
    told_at: Option<Instant>,
    lost: u64,
}

impl Exporter {
    fn new(tracer: Arc<Tracer>, queue: mpsc::Receiver<Span>) -> Self {
        let now = Instant::now();
        Self {
            tracer,
            queue,
            batch: Vec::new(),
            since: now,
            endpoint: None,
            collector: Collector::default(),
            not_before: now,
            trouble: Trouble::default(),
            instance: format!("{:032x}", fastrand::u128(..)),
        }
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                biased;
                _stopped = &mut stopped => break,
                () = self.next_look() => self.look().await,
            }
        }
        self.follow();
        while self.collect() {
            self.send().await;
        }
    }

    /// What was taken before tracing was switched off still goes where it was to go.
    fn follow(&mut self) {
        self.endpoint = self.tracer.collector().or_else(|| self.endpoint.take());
    }

    /// Resolves when there may be something to do.
    async fn next_look(&self) {
        if self.tracer.is_on() || !self.batch.is_empty() || !self.queue.is_empty() {
            sleep(LOOK_EVERY).await;
        } else {
            self.tracer.changed().await;
        }
    }

    async fn look(&mut self) {
        self.follow();
        while Instant::now() >= self.not_before && self.collect() {
            if self.batch.len() < BATCH && self.since.elapsed() < PATIENCE {
                return;
            }
            self.send().await;
        }
    }

    /// Fills the batch with what waits. Whether there is anything in it.
    fn collect(&mut self) -> bool {
        if self.batch.is_empty() {
            self.since = Instant::now();
        }
        while self.batch.len() < BATCH
            && let Ok(span) = self.queue.try_recv()
        {
            self.batch.push(span);
        }
        !self.batch.is_empty()
    }

    /// Sends the batch. It is gone then, in whatever way.
    async fn send(&mut self) {
        let count = self.batch.len() as u64;
        let result = match &self.endpoint {
            Some(endpoint) => {
                let body = || otlp::export(&self.batch, &self.instance);
                let post = timeout(POST_TIMEOUT, self.collector.post(endpoint, body)).await;
                post.unwrap_or_else(|_elapsed| Err(format!("no answer within {} s", POST_TIMEOUT.as_secs())))
            }
            None => Err("there is none".to_owned()),
        };
        self.batch.clear();
        match result {
            Ok(rejected) => self.note(count.saturating_sub(rejected), rejected.min(count), "it rejects some"),
            Err(why) => {
                // What is under way there is not to be mixed with what comes.
                self.collector.hang_up();
                self.not_before = Instant::now() + PAUSE;
                self.note(0, count, &why);
            }
        }
    }

    fn note(&mut self, exported: u64, lost: u64, why: &str) {
        self.tracer.count(exported, lost);
        self.trouble.lost += lost;
        let now = Instant::now();
        let is_due = self.trouble.told_at.is_none_or(|told_at| now.duration_since(told_at) >= WARN_EVERY);
        if lost > 0 && is_due {
            let collector = self.endpoint.as_ref().map(tracing::field::display);
            tracing::warn!(
                collector,
                lost = self.trouble.lost,
                error = why,
                "spans are lost: the collector does not take them"
            );
            self.trouble = Trouble { told_at: Some(now), lost: 0 };
        }
    }
}

#[cfg(test)]
#[cfg(feature = "otlp")]
mod tests;
