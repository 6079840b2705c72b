//! The state file on the disk. Everything here may take as long as the disk likes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use super::form::{self, Kept, LeftOut, Millis};
use crate::entropy;

/// Bytes that a file may have, to be written as well as to be read.
const SIZE_MAX: usize = 64 << 20;

/// What names of files begin with that are being written, behind the file's own.
const FRESH: &str = "new-";

/// A file that has been written to for so long is not written to any more.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3600);

/// Tells a file that was written here from one that another process has put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

/// What one process has to write.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) path: PathBuf,
    /// `None` where it is what was written last.
    pub(super) new: Option<Kept>,
    /// Of what was written last.
    pub(super) last: Option<(Stamp, Arc<Kept>)>,
    /// The process is on its way down: a file that another has written meanwhile is that one's.
    pub(super) yields: bool,
}

/// What has become of it.
#[derive(Debug)]
pub(super) enum Done {
    /// It stands there as it did before.
    Same(Stamp, Arc<Kept>),
    /// It was written anew, but for what had to be left out.
    Written(Stamp, Arc<Kept>, LeftOut),
    /// Another process keeps the file now.
    Yielded,
}

impl Job {
    /// Writes what is to be written.
    pub(super) fn run(self) -> io::Result<Option<Done>> {
        let found = Stamp::of(&self.path);
        let is_ours = self.last.as_ref().is_some_and(|(stamp, _)| found == Some(*stamp));
        if self.yields && found.is_some() && !is_ours && self.last.is_some() {
            return Ok(Some(Done::Yielded));
        }
        let kept = match (self.new, self.last) {
            (None, Some((stamp, kept))) if is_ours => return Ok(Some(Done::Same(stamp, kept))),
            (Some(new), _) => Arc::new(new),
            (None, Some((_, kept))) => kept,
            (None, None) => return Ok(None),
        };
        let encoded = form::encode_within(&kept, SIZE_MAX);
        let (bytes, left_out) = encoded.map_err(|error| io::Error::other(error.to_string()))?;
        let stamp = write(&self.path, &bytes)?;
        Ok(Some(Done::Written(stamp, kept, left_out)))
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|found| Self::from(&found))
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(found: &fs::Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino(), modified: (found.mtime(), found.mtime_nsec()) }
    }
}

/// What the file holds; `None` if there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // A pipe without a writer would be waited for.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(SIZE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > SIZE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is larger than {} MiB", SIZE_MAX >> 20)));
    }
    Ok(Some(bytes))
}

/// Replaces the file as a whole: whatever happens meanwhile, there is the old one or the new one.
fn write(path: &Path, bytes: &[u8]) -> io::Result<Stamp> {
    let beside = fresh(path);
    // Whatever lies there, a link above all, is not to be written to.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&beside, bytes).and_then(|stamp| fs::rename(&beside, path).map(|()| stamp));
    if written.is_err() {
        let _left_behind = fs::remove_file(&beside);
    }
    let stamp = written?;
    // That it has another name now must outlive the machine, too.
    File::open(folder_of(path))?.sync_all()?;
    Ok(stamp)
}

/// For its owner's eyes: there are addresses of players in it.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<Stamp> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    file.metadata().map(|found| Stamp::from(&found))
}

/// Where the next version of the file is written: nowhere that another process writes to, should it have the same file.
fn fresh(path: &Path) -> PathBuf {
    static PROCESS: LazyLock<u64> = LazyLock::new(entropy::number);
    beside(path, &format!("{FRESH}{:016x}", *PROCESS))
}

/// Removes what processes have left that ended while they wrote.
pub(super) fn sweep(path: &Path) -> io::Result<()> {
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    prefix.push(FRESH);
    for entry in fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let is_old = || entry.metadata().ok()?.modified().ok()?.elapsed().ok().map(|age| age > WRITTEN_WITHIN);
        if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) && is_old() == Some(true) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Puts a file out of the way that is of no use; where it is then.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    if fs::symlink_metadata(path)?.is_dir() {
        // Whatever is in it is somebody's, and the path a slip.
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let aside = beside(path, &format!("damaged-{}", Millis::of(SystemTime::now()).0));
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn beside(path: &Path, word: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(word);
    path.with_file_name(name)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn kept(why: &str) -> Kept {
        let ban = form::Ban { network: form::Text("10.0.0.0/8".parse().unwrap()), until: None, why: Some(why.into()) };
        Kept { bans: vec![ban], ..Kept::default() }
    }

    fn job(path: &Path, new: Option<Kept>, last: Option<(Stamp, Arc<Kept>)>) -> Job {
        Job { path: path.to_owned(), new, last, yields: false }
    }

    fn written(job: Job) -> (Stamp, Arc<Kept>, bool) {
        match job.run().unwrap() {
            Some(Done::Written(stamp, kept, left_out)) => {
                assert_eq!(left_out, LeftOut::default());
                (stamp, kept, true)
            }
            Some(Done::Same(stamp, kept)) => (stamp, kept, false),
            other => panic!("{other:?}"),
        }
    }

    fn held(path: &Path) -> Arc<Kept> {
        Arc::new(form::decode(&read(path).unwrap().unwrap()).unwrap())
    }

    #[test]
    fn it_is_written_when_it_has_changed_or_is_gone_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(read(&path).unwrap(), None);
        let (stamp, one, anew) = written(job(&path, Some(kept("one")), None));
        assert!(anew && held(&path) == one);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (same, one, anew) = written(job(&path, None, Some((stamp, one))));
        assert!(!anew && same == stamp);
        fs::remove_file(&path).unwrap();
        let (stamp, one, anew) = written(job(&path, None, Some((stamp, one))));
        assert!(anew && held(&path) == one);
        let (_, two, anew) = written(job(&path, Some(kept("two")), Some((stamp, one))));
        assert!(anew && held(&path) == two);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_process_on_its_way_down_leaves_the_file_to_the_one_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let (stamp, one, _) = written(job(&path, Some(kept("old")), None));
        let (_, new, _) = written(job(&path, Some(kept("new")), None));
        let last_word = Job { yields: true, ..job(&path, Some(kept("later")), Some((stamp, Arc::clone(&one)))) };
        assert!(matches!(last_word.run().unwrap(), Some(Done::Yielded)));
        assert_eq!(held(&path), new);
        let (_, _, anew) = written(job(&path, None, Some((stamp, one))));
        assert!(anew, "one that goes on has the file back");
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let (stamp, one, _) = written(job(&path, Some(kept("one")), None));
        // Where its neighbour should be there is a folder: nobody can write that, not even root.
        fs::create_dir(fresh(&path)).unwrap();
        assert!(job(&path, Some(kept("two")), Some((stamp, Arc::clone(&one)))).run().is_err());
        assert_eq!(held(&path), one);
    }

    #[test]
    fn a_link_in_its_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("state.json"), folder.path().join("other"));
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, fresh(&path)).unwrap();
        written(job(&path, Some(kept("one")), None));
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[test]
    fn what_another_process_is_writing_is_left_alone_and_swept_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let [young, old] = ["new-1", "new-2"].map(|name| beside(&path, name));
        let (other, longer) = (folder.path().join("other.json.new-1"), beside(&path, "newer"));
        for file in [&young, &old, &other, &longer] {
            fs::write(file, "half of it").unwrap();
        }
        written(job(&path, Some(kept("one")), None));
        for file in [&old, &other, &longer] {
            let long_ago = SystemTime::now() - 2 * WRITTEN_WITHIN;
            File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
        }
        sweep(&path).unwrap();
        assert!(!old.exists());
        assert!([&path, &young, &other, &longer].iter().all(|file| file.exists()));
    }

    #[test]
    fn what_is_of_no_use_is_kept_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, "rubbish").unwrap();
        let aside = set_aside(&path).unwrap();
        assert!(!path.exists() && fs::read_to_string(&aside).unwrap() == "rubbish");
        assert!(aside.file_name().unwrap().to_str().unwrap().starts_with("state.json.damaged-"));
        assert!(set_aside(folder.path()).is_err() && folder.path().is_dir(), "a folder stays where it is");
    }

    #[test]
    fn a_file_that_is_too_large_is_said_to_be_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        File::create(&path).unwrap().set_len(SIZE_MAX as u64 + 1).unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), "it is larger than 64 MiB");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read(&pipe).is_err() && read(folder.path()).is_err());
    }
}
