//! `[dns]`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::config::model::Dns;
use crate::config::raw::{Section, Value};
use crate::config::scalar::Explain;

pub(super) fn read(section: &mut Section<'_>) -> Dns {
    let servers =
        section.setting("servers", Vec::new(), |value| value.each(r#"["10.0.0.53"]"#, |entry| entry.parse(server)));
    let timeout = section.setting("timeout", TIMEOUT, Value::duration);
    Dns { servers: servers.value, timeout: timeout.value }
}

/// An IP address, and a port if it is not the usual one.
fn server(text: &str) -> Result<SocketAddr, NoServer> {
    let with_port = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => Err(NoServer),
        Ok(address) => Ok(address),
        Err(_no_port) => with_port().map_err(|_no_address| NoServer),
    }
}

/// A text that is no address of a name server.
struct NoServer;

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the address of a name server")
    }
}

impl Explain for NoServer {
    fn hint(&self) -> String {
        r#"an IP address, for example "10.0.0.53", "10.0.0.53:5353" or "[2001:db8::53]:53""#.to_owned()
    }
}

/// Where name servers listen (RFC 1035).
const PORT: u16 = 53;

/// What a resolver that lives answers within.
const TIMEOUT: Duration = Duration::from_secs(2);
