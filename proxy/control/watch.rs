//! Tells when the config file, or a file that it names, may have changed.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// An editor saves in several steps; they are over when the folder has been quiet for so long.
const QUIET: Duration = Duration::from_millis(200);

/// A file that is written to again and again must not put a reload off for ever.
const LONGEST: Duration = Duration::from_millis(600);

/// The files are looked at so often anyway, for file systems that tell nothing (NFS) and for events that were lost.
const ANYWAY: Duration = Duration::from_secs(5);

/// A config file and those that it names, watched for as long as the runtime lives.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    /// What the config names.
    others: RefCell<Vec<PathBuf>>,
    /// Something happened that concerns them, or they are others now.
    changed: Arc<Notify>,
    settled: Notify,
}

impl Watch {
    /// Watches a file.
    pub fn new(path: &Path) -> Rc<Self> {
        let (path, changed) = (path.to_owned(), Arc::default());
        let watch = Rc::new(Self { path, others: RefCell::default(), changed, settled: Notify::new() });
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
            self.changed.notify_one();
        }
    }

    /// Resolves when one of the files may have changed, after a moment of quiet. It may be wrong, so compare the content.
    pub async fn notified(&self) {
        self.settled.notified().await;
    }

    fn paths(&self) -> Vec<PathBuf> {
        std::iter::once(self.path.clone()).chain(self.others.borrow().iter().cloned()).collect()
    }
}

/// The folders of the files, because editors, ConfigMap mounts and certbot replace files rather than write to them.
struct Folders {
    concern: Arc<Mutex<Concern>>,
    /// `None` where the system cannot watch; then the regular look is all there is.
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
}

/// What happens to whom matters.
#[derive(Debug, Default)]
struct Concern {
    /// A log that is written in the same folder is no concern.
    names: HashSet<OsString>,
    /// One of the files is a symlink, so what happens to other names in its folder may change where it leads.
    any_name: bool,
}

impl Folders {
    fn new(watch: &Watch) -> Self {
        let concern = Arc::<Mutex<Concern>>::default();
        let (changed, concerned) = (Arc::clone(&watch.changed), Arc::clone(&concern));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let concern = concerned.lock().unwrap_or_else(PoisonError::into_inner);
            if event.is_ok_and(|event| changes_files(event.kind) && concern.has(&event)) {
                changed.notify_one();
            }
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(%error, "cannot watch the config file; looking at it every 5 s instead");
        });
        let mut folders = Self { concern, watcher: watcher.ok(), watched: Vec::new() };
        folders.follow(&watch.paths());
        folders
    }

    /// Resolves when something has happened in the folders, and then nothing for a moment.
    async fn settled(&mut self, watch: &Watch) {
        if timeout(ANYWAY, watch.changed.notified()).await.is_ok() {
            let latest = Instant::now() + LONGEST;
            while Instant::now() < latest && timeout(QUIET, watch.changed.notified()).await.is_ok() {}
        }
        self.follow(&watch.paths());
    }

    /// Watches the folders of the paths and of the files that they lead to, which a symlink swap changes.
    fn follow(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        *self.concern.lock().unwrap_or_else(PoisonError::into_inner) = Concern::of(paths);
        let real = |path: &PathBuf| [Some(path.clone()), path.canonicalize().ok()];
        let mut folders: Vec<_> = paths.iter().flat_map(real).flatten().filter_map(|path| folder_of(&path)).collect();
        folders.sort();
        folders.dedup();
        for folder in self.watched.iter().filter(|folder| !folders.contains(folder)) {
            // A folder that is gone is not watched any more.
            let _gone = watcher.unwatch(folder);
        }
        for folder in folders.iter().filter(|folder| !self.watched.contains(folder)) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %folder.display(), %error, "cannot watch; looking at its files every 5 s instead");
            }
        }
        self.watched = folders;
    }
}

impl Concern {
    fn of(paths: &[PathBuf]) -> Self {
        let names = paths.iter().filter_map(|path| path.file_name()).map(OsString::from).collect();
        Self { names, any_name: paths.iter().any(|path| path.is_symlink()) }
    }

    fn has(&self, event: &Event) -> bool {
        let is_ours = |path: &PathBuf| path.file_name().is_some_and(|name| self.names.contains(name));
        self.any_name || event.paths.iter().any(is_ours)
    }
}

/// The real folder that a path's last part lies in.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.canonicalize().ok()
}

/// Whether an event can mean other content. Reading the file, which the reload does itself, is an event too.
fn changes_files(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}
