//! Files that the config names: lists of networks, one a line.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::model::Config;
use crate::admission::acl::Networks;

/// A hundred thousand networks take 2 MB; beyond this it is not a list.
const SIZE_MAX: u64 = 64 << 20;

/// Bad lines that are shown of one file.
const SHOWN: usize = 10;

/// Reads the lists of a config whose file lies in `folder`.
///
/// # Errors
/// All that is wrong with them, for people to read.
pub(super) fn read(config: &mut Config, folder: &Path) -> Result<(), String> {
    let mut problems = String::new();
    for listener in &mut config.listeners {
        let Some(path) = &listener.admission.deny_file else { continue };
        match read_file(&folder.join(path)).and_then(|text| parse(&text)) {
            Ok(networks) => listener.admission.deny_list = Arc::new(Networks::new(&networks)),
            Err(problem) => {
                let (name, path) = (&listener.name, path.display());
                _ = writeln!(problems, "error: listeners.{name}.deny_file: {path}: {problem}");
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.trim_end().to_owned()) }
}

/// A number that changes with what the lists hold.
pub fn stamp(config: &Config, folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in config.listeners.iter().filter_map(|listener| listener.admission.deny_file.as_ref()) {
        read_file(&folder.join(path)).hash(&mut hasher);
    }
    hasher.finish()
}

fn read_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let length =
        file.take(SIZE_MAX + 1).read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    if length as u64 > SIZE_MAX { Err(format!("larger than {} MiB", SIZE_MAX >> 20)) } else { Ok(text) }
}

/// One network or address a line; what stands behind `#` is for people.
fn parse(text: &str) -> Result<Vec<IpNet>, String> {
    let (mut networks, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match entry.parse::<IpNet>().or_else(|_no_prefix| entry.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network.trunc()),
            Err(_neither) => bad.push((number, entry)),
        }
    }
    if bad.is_empty() {
        return Ok(networks);
    }
    let shown = bad.iter().take(SHOWN).map(|(number, entry)| format!("line {number}: {entry:.60?}"));
    let mut problem = format!("neither a network nor an IP address: {}", shown.collect::<Vec<_>>().join(", "));
    if bad.len() > SHOWN {
        _ = write!(problem, " and {} more", bad.len() - SHOWN);
    }
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_network_a_line_and_words_for_people() {
        let networks = parse("# bots\n\n10.0.0.0/8  # a provider\r\n 192.0.2.7\n2001:db8::1/32\n").unwrap();
        let shown: Vec<_> = networks.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]);
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn bad_lines_are_told_with_their_numbers_and_bounded() {
        let problem = parse("10.0.0.0/8\nexample.com\n10.0.0.0/33").unwrap_err();
        assert_eq!(problem, "neither a network nor an IP address: line 2: \"example.com\", line 3: \"10.0.0.0/33\"");
        assert!(parse(&"x\n".repeat(1000)).unwrap_err().ends_with(" and 990 more"));
    }

    #[test]
    fn a_hundred_thousand_entries_are_read_and_looked_up() {
        let text: String = (0..100_000_u32).map(|n| format!("{}\n", std::net::Ipv4Addr::from(n * 42_000))).collect();
        let networks = Networks::new(&parse(&text).unwrap());
        for number in [0, 1, 54_321, 99_999_u32] {
            assert!(networks.contain(std::net::Ipv4Addr::from(number * 42_000).into()));
            assert!(!networks.contain(std::net::Ipv4Addr::from(number * 42_000 + 1).into()));
        }
    }
}
