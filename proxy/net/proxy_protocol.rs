//! The PROXY protocol, by which a balancer in front tells who its client is. Pure.
//!
//! Source: "The PROXY protocol, versions 1 & 2" (proxy-protocol.txt of HAProxy, 2020/03/05).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

mod v1;
mod v2;
mod write;

pub use self::v2::LongHeader;
pub use self::write::{Connection, Ssl, Version, header, local};

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A connection is passed on.
    Proxied {
        /// Of the client.
        source: SocketAddr,
        /// Where the client connected to.
        destination: SocketAddr,
    },
    /// The balancer speaks for itself, as in its health checks, or does not say for whom: the connection's own addresses
    /// stand.
    Unknown,
}

/// A header, and how many bytes it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it says.
    pub header: Header,
    /// All of it: what follows is the client's.
    pub length: usize,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// They begin like none.
    Signature,
    /// A line of version 1 that is longer than any can be: 107 bytes.
    TooLong,
    /// It has another version, command, family or protocol than there are.
    Unassigned,
    /// Its addresses or ports are none.
    Addresses,
    /// A field goes on behind its end, or its addresses do.
    Truncated,
    /// Its checksum is another.
    Checksum,
}

/// What bytes begin with.
#[derive(Debug, Clone)]
pub enum Start {
    /// A header, all of it.
    Whole(Found),
    /// The beginning of a header of more than [`PEEKED_MAX`] bytes, which is read on in pieces.
    Long(LongHeader),
}

/// Bytes of a header, at most.
pub const LENGTH_MAX: usize = v2::LENGTH_MAX;

/// Bytes of a header, at most, that are looked at where they lie, in the kernel: more than most balancers send, and so few that they
/// have room there in any case.
pub const PEEKED_MAX: usize = 4096;

/// The header that bytes begin with, or the beginning of a long one; `None` while more of it has to come.
///
/// # Errors
/// However much still comes, it will be none.
pub fn begin(bytes: &[u8]) -> Result<Option<Start>, Invalid> {
    if begins_like(bytes, v2::SIGNATURE)
        && let Some(long) = v2::begin_long(bytes, PEEKED_MAX)?
    {
        return Ok(Some(Start::Long(long)));
    }
    Ok(parse(bytes)?.map(Start::Whole))
}

/// The header that bytes begin with; `None` while more of it has to come.
///
/// # Errors
/// However much still comes, it will be none.
pub fn parse(bytes: &[u8]) -> Result<Option<Found>, Invalid> {
    if begins_like(bytes, v2::SIGNATURE) {
        return v2::parse(bytes);
    }
    if begins_like(bytes, v1::SIGNATURE) {
        return v1::parse(bytes);
    }
    Err(Invalid::Signature)
}

/// As far as both go.
fn begins_like(bytes: &[u8], signature: &[u8]) -> bool {
    let common = bytes.len().min(signature.len());
    bytes[..common] == signature[..common]
}

/// An address as both versions write it: IPv4 mapped into IPv6 is IPv4.
fn socket(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into().to_canonical(), port)
}

/// Both addresses in one family, which a header needs: IPv4 if both are.
fn one_family(source: SocketAddr, destination: SocketAddr) -> Family {
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Family::V4(source, destination),
        (source, destination) => Family::V6(mapped(source), mapped(destination)),
    }
}

enum Family {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "no PROXY header",
            Self::TooLong => "a PROXY header of version 1 that is longer than any can be",
            Self::Unassigned => "a PROXY header of an unknown version, command, family or protocol",
            Self::Addresses => "a PROXY header with wrong addresses",
            Self::Truncated => "a PROXY header with a field that goes on behind its end",
            Self::Checksum => "a PROXY header with a wrong checksum",
        })
    }
}

#[cfg(test)]
mod tests;
