//! Lists of networks, one a line.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Problem, read_file};
use crate::admission::acl::{self, Networks};
use crate::config::model::Config;

/// Bad lines that are shown of one file.
const SHOWN: usize = 10;

/// Bytes of a network, at most: eight groups, an address of IPv4 in the last two of them, and a prefix.
const LONGEST: usize = 50;

/// Reads the lists of a config.
pub(super) fn read(config: &mut Config, folder: &Path, problems: &mut Vec<Problem>) {
    for listener in &mut config.listeners {
        let Some(path) = &listener.admission.deny_file else { continue };
        match read_list(&folder.join(path)) {
            Ok(networks) => listener.admission.deny_list = Arc::new(Networks::new(&networks)),
            Err(problem) => {
                problems
                    .push((format!("listeners.{}.deny_file", listener.name), format!("{}: {problem}", path.display())));
            }
        }
    }
}

fn read_list(path: &Path) -> Result<Vec<IpNet>, String> {
    let bytes = read_file(path)?;
    parse(str::from_utf8(&bytes).map_err(|error| format!("cannot be read: {error}"))?)
}

/// One network or address a line; what stands behind `#` is for people.
fn parse(text: &str) -> Result<Vec<IpNet>, String> {
    let (mut networks, mut shown, mut bad) = (Vec::new(), Vec::new(), 0_usize);
    for (number, line) in (1..).zip(text.lines()) {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match acl::network(entry) {
            Some(network) => networks.push(network),
            None => {
                bad += 1;
                if bad <= SHOWN {
                    shown.push(told(number, entry));
                }
            }
        }
    }
    if bad == 0 {
        return Ok(networks);
    }
    let mut problem = format!("neither a network nor an IP address: {}", shown.join(", "));
    if bad > SHOWN {
        _ = write!(problem, " and {} more", bad - SHOWN);
    }
    Err(problem)
}

/// A bad line, with its text where that is a mistyped network. Where it is anything else, the file may be no list at all but a key, and
/// the text would be told to the log, and to whoever asks the API about an edit.
fn told(number: u32, entry: &str) -> String {
    let is_mistyped = entry.len() <= LONGEST
        && entry.contains(['.', ':'])
        && entry.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/'));
    if is_mistyped { format!("line {number}: {entry:?}") } else { format!("line {number}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_network_a_line_and_words_for_people() {
        let networks =
            parse("# bots\n\n10.0.0.0/8  # a provider\r\n 192.0.2.7\n2001:db8::1/32\n::ffff:192.0.2.9\n").unwrap();
        let shown: Vec<_> = networks.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "192.0.2.9/32"]);
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn bad_lines_are_told_with_their_numbers_and_bounded() {
        let problem = parse("10.0.0.0/8\nexample.com\n10.0.0.0/33").unwrap_err();
        assert_eq!(problem, "neither a network nor an IP address: line 2, line 3: \"10.0.0.0/33\"");
        assert!(parse(&"x\n".repeat(1000)).unwrap_err().ends_with(" and 990 more"));
    }

    #[test]
    fn what_is_no_list_is_not_told() {
        for secret in
            ["-----BEGIN PRIVATE KEY-----", "0123456789abcdef0123456789abcdef", "root:*:20228:0", "KEY=1.2.3.4"]
        {
            assert_eq!(parse(secret), Err("neither a network nor an IP address: line 1".to_owned()), "{secret}");
        }
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
