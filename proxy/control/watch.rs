//! Tells when the config file may have changed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// An editor saves in several steps; they are over when the folder has been quiet for so long.
const QUIET: Duration = Duration::from_millis(200);

/// A file that is written to again and again must not put a reload off for ever.
const LONGEST: Duration = Duration::from_millis(600);

/// The file is looked at so often anyway, for file systems that tell nothing (NFS) and for events that were lost.
const ANYWAY: Duration = Duration::from_secs(5);

/// Watches a file for as long as the runtime lives. What is returned is notified when the file may have changed, after a
/// moment of quiet; it may be wrong, so compare the content.
pub fn watch(path: &Path) -> Rc<Notify> {
    let settled = Rc::new(Notify::new());
    let notify = Rc::clone(&settled);
    let mut watch = FileWatch::new(path);
    tokio::task::spawn_local(async move {
        loop {
            watch.settled().await;
            notify.notify_one();
        }
    });
    settled
}

/// Watches the folder of a file, because editors and ConfigMap mounts replace files rather than write to them.
struct FileWatch {
    path: PathBuf,
    changed: Arc<Notify>,
    /// The file is a symlink, so what happens to other names in its folder may change where it leads. Else only its own
    /// name counts: a log that is written in the same folder is no concern.
    any_name: Arc<AtomicBool>,
    /// `None` where the system cannot watch; then the regular look is all there is.
    watcher: Option<RecommendedWatcher>,
    folders: Vec<PathBuf>,
}

impl FileWatch {
    /// Watches the folder of `path`, and the one that the file really lies in.
    fn new(path: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let any_name = Arc::new(AtomicBool::new(false));
        let (notify, heeds_all, name) =
            (Arc::clone(&changed), Arc::clone(&any_name), path.file_name().map(OsString::from));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let concerns = |event: &Event| {
                heeds_all.load(Relaxed) || event.paths.iter().any(|path| path.file_name() == name.as_deref())
            };
            if event.is_ok_and(|event| changes_files(event.kind) && concerns(&event)) {
                notify.notify_one();
            }
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(%error, "cannot watch the config file; looking at it every 5 s instead");
        });
        let mut watch = Self { path: path.to_owned(), changed, any_name, watcher: watcher.ok(), folders: Vec::new() };
        watch.follow();
        watch
    }

    /// Resolves when something has happened in the folders, and then nothing for a moment.
    async fn settled(&mut self) {
        if timeout(ANYWAY, self.changed.notified()).await.is_ok() {
            let latest = Instant::now() + LONGEST;
            while Instant::now() < latest && timeout(QUIET, self.changed.notified()).await.is_ok() {}
        }
        self.follow();
    }

    /// Watches the folders of the path and of the file that it leads to, which a symlink swap changes.
    fn follow(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        self.any_name.store(self.path.is_symlink(), Relaxed);
        let real = self.path.canonicalize().ok();
        let mut folders: Vec<PathBuf> =
            [Some(self.path.clone()), real].into_iter().flatten().filter_map(|path| folder_of(&path)).collect();
        folders.dedup();
        if folders == self.folders {
            return;
        }
        for folder in &self.folders {
            // A folder that is gone is not watched any more.
            let _gone = watcher.unwatch(folder);
        }
        for folder in &folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %folder.display(), %error, "cannot watch; looking at the config file every 5 s instead");
            }
        }
        self.folders = folders;
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
