//! Files that the config names: lists of networks, and certificates with their keys.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::model::Config;

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
    let mut text = String::new();
    for (path, problem) in &problems {
        _ = writeln!(text, "error: {path}: {problem}");
    }
    if problems.is_empty() { Ok(()) } else { Err(text.trim_end().to_owned()) }
}

/// A number that changes with what the files hold.
pub fn stamp(config: &Config, folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in named(config) {
        read_file(&folder.join(path)).hash(&mut hasher);
    }
    hasher.finish()
}

/// Where the files are that a config names.
pub fn paths(config: &Config, folder: &Path) -> Vec<PathBuf> {
    named(config).map(|path| folder.join(path)).collect()
}

/// All that a config names.
fn named(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let lists = config.listeners.iter().filter_map(|listener| listener.admission.deny_file.as_ref());
    let certificates = config.certificates().flat_map(|(_, certificate)| [&certificate.cert, &certificate.key]);
    let trusts = config.trusts().filter_map(|(_, trust)| trust.file.as_ref());
    lists.chain(certificates).chain(trusts)
}

/// A problem with what a key names: the key's path, and what is wrong.
type Problem = (String, String);

/// A hundred thousand networks take 2 MB; beyond this it is nothing that belongs here.
const SIZE_MAX: u64 = 64 << 20;

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let length = file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if length as u64 > SIZE_MAX { Err(format!("larger than {} MiB", SIZE_MAX >> 20)) } else { Ok(bytes) }
}
