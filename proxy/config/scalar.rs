//! Single values of the config file, parsed once into types that cannot hold a wrong one.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

pub mod duration;
mod endpoint;
mod expect;
mod host;
mod path;
mod printable;
mod rate;
mod share;
mod words;

pub use self::endpoint::{Endpoint, EndpointError};
pub use self::expect::{Expect, ExpectError, Pattern, bytes};
pub use self::host::{Hosts, HostsError, canonical_host, canonical_ipv6};
pub use self::path::normal_path;
pub use self::printable::{is_unprintable, printable_json};
pub use self::rate::{Rate, RateError};
pub use self::share::{Share, ShareError};
pub use self::words::{WORDS_MAX, Words, WordsError};

/// Why a text is no value of its kind: the message says what is wrong, the hint what would be right.
pub trait Explain: fmt::Display {
    /// What to write instead.
    fn hint(&self) -> String;
}

/// The name of a listener or a pool: 1 to 64 of `A-Z a-z 0-9 _ - .`, so that it can stand in a label, a log line and a
/// URL path as it is. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Where a backend listens, as the file wrote it. Displays as `host:port` (`[v6]:port`), which is also its identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A host name to look up, and a port.
    Host {
        /// Lower case, without a trailing dot.
        host: Arc<str>,
        /// TCP port, never 0.
        port: u16,
    },
    /// A name whose SRV records tell hosts, ports and weights.
    Srv {
        /// Such as `_game._tcp.example.com`; lower case, without a trailing dot.
        name: Arc<str>,
    },
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        match text.len() {
            0 => Err(NameError::Empty),
            length if length > NAME_MAX => Err(NameError::TooLong),
            _ if text.chars().all(allowed) => Ok(Self(text.into())),
            _ => Err(NameError::Character),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(name) = text.strip_prefix("srv:") {
            // Service, protocol and domain (RFC 2782).
            let name = host_name(name).ok().filter(|name| name.matches('.').count() >= 2 && name.starts_with('_'));
            return name.map(|name| Self::Srv { name }).ok_or(AddressError::Service);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 { Err(AddressError::PortZero) } else { Ok(Self::Socket(address)) };
        }
        if text.starts_with('[') || text.matches(':').count() > 1 {
            return Err(AddressError::Brackets);
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        let port = match port_number(port).ok_or(AddressError::Port)? {
            0 => return Err(AddressError::PortZero),
            port => port,
        };
        Ok(Self::Host { host: host_name(host)?, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Srv { name } => write!(f, "srv:{name}"),
        }
    }
}

/// Reads the address of a listener: an IP address and a port, nothing to look up.
pub fn bind_address(text: &str) -> Result<SocketAddr, BindError> {
    text.parse().map_err(|_not_an_address| {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        match port_number(port) {
            Some(port) if host.is_empty() => BindError::OnlyPort { port },
            Some(port) if host_name(host).is_ok() => BindError::HostName { port },
            _ => BindError::NotAnAddress,
        }
    })
}

/// Lower case and without the trailing dot, if it is a host name at all.
fn host_name(text: &str) -> Result<Arc<str>, AddressError> {
    let host = canonical_host(text);
    let label = |label: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=LABEL_MAX).contains(&label.len()) && label.chars().all(allowed)
    };
    if host.len() > HOST_MAX || !host.split('.').all(label) {
        return Err(AddressError::Host);
    }
    // No top level domain is a number: this is an IPv4 address with a slip in it.
    let is_number = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    if host.parse::<Ipv4Addr>().is_err() && host.rsplit('.').next().is_some_and(is_number) {
        return Err(AddressError::Host);
    }
    Ok(host.into())
}

/// Digits only: the standard parser would also take a plus sign.
fn port_number(text: &str) -> Option<u16> {
    text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Why a text is no [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing in it.
    Empty,
    /// More than 64 characters.
    TooLong,
    /// A character that a label or a path would have to escape.
    Character,
}

/// Why a text is no [`Address`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// There is no default port.
    NoPort,
    /// Not a number up to 65535.
    Port,
    /// Nothing listens on port 0.
    PortZero,
    /// Neither an IP address nor a host name.
    Host,
    /// More than one colon, but not as `[v6]:port`.
    Brackets,
    /// Behind `srv:` stands a port, or no name.
    Service,
}

/// Why a text is no address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindError {
    /// `":25565"` or `"25565"`: which of the machine's addresses?
    OnlyPort {
        /// The port that was written.
        port: u16,
    },
    /// A name can stand for several addresses, and changes.
    HostName {
        /// The port that was written.
        port: u16,
    },
    /// Anything else.
    NotAnAddress,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a name must not be empty",
            Self::TooLong => "a name has at most 64 characters",
            Self::Character => "a name has only letters, digits, `_`, `-` and `.`",
        })
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPort => "the address has no port",
            Self::Port => "the port is not a number from 1 to 65535",
            Self::PortZero => "nothing can be reached on port 0",
            Self::Host => "neither an IP address nor a host name",
            Self::Service => "not the name of a service, whose SRV records have hosts and ports",
            Self::Brackets => "an IPv6 address and its port are written as [address]:port",
        })
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyPort { .. } => "the IP address to listen on is missing",
            Self::HostName { .. } => "a listener needs an IP address, not a host name",
            Self::NotAnAddress => "not an IP address and a port",
        })
    }
}

impl Explain for NameError {
    fn hint(&self) -> String {
        "for example game, lobby-eu or map_2".into()
    }
}

impl Explain for AddressError {
    fn hint(&self) -> String {
        if *self == Self::Service {
            return r#"write "srv:_game._tcp.example.com", without a port"#.into();
        }
        r#"write "10.0.0.11:25565", "[2001:db8::1]:25565" or "game.example.com:25565""#.into()
    }
}

impl Explain for BindError {
    fn hint(&self) -> String {
        match self {
            Self::OnlyPort { port } | Self::HostName { port } => {
                format!(r#"write "0.0.0.0:{port}" for every IPv4 address, "127.0.0.1:{port}" for this machine only"#)
            }
            Self::NotAnAddress => r#"write "0.0.0.0:25565" or "[::]:25565""#.into(),
        }
    }
}

/// Long enough to be telling, short enough for tables, labels and paths.
const NAME_MAX: usize = 64;

/// RFC 1035, section 2.3.4.
const LABEL_MAX: usize = 63;

/// RFC 1035, section 2.3.4, in text form.
const HOST_MAX: usize = 253;

#[cfg(test)]
mod tests;
