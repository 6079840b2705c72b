//! Reads and checks the config file, and the files that it names, on a thread beside the control thread: a large file takes a
//! second, and a slow disk as long as it likes.
//!
//! One reading runs at a time. Requests that come meanwhile share the next one, which begins when the one before it has been
//! applied: whoever asks for a reload gets what the file held after the request.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use crate::config::files::Stamps;
use crate::config::{self, LoadError, Loaded, diff, model, model::Config};

/// A reading that takes longer is logged.
const SLOW: Duration = Duration::from_secs(10);

/// Who is told what became of a reload: the problems, as text, when the file was refused.
pub(super) type Answer = oneshot::Sender<Result<(), String>>;

/// What a reading starts from.
#[derive(Debug)]
pub(super) struct Job {
    /// The config file.
    pub(super) path: PathBuf,
    /// The config that runs.
    pub(super) running: Arc<Config>,
    /// What the config file held when it was last read.
    pub(super) content: Arc<Vec<u8>>,
    /// What the files held that are named there.
    pub(super) files: Stamps,
}

/// What a reading has found.
#[derive(Debug)]
pub(super) enum Found {
    /// No file has changed since it was last read.
    Unchanged,
    /// The files, as they are now.
    Files(Box<Files>),
}

/// What the files hold, and whether that can be applied.
#[derive(Debug)]
pub(super) struct Files {
    /// What the config file holds; `None` where it could not be read.
    pub(super) content: Option<Arc<Vec<u8>>>,
    /// What the files hold that it names; `None` where it does not say which.
    pub(super) stamps: Option<Stamps>,
    /// What is to be applied, or why it cannot be, as a person should read it.
    pub(super) outcome: Result<Edit, String>,
}

/// An edit that can be applied.
#[derive(Debug)]
pub(super) struct Edit {
    /// The new config, with what cannot change without a restart as it was.
    pub(super) config: Config,
    /// What it changes.
    pub(super) changes: Vec<diff::Change>,
    /// What is legal but surprising in it.
    pub(super) warnings: String,
}

/// The requests of one reading.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Whether the files are applied even if none has changed.
    pub(super) is_forced: bool,
    /// Whoever waits: no more than the connections of the admin server and the program itself.
    pub(super) answers: Vec<Answer>,
}

/// The reading that runs, and the requests for the next one.
#[derive(Debug, Default)]
pub(super) struct Readings {
    current: Option<Current>,
    next: Option<Requests>,
}

#[derive(Debug)]
struct Current {
    task: JoinHandle<Found>,
    requests: Requests,
    /// When it is logged that the reading takes long; `None` once that has been done.
    slow_at: Option<Instant>,
}

impl Readings {
    /// Asks for a reading.
    pub(super) fn request(&mut self, is_forced: bool, answer: Option<Answer>) {
        let next = self.next.get_or_insert_default();
        next.is_forced |= is_forced;
        next.answers.extend(answer);
    }

    /// Whether [`Self::begin`] would begin one. If so, whether it is forced.
    pub(super) fn is_due(&self) -> Option<bool> {
        let next = self.next.as_ref().filter(|_| self.current.is_none())?;
        Some(next.is_forced)
    }

    /// Begins the next reading, if one is due.
    pub(super) fn begin(&mut self, job: Job) {
        if self.current.is_some() {
            return;
        }
        let Some(requests) = self.next.take() else { return };
        let is_forced = requests.is_forced;
        let task = spawn_blocking(move || job.run(is_forced));
        self.current = Some(Current { task, requests, slow_at: Some(Instant::now() + SLOW) });
    }

    /// Resolves when a reading is over. Cancel safe.
    pub(super) async fn over(&mut self) -> (Found, Requests) {
        let Some(current) = &mut self.current else { return pending().await };
        let found = current.over().await;
        let requests = self.current.take().map(|current| current.requests).unwrap_or_default();
        (found, requests)
    }
}

impl Current {
    async fn over(&mut self) -> Found {
        loop {
            let slow = async {
                match self.slow_at {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                found = &mut self.task => return found.unwrap_or_else(|_panic| Found::panicked()),
                () = slow => {
                    tracing::warn!("the config file, or a file that it names, takes long to read");
                    self.slow_at = None;
                }
            }
        }
    }
}

impl Found {
    fn panicked() -> Self {
        let outcome = Err("reading the file panicked, the log says where; this is a bug in portti".to_owned());
        Self::Files(Box::new(Files { content: None, stamps: None, outcome }))
    }
}

impl Job {
    fn run(self, is_forced: bool) -> Found {
        let content = match config::read(&self.path) {
            Ok(content) if !is_forced && content == *self.content && !self.files.are_stale() => {
                return Found::Unchanged;
            }
            Ok(content) => content,
            Err(error) => {
                return Found::Files(Box::new(Files { content: None, stamps: None, outcome: Err(error.to_string()) }));
            }
        };
        let (stamps, outcome) = match config::check_alone(&self.path, &content) {
            Ok(loaded) => {
                // Before they are read: a later edit is then noticed, whatever becomes of this one.
                let stamps = Stamps::take(&loaded.config, config::folder_of(&self.path));
                (Some(stamps), self.edit(loaded))
            }
            Err(error) => (None, Err(error)),
        };
        let outcome = outcome.map_err(|error| error.to_string());
        Found::Files(Box::new(Files { content: Some(Arc::new(content)), stamps, outcome }))
    }

    fn edit(&self, Loaded { mut config, warnings }: Loaded) -> Result<Edit, LoadError> {
        config::fill(&mut config, &self.path, Some(&self.running))?;
        let changes = diff::diff(&self.running, &config);
        Ok(Edit { config: keep_fixed(config, &self.running), changes, warnings })
    }
}

/// What cannot change while running stays as it is.
fn keep_fixed(new: Config, running: &Config) -> Config {
    Config {
        server: model::Server { workers: running.server.workers, ..new.server },
        admin: new.admin.staying(&running.admin),
        log: model::Log { format: running.log.format, ..new.log },
        ..new
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONFIG: &str = "[listeners.game]\nbind = \"127.0.0.1:1\"\npool = \"game\"\ndeny_file = \"deny\"\n\
                          [pools.game]\nbackends = [\"127.0.0.1:2\"]\n";

    /// A job on a folder with these two files, which have been read as they are.
    fn job(folder: &tempfile::TempDir, config: &str, deny: &str) -> Job {
        let path = folder.path().join("portti.toml");
        fs::write(folder.path().join("deny"), deny).unwrap();
        fs::write(&path, config).unwrap();
        let content = config::read(&path).unwrap();
        let running = config::check(&path, &content).unwrap().config;
        let files = Stamps::take(&running, folder.path());
        Job { path, running: Arc::new(running), content: Arc::new(content), files }
    }

    fn files(found: Found) -> Files {
        match found {
            Found::Files(files) => *files,
            Found::Unchanged => panic!("unchanged"),
        }
    }

    #[test]
    fn files_are_applied_when_one_of_them_has_changed_or_when_asked_to() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(job(&folder, CONFIG, "10.0.0.0/8").run(false), Found::Unchanged));
        let forced = files(job(&folder, CONFIG, "10.0.0.0/8").run(true));
        assert_eq!(forced.outcome.unwrap().changes, []);
        let edited = job(&folder, CONFIG, "10.0.0.0/8");
        fs::write(folder.path().join("deny"), "10.0.0.0/9").unwrap();
        let before = edited.files.clone();
        let edited = files(edited.run(false));
        assert_eq!(edited.outcome.unwrap().changes.len(), 1);
        assert_ne!(edited.stamps, Some(before));
    }

    #[test]
    fn what_was_read_of_a_file_that_cannot_be_applied_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let bad = job(&folder, CONFIG, "10.0.0.0/8");
        fs::write(&bad.path, "[pools").unwrap();
        let bad = files(bad.run(false));
        assert!(bad.outcome.is_err() && bad.stamps.is_none());
        assert_eq!(bad.content.as_deref().map(Vec::as_slice), Some(b"[pools".as_slice()));
        let gone = job(&folder, CONFIG, "10.0.0.0/8");
        fs::remove_file(&gone.path).unwrap();
        let gone = files(gone.run(false));
        assert!(gone.outcome.is_err() && gone.content.is_none());
    }

    #[tokio::test]
    async fn requests_that_come_during_a_reading_share_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut readings = Readings::default();
        assert_eq!(readings.is_due(), None);
        let ask = || oneshot::channel().0;
        readings.request(false, None);
        assert_eq!(readings.is_due(), Some(false));
        readings.begin(job(&folder, CONFIG, ""));
        readings.request(true, Some(ask()));
        readings.request(false, Some(ask()));
        assert_eq!(readings.is_due(), None, "one at a time");
        readings.begin(job(&folder, CONFIG, ""));
        let (found, requests) = readings.over().await;
        assert!(matches!(found, Found::Unchanged) && requests.answers.is_empty());
        assert_eq!(readings.is_due(), Some(true));
        readings.begin(job(&folder, CONFIG, ""));
        let (found, requests) = readings.over().await;
        assert!(matches!(found, Found::Files(_)));
        assert_eq!(requests.answers.len(), 2);
        assert_eq!(readings.is_due(), None);
    }
}
