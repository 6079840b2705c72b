//! The demo's own copy of the example config, in a folder that only this user may enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// What the demo runs.
pub(super) const EXAMPLE: &str = include_str!("../../config.example.toml");

/// What the demo edits while it runs: a circuit that stays open for half a minute would make a long story.
pub(super) const OPEN_FOR: Edit = Edit { before: "open_for = \"30s\"", after: "open_for = \"2s\"" };

/// A fresh folder for the config file. Dropped, it is deleted with whatever else has been put there.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

/// A line of the file, and what is to stand there instead.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) before: &'static str,
    pub(super) after: &'static str,
}

impl Folder {
    pub(super) fn new() -> Result<Self, Failure> {
        let name = format!("portti-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path).map(|()| Self { path: path.clone() });
        made.map_err(|error| Failure::new(format_args!("cannot make {}: {error}", path.display())))
    }

    /// Writes the config file.
    pub(super) fn write(&self, text: &str) -> Result<(), Failure> {
        let written = fs::write(self.file(), text);
        written.map_err(|error| Failure::new(format_args!("cannot write to {}: {error}", self.file().display())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The config file.
    pub(super) fn file(&self) -> PathBuf {
        self.path.join("portti.toml")
    }

    /// Edits the file as editors do: beside it, then in its place.
    pub(super) fn edit(&self, edit: &Edit) -> Result<(), Failure> {
        let edited = self.replace(edit);
        edited.map_err(|error| Failure::new(format_args!("cannot edit {}: {error}", self.file().display())))
    }

    fn replace(&self, edit: &Edit) -> io::Result<()> {
        let text = fs::read_to_string(self.file())?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("it has no line {}", edit.before));
        let beside = self.path.join("portti.toml.new");
        fs::write(&beside, edit.apply(&text).ok_or_else(missing)?)?;
        fs::rename(&beside, self.file())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be deleted is the system's to clear away, as with everything in the folder for temporary files.
        let _left = fs::remove_dir_all(&self.path);
    }
}

impl Edit {
    /// The text with the line replaced; `None` if it is not there.
    fn apply(&self, text: &str) -> Option<String> {
        text.lines().any(|line| line == self.before).then(|| {
            let line = |line| if line == self.before { self.after } else { line };
            text.lines().flat_map(|text| [line(text), "\n"]).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::config;

    #[test]
    fn the_example_has_the_line_that_is_edited_and_the_edit_changes_only_that() {
        let edited = OPEN_FOR.apply(EXAMPLE).expect("config.example.toml has the line");
        let (mut before, after) = (config::parse(EXAMPLE).unwrap().config, config::parse(&edited).unwrap().config);
        assert_ne!(before, after);
        let game = before.pools.iter_mut().find(|pool| pool.name.as_str() == "game").unwrap();
        assert_eq!(game.breaker.open_for, Duration::from_secs(30));
        game.breaker.open_for = Duration::from_secs(2);
        assert_eq!(before, after);
    }

    #[test]
    fn a_text_without_the_line_is_not_edited() {
        assert_eq!(OPEN_FOR.apply("max_open_for = \"30s\"\n"), None);
        assert_eq!(OPEN_FOR.apply("a\nopen_for = \"30s\"\nb").as_deref(), Some("a\nopen_for = \"2s\"\nb\n"));
    }

    #[test]
    fn the_folder_is_private_and_leaves_with_its_owner() {
        let folder = Folder::new().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        folder.write(EXAMPLE).unwrap();
        folder.edit(&OPEN_FOR).unwrap();
        assert!(fs::read_to_string(folder.file()).unwrap().contains(OPEN_FOR.after));
        assert!(folder.edit(&OPEN_FOR).is_err());
        drop(folder);
        assert!(!path.exists());
    }
}
