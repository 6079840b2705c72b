//! Leaves out lines that say again what has just been said; what passes goes to a sink. `access` lines always pass: there is
//! one for each session.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::{ACCESS, Line, Note};
use super::repeats::{Repeats, Verdict};

/// Takes lines.
pub(super) trait Sink {
    fn take(&self, line: &Line<'_>);
}

/// Takes the events of the process, and passes on what is no repetition.
#[derive(Debug)]
pub(super) struct Limited<S>(Arc<Shared<S>>);

#[derive(Debug)]
struct Shared<S> {
    sink: S,
    /// Locked for a look-up by whoever has something to say, and never while a line is written.
    repeats: Mutex<Repeats<Note>>,
    left_out: AtomicU64,
}

impl<S: Sink> Limited<S> {
    pub(super) fn new(sink: S) -> Self {
        Self(Arc::new(Shared { sink, repeats: Mutex::default(), left_out: AtomicU64::new(0) }))
    }

    pub(super) fn sink(&self) -> &S {
        &self.0.sink
    }

    /// Lines that were left out so far.
    pub(super) fn left_out(&self) -> u64 {
        self.0.left_out.load(Relaxed)
    }

    /// Tells of what was left out and not followed by another line like it.
    pub(super) fn tell_overdue(&self) {
        let overdue = self.repeats().overdue(Instant::now());
        self.tell(overdue);
    }

    /// Tells of all that was left out.
    pub(super) fn tell_rest(&self) {
        let rest = self.repeats().rest(Instant::now());
        self.tell(rest);
    }

    fn tell(&self, notes: Vec<(Note, u64)>) {
        for (note, left_out) in notes {
            self.0.sink.take(&Line::of_note(&note, left_out));
        }
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats<Note>> {
        self.0.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Limited<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Sink + Debug + Send + Sync + 'static, S: Subscriber> Layer<S> for Limited<T> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let verdict = if event.metadata().target() == ACCESS {
            Verdict::Told { left_out: 0 }
        } else {
            // Before the lock is taken: others need not wait while words are found.
            let note = Note::of(event);
            self.repeats().decide(note.key(), Instant::now(), || note)
        };
        match verdict {
            Verdict::Told { left_out } => self.0.sink.take(&Line::of(event, left_out)),
            Verdict::LeftOut => {
                self.0.left_out.fetch_add(1, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{advance, pause};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Lines as `name=value`, one space between two.
    #[derive(Debug, Default)]
    struct Taken(Mutex<Vec<String>>);

    impl Sink for Taken {
        fn take(&self, line: &Line<'_>) {
            let mut fields = Vec::new();
            line.each(|name, value| fields.push(format!("{name}={value}")));
            self.0.lock().unwrap().push(fields.join(" "));
        }
    }

    /// What a sink takes of what is said.
    async fn taken(says: impl AsyncFnOnce(&Limited<Taken>)) -> Vec<String> {
        pause();
        let limited = Limited::new(Taken::default());
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(limited.clone()));
        says(&limited).await;
        limited.sink().0.lock().unwrap().clone()
    }

    fn opened(backend: &str, failures: u32) {
        tracing::warn!(pool = "game", backend, failures, "circuit opened");
    }

    #[tokio::test]
    async fn what_one_backend_says_again_is_left_out_and_what_another_says_is_not() {
        let lines = taken(async |limited| {
            (0..3).for_each(|failures| opened("a", failures));
            opened("b", 7);
            tracing::info!(pool = "game", backend = "a", "circuit closed");
            advance(Duration::from_secs(1)).await;
            opened("a", 3);
            assert_eq!(limited.left_out(), 2);
        });
        let expected = [
            "message=circuit opened pool=game backend=a failures=0",
            "message=circuit opened pool=game backend=b failures=7",
            "message=circuit closed pool=game backend=a",
            "message=circuit opened pool=game backend=a failures=3 left_out=2",
        ];
        assert_eq!(lines.await, expected);
    }

    #[tokio::test]
    async fn what_nothing_follows_is_told_by_itself_without_what_was_of_one_line_only() {
        let lines = taken(async |limited| {
            (0..3).for_each(|failures| opened("a", failures));
            advance(Duration::from_secs(2)).await;
            limited.tell_overdue();
            limited.tell_overdue();
            opened("a", 3);
            limited.tell_rest();
        });
        let expected = [
            "message=circuit opened pool=game backend=a failures=0",
            "message=circuit opened pool=game backend=a left_out=2",
            "message=circuit opened pool=game backend=a left_out=1",
        ];
        assert_eq!(lines.await, expected);
    }

    /// Looks, while it is written, whether others may say something.
    struct Looks<'a>(&'a Limited<Taken>);

    impl std::fmt::Display for Looks<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(if self.0.0.repeats.try_lock().is_ok() { "nobody waits" } else { "others wait" })
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_words_to_be_found() {
        let lines = taken(async |limited| {
            for _ in 0..2 {
                tracing::info!(name = %Looks(limited), "ready");
            }
            limited.tell_rest();
        });
        assert_eq!(lines.await, ["message=ready name=nobody waits", "message=ready name=nobody waits left_out=1"]);
    }

    #[tokio::test]
    async fn lines_whose_words_differ_and_access_lines_all_pass() {
        let lines = taken(async |_limited| {
            for number in 0..3 {
                tracing::info!("config: change {number}");
                tracing::info!(target: ACCESS, listener = "game", number);
            }
        });
        assert_eq!(lines.await.len(), 6);
    }
}
