//! Lists of networks, one a line.

use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Problem, read_file};
use crate::admission::acl::{self, NetworkError, Networks};
use crate::config::model::Config;
use crate::config::scalar::Explain as _;

/// Bad lines that are shown of one file.
const SHOWN: usize = 10;

/// Bytes of a network, at most: eight groups, an address of IPv4 in the last two of them, and a prefix.
const LONGEST: usize = 50;

/// Reads the lists of a config.
pub(super) fn read(config: &mut Config, folder: &Path, problems: &mut Vec<Problem>) {
    for listener in &mut config.listeners {
        let Some(path) = &listener.admission.deny_file else { continue };
        match read_list(&folder.join(path), listener.admission.deny_wide_networks) {
            Ok(networks) => listener.admission.deny_list = Arc::new(Networks::new(&networks)),
            Err(problem) => {
                problems
                    .push((format!("listeners.{}.deny_file", listener.name), format!("{}: {problem}", path.display())));
            }
        }
    }
}

fn read_list(path: &Path, allow_wide: bool) -> Result<Vec<IpNet>, String> {
    let bytes = read_file(path)?;
    let text = str::from_utf8(&bytes).map_err(|error| format!("cannot be read: {error}"))?;
    let networks = parse(text)?;
    match networks.iter().find(|(_, network)| !allow_wide && acl::is_wide(network)) {
        Some((line, network)) => Err(format!(
            "line {line}: {network} is wider than /8 (IPv6: /16), and denies a great part of all addresses; if that is meant: \
             deny_wide_networks = true"
        )),
        None => Ok(networks.into_iter().map(|(_, network)| network).collect()),
    }
}

/// One network or address a line, with the number of the line; what stands behind `#` is for people.
fn parse(text: &str) -> Result<Vec<(u32, IpNet)>, String> {
    let mut networks = Vec::new();
    let (mut malformed, mut host_bits) = (BadLines::default(), BadLines::default());
    for (number, line) in (1..).zip(text.lines()) {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match acl::network(entry) {
            Ok(network) => networks.push((number, network)),
            Err(NetworkError::Malformed) => malformed.add(|| told(number, entry)),
            Err(error @ NetworkError::HostBits { .. }) => {
                host_bits.add(|| format!("line {number}: {entry:?} ({})", error.hint()));
            }
        }
    }
    let malformed = malformed.told("neither a network nor an IP address");
    let problems: Vec<_> = malformed.into_iter().chain(host_bits.told("bits are set behind the prefix")).collect();
    if problems.is_empty() { Ok(networks) } else { Err(problems.join("; ")) }
}

/// Lines of a file with the same problem: how many there are, and the first of them.
#[derive(Default)]
struct BadLines {
    count: usize,
    shown: Vec<String>,
}

impl BadLines {
    fn add(&mut self, told: impl FnOnce() -> String) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(told());
        }
    }

    fn told(self, what: &str) -> Option<String> {
        let more = self.count - self.shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (self.count > 0).then(|| format!("{what}: {}{more}", self.shown.join(", ")))
    }
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
            parse("# bots\n\n10.0.0.0/8  # a provider\r\n 192.0.2.7\n2001:db8::/32\n::ffff:192.0.2.9\n").unwrap();
        let shown: Vec<_> = networks.iter().map(|(_, network)| network.to_string()).collect();
        assert_eq!(networks.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(shown, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "192.0.2.9/32"]);
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn a_line_that_denies_half_of_the_internet_is_a_slip_unless_it_is_allowed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "192.0.2.1\n128.0.0.0/1").unwrap();
        let problem = read_list(file.path(), false).unwrap_err();
        assert!(problem.starts_with("line 2: 128.0.0.0/1 is wider than /8"), "{problem}");
        assert_eq!(read_list(file.path(), true).unwrap().len(), 2);
    }

    #[test]
    fn bad_lines_are_told_with_their_numbers_and_bounded() {
        let problem = parse("10.0.0.0/8\nexample.com\n10.0.0.0/33").unwrap_err();
        assert_eq!(problem, "neither a network nor an IP address: line 2, line 3: \"10.0.0.0/33\"");
        assert!(parse(&"x\n".repeat(1000)).unwrap_err().ends_with(" and 990 more"));
    }

    #[test]
    fn bits_behind_the_prefix_are_told_with_the_right_spellings() {
        let problem = parse("10.0.0.0/8\n203.0.113.7/24 # a typo\n").unwrap_err();
        let expected = "bits are set behind the prefix: line 2: \"203.0.113.7/24\" (write \"203.0.113.0/24\" for the whole \
                        network, or \"203.0.113.7\" for the one address)";
        assert_eq!(problem, expected);
        let problem = parse(&"nothing\n203.0.113.7/24\n".repeat(20)).unwrap_err();
        assert!(problem.starts_with("neither a network nor an IP address: line 1, line 3"), "{problem}");
        assert_eq!(problem.matches(" and 10 more").count(), 2, "{problem}");
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
        let networks: Vec<_> = parse(&text).unwrap().into_iter().map(|(_, network)| network).collect();
        let networks = Networks::new(&networks);
        for number in [0, 1, 54_321, 99_999_u32] {
            assert!(networks.contain(std::net::Ipv4Addr::from(number * 42_000).into()));
            assert!(!networks.contain(std::net::Ipv4Addr::from(number * 42_000 + 1).into()));
        }
    }
}
