//! Single values of the config file, parsed once into types that cannot hold a wrong one.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

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
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}
