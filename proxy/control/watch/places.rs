//! Where something may happen that changes what a path leads to.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// The names that paths lead through: their own, and that of each symlink on the way, in real folders.
#[derive(Debug, Default)]
pub(super) struct Places {
    names: HashSet<(PathBuf, OsString)>,
    folders: BTreeSet<PathBuf>,
}

/// As many symlinks as the kernel follows in one path.
const LINKS_MAX: usize = 40;

impl Places {
    /// Those of these paths, as the file system is now.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut places = Self::default();
        for path in paths {
            places.add(path);
        }
        places
    }

    /// The folders to watch.
    pub(super) fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.folders
    }

    /// Whether what happens at this path, in a folder that is watched, matters.
    pub(super) fn have(&self, path: &Path) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        self.names.contains(&(folder.to_owned(), name.to_owned()))
    }

    fn add(&mut self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else { return };
        let mut left: VecDeque<OsString> = parts(&path);
        let (mut real, mut links) = (PathBuf::from("/"), 0);
        while let Some(part) = left.pop_front() {
            if part == ".." {
                real.pop();
                continue;
            }
            let at = real.join(&part);
            let target = if links < LINKS_MAX { at.read_link().ok() } else { None };
            if target.is_some() || left.is_empty() {
                self.note(&real, &part);
            }
            match target {
                Some(target) => {
                    links += 1;
                    if target.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    for part in parts(&target).into_iter().rev() {
                        left.push_front(part);
                    }
                }
                None => real = at,
            }
        }
    }

    fn note(&mut self, folder: &Path, name: &OsStr) {
        self.names.insert((folder.to_owned(), name.to_owned()));
        // The folder itself may be moved away, which is told at its own path.
        if let (Some(parent), Some(own)) = (folder.parent(), folder.file_name()) {
            self.names.insert((parent.to_owned(), own.to_owned()));
        }
        self.folders.insert(folder.to_owned());
    }
}

/// The parts of a path below its root.
fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_matters_and_what_lies_beside_it_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for made in ["releases/1/conf", "etc"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        fs::write(root.join("releases/1/conf/portti.toml"), "").unwrap();
        symlink("releases/1", root.join("current")).unwrap();
        symlink(root.join("current/conf"), root.join("etc/portti")).unwrap();
        let places = Places::of(&[root.join("etc/../etc/portti/portti.toml")]);
        for matters in ["etc/portti", "current", "releases/1/conf/portti.toml", "releases/1/conf"] {
            assert!(places.have(&root.join(matters)), "{matters}");
        }
        for other in ["etc/other", "releases/1/conf/portti.log", "releases/1/other", "releases/2"] {
            assert!(!places.have(&root.join(other)), "{other}");
        }
        let folders: [PathBuf; 3] = ["", "etc", "releases/1/conf"].map(|name| root.join(name).components().collect());
        assert_eq!(places.folders().iter().cloned().collect::<Vec<PathBuf>>(), folders);
    }

    #[test]
    fn links_in_a_circle_and_files_that_are_gone_are_no_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        let places = Places::of(&[root.join("a/portti.toml"), root.join("gone/portti.toml")]);
        assert!(
            places.have(&root.join("a")) && places.have(&root.join("b")) && places.have(&root.join("gone/portti.toml"))
        );
    }
}
