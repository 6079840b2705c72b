//! Which hosts a rule is about.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::Explain;

/// A host name, or all that end like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// This one; in lower case, without a trailing dot. Of an IPv6 address, in brackets.
    One(String),
    /// Those below it: written `*.example.com`, kept as `.example.com`. However deep, but not `example.com` itself.
    Below(String),
}

/// Why a text names no hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostsError {
    /// Nothing is written.
    Empty,
    /// Longer than a name of DNS, or a part of it is.
    TooLong,
    /// A character that no name has.
    Character,
    /// An asterisk elsewhere than in `*.` at the front.
    Asterisk,
}

/// What DNS allows (RFC 1035, 2.3.4).
const LENGTH_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// A host name as names are compared: in lower case, and without the dot that may end it. Every name that is compared with another
/// passes through here: those of the file, of certificates, and of what clients ask for.
pub fn canonical_host(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// An IPv6 address in brackets, as URIs have them, in the one form that addresses are compared in; `None` if this is none.
pub fn canonical_ipv6(host: &str) -> Option<String> {
    let address: Ipv6Addr = host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
    Some(format!("[{address}]"))
}

impl Hosts {
    /// Whether a host is one of them. It is written as [`canonical_host`] has it.
    pub fn contain(&self, host: &str) -> bool {
        match self {
            Self::One(name) => host == name,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

impl FromStr for Hosts {
    type Err = HostsError;

    fn from_str(text: &str) -> Result<Self, HostsError> {
        if let Some(address) = canonical_ipv6(text) {
            return Ok(Self::One(address));
        }
        let below = text.strip_prefix("*.");
        let name = below.unwrap_or(text);
        let name = canonical_host(name);
        if name.contains('*') {
            return Err(HostsError::Asterisk);
        }
        if name.is_empty() || name.split('.').any(str::is_empty) {
            return Err(HostsError::Empty);
        }
        if name.len() > LENGTH_MAX || name.split('.').any(|label| label.len() > LABEL_MAX) {
            return Err(HostsError::TooLong);
        }
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(HostsError::Character);
        }
        Ok(if below.is_some() { Self::Below(format!(".{name}")) } else { Self::One(name) })
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*{suffix}"),
        }
    }
}

impl fmt::Display for HostsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a host name, or a part of it, is empty",
            Self::TooLong => "a host name has at most 253 characters, and 63 between its dots",
            Self::Character => "a host name has only letters, digits, dots, hyphens and underscores",
            Self::Asterisk => "an asterisk stands only at the front, for all names below one",
        })
    }
}

impl Explain for HostsError {
    fn hint(&self) -> String {
        match self {
            Self::Character => {
                "names with other letters are written in their xn-- form, without a port; IPv6 addresses in brackets"
                    .to_owned()
            }
            _ => r#"for example "eu.example.com" or "*.example.com""#.to_owned(),
        }
    }
}

impl std::error::Error for HostsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(hosts: &str, host: &str) -> bool {
        hosts.parse::<Hosts>().unwrap().contain(host)
    }

    #[test]
    fn one_host_or_those_below_one() {
        assert!(contain("EU.example.com.", "eu.example.com") && !contain("eu.example.com", "x.eu.example.com"));
        assert!(contain("*.example.com", "eu.example.com") && contain("*.example.com", "a.b.example.com"));
        assert!(!contain("*.example.com", "example.com") && !contain("*.example.com", "badexample.com"));
        assert!(!contain("*.example.com", ".example.com"));
    }

    #[test]
    fn names_are_compared_without_case_and_without_the_dot_at_the_end() {
        for name in ["eu.example.com", "EU.Example.com", "eu.example.com.", "EU.EXAMPLE.COM."] {
            assert_eq!(canonical_host(name), "eu.example.com");
        }
        assert_eq!(canonical_host("a.."), "a.", "an empty part is not left out");
        assert_eq!(canonical_host("."), "");
    }

    #[test]
    fn they_are_shown_as_the_file_writes_them() {
        for text in ["eu.example.com", "*.example.com"] {
            assert_eq!(text.parse::<Hosts>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = [&"a".repeat(63); 4].map(String::as_str).join(".");
        let cases = [
            ("", HostsError::Empty),
            ("*.", HostsError::Empty),
            ("eu..example.com", HostsError::Empty),
            ("*", HostsError::Asterisk),
            ("eu*.example.com", HostsError::Asterisk),
            ("*.*.example.com", HostsError::Asterisk),
            (&long, HostsError::TooLong),
            (&"a".repeat(64), HostsError::TooLong),
            ("größe.example", HostsError::Character),
            ("example.com:443", HostsError::Character),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Hosts>(), Err(error), "{text:?}");
        }
    }
}
