//! Files that the config names: lists of networks, and certificates with their keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::model::{Config, Token};

mod certificates;
mod lists;

/// Reads the files of a config that itself lies in `folder`. What they hold now may be of no use: then what they held
/// `before` stands, where it is known.
///
/// # Errors
/// All that is wrong with them, for people to read.
pub(super) fn read(config: &mut Config, folder: &Path, before: Option<&Config>) -> Result<(), String> {
    let mut problems = Vec::new();
    lists::read(config, folder, &mut problems);
    certificates::read(config, folder, before, &mut problems);
    token(config, folder, &mut problems);
    let mut text = String::new();
    for (path, problem) in &problems {
        _ = writeln!(text, "error: {path}: {problem}");
    }
    if problems.is_empty() { Ok(()) } else { Err(text.trim_end().to_owned()) }
}

/// Reads what those who may use the admin server have to know.
fn token(config: &mut Config, folder: &Path, problems: &mut Vec<Problem>) {
    let Some(path) = &config.admin.token_file else { return };
    let found = read_file(&folder.join(path));
    match found.and_then(|file| Token::read(&file).map_err(|error| error.to_string())) {
        Ok(token) => config.admin.token = Some(Arc::new(token)),
        Err(problem) => problems.push(("admin.token_file".to_owned(), format!("{}: {problem}", path.display()))),
    }
}

/// What files held when they were looked at, by a number for each that changes with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamps(BTreeMap<PathBuf, u64>);

impl Stamps {
    /// Looks at the files that a config names, whose own file lies in `folder`.
    pub fn take(config: &Config, folder: &Path) -> Self {
        Self(named(config).map(|path| folder.join(path)).map(|path| (path.clone(), stamp(&path))).collect())
    }

    /// Whether any of the files holds something else now.
    pub fn are_stale(&self) -> bool {
        self.0.iter().any(|(path, stamped)| stamp(path) != *stamped)
    }

    /// These, and those of others that are not among them.
    pub fn and(mut self, others: &Self) -> Self {
        for (path, stamped) in &others.0 {
            self.0.entry(path.clone()).or_insert(*stamped);
        }
        self
    }

    /// Those that this config names.
    pub fn of(mut self, config: &Config, folder: &Path) -> Self {
        let named: BTreeSet<PathBuf> = named(config).map(|path| folder.join(path)).collect();
        self.0.retain(|path, _| named.contains(path));
        self
    }

    /// Where the files are.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.keys().cloned().collect()
    }
}

fn stamp(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    read_file(path).hash(&mut hasher);
    hasher.finish()
}

/// All that a config names.
fn named(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let lists = config.listeners.iter().filter_map(|listener| listener.admission.deny_file.as_ref());
    let certificates = config.certificates().flat_map(|(_, certificate)| [&certificate.cert, &certificate.key]);
    let trusts = config.trusts().filter_map(|(_, trust)| trust.file.as_ref());
    lists.chain(certificates).chain(trusts).chain(&config.admin.token_file)
}

/// A problem with what a key names: the key's path, and what is wrong.
type Problem = (String, String);

/// A hundred thousand networks take 2 MB; beyond this it is nothing that belongs here.
const SIZE_MAX: u64 = 64 << 20;

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    // A pipe without a writer would be waited for.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err("cannot be read: it is not a regular file".to_owned());
    }
    let length = file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if length as u64 > SIZE_MAX { Err(format!("larger than {} MiB", SIZE_MAX >> 20)) } else { Ok(bytes) }
}
