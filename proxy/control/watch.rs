//! Tells when the config file, or a file that it names, may have changed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, WatcherKind};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

mod edits;
mod places;

use self::edits::{EditTracker, Step};
use self::places::Places;

/// The files are looked at so often anyway, for file systems that tell nothing (NFS) and for events that were lost.
const ANYWAY: Duration = Duration::from_secs(5);

/// A config file and those that it names, watched for as long as the runtime lives.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    /// What the config names.
    others: RefCell<Vec<PathBuf>>,
    seen: Arc<Seen>,
    settled: Notify,
}

/// What the thread that hears of changes has seen.
#[derive(Debug, Default)]
struct Seen {
    edits: Mutex<EditTracker>,
    /// Something happened that concerns the files, or they are others now.
    changed: Notify,
}

impl Watch {
    /// Watches a file.
    pub fn new(path: &Path) -> Rc<Self> {
        let watch = Rc::new(Self {
            path: path.to_owned(),
            others: RefCell::default(),
            seen: Arc::default(),
            settled: Notify::new(),
        });
        let watched = Rc::clone(&watch);
        // From now on: an edit may come at once.
        let mut folders = Folders::new(&watched);
        tokio::task::spawn_local(async move {
            loop {
                folders.settled(&watched).await;
                watched.settled.notify_one();
            }
        });
        watch
    }

    /// Watches these beside it, and no others.
    pub fn follow(&self, others: Vec<PathBuf>) {
        if *self.others.borrow() != others {
            self.others.replace(others);
            self.seen.note(&self.path, Step::Other);
        }
    }

    /// Resolves when one of the files may have changed, once whoever writes it has closed it. It may be wrong, so compare the
    /// content.
    pub async fn notified(&self) {
        self.settled.notified().await;
    }

    fn paths(&self) -> Vec<PathBuf> {
        std::iter::once(self.path.clone()).chain(self.others.borrow().iter().cloned()).collect()
    }
}

impl Seen {
    fn note(&self, path: &Path, step: Step) {
        self.edits().note(path, step, Instant::now());
        self.changed.notify_one();
    }

    fn edits(&self) -> MutexGuard<'_, EditTracker> {
        self.edits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folders of the files, because editors, ConfigMap mounts and certbot replace files rather than write to them.
struct Folders {
    places: Arc<Mutex<Places>>,
    /// `None` where the system cannot watch; then the regular look is all there is.
    watcher: Option<RecommendedWatcher>,
    /// With what tells one folder from another that has its path later.
    watched: BTreeMap<PathBuf, (u64, u64)>,
}

impl Folders {
    fn new(watch: &Watch) -> Self {
        let places = Arc::<Mutex<Places>>::default();
        let (seen, concerned) = (Arc::clone(&watch.seen), Arc::clone(&places));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Ok(event) = event else { return };
            let places = concerned.lock().unwrap_or_else(PoisonError::into_inner);
            if event.need_rescan() {
                seen.note(Path::new(""), Step::Unknown);
            }
            for path in event.paths.iter().filter(|path| places.have(path)) {
                if let Some(step) = step(event.kind, path) {
                    seen.note(path, step);
                }
            }
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(%error, "cannot watch the config file; looking at it every 5 s instead");
        });
        let mut folders = Self { places, watcher: watcher.ok(), watched: BTreeMap::new() };
        folders.follow(&watch.paths());
        folders
    }

    /// Resolves when something has happened to the files and nobody writes to them any more, or when they are to be looked at
    /// anyway.
    async fn settled(&mut self, watch: &Watch) {
        let anyway = Instant::now() + ANYWAY;
        loop {
            let next = watch.seen.edits().due().unwrap_or(anyway);
            if timeout_at(next, watch.seen.changed.notified()).await.is_err() {
                let unfinished = watch.seen.edits().take();
                for file in unfinished {
                    tracing::warn!(file = %file.display(), "a writer has not closed this file for too long; it is read as it is");
                }
                break;
            }
        }
        self.follow(&watch.paths());
    }

    /// Watches the folders of the paths, and of the links that lead to them.
    fn follow(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let places = Places::of(paths);
        let identity = |folder: &PathBuf| fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()));
        let folders = places.folders().iter();
        let folders: BTreeMap<_, _> = folders.filter_map(|folder| Some((folder.clone(), identity(folder)?))).collect();
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) = places;
        for (folder, _) in self.watched.iter().filter(|(folder, identity)| folders.get(*folder) != Some(*identity)) {
            // A folder that is gone is not watched any more.
            let _gone = watcher.unwatch(folder);
        }
        for (folder, _) in folders.iter().filter(|(folder, identity)| self.watched.get(*folder) != Some(*identity)) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %folder.display(), %error, "cannot watch; looking at its files every 5 s instead");
            }
        }
        self.watched = folders;
    }
}

/// What an event means for a file; `None` if its content stays. Reading the file, which the reload does itself, is an event
/// too.
fn step(kind: EventKind, path: &Path) -> Option<Step> {
    let tells_closes = RecommendedWatcher::kind() == WatcherKind::Inotify;
    let written = if tells_closes { Step::Written } else { Step::Other };
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Step::Closed),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) => Some(written),
        // A link has all its content at once; a file that is empty has been opened to be written.
        EventKind::Create(CreateKind::File) if is_empty_file(path) => Some(written),
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => Some(Step::Replaced),
        EventKind::Any | EventKind::Modify(_) | EventKind::Other => Some(Step::Other),
    }
}

fn is_empty_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() == 0)
}
