//! Headers as this proxy sends them.

use std::net::SocketAddr;

use super::{Family, one_family, v2};

/// Which version is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary, with further fields.
    V2 {
        /// With a checksum.
        checksum: bool,
    },
}

/// What is told of a client's connection. Version 1 tells the addresses alone.
#[derive(Debug, Clone, Copy)]
pub struct Connection<'a> {
    /// Of the client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
    /// What this connection is called in the log; at most 128 bytes.
    pub unique_id: &'a [u8],
    /// The host name that the client asked for (SNI).
    pub authority: Option<&'a [u8]>,
    /// The protocol that was agreed on by TLS.
    pub alpn: Option<&'a [u8]>,
    /// How the client's side is encrypted, if it is here.
    pub ssl: Option<Ssl<'a>>,
}

/// How a client's side is encrypted.
#[derive(Debug, Clone, Copy)]
pub struct Ssl<'a> {
    /// The version, such as `TLSv1.3`.
    pub version: &'a str,
    /// The cipher, as OpenSSL names it.
    pub cipher: Option<&'a str>,
    /// The common name of the client's certificate, if it has shown one; it has been verified then.
    pub common_name: Option<&'a str>,
}

/// Kinds of fields.
const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_COMMON_NAME: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;

/// What the client has done: spoken TLS, and shown a certificate, on this connection and in this TLS session.
const CLIENT_SSL: u8 = 0x01;
const CLIENT_CERTIFICATE: u8 = 0x02 | 0x04;

/// The header for a client's connection.
pub fn header(version: Version, connection: &Connection<'_>) -> Vec<u8> {
    let family = one_family(connection.source, connection.destination);
    let ports = (connection.source.port(), connection.destination.port());
    match version {
        Version::V1 => {
            let addresses = match family {
                Family::V4(source, destination) => format!("TCP4 {source} {destination}"),
                Family::V6(source, destination) => format!("TCP6 {source} {destination}"),
            };
            format!("PROXY {addresses} {} {}\r\n", ports.0, ports.1).into_bytes()
        }
        Version::V2 { checksum } => {
            let mut rest = match family {
                Family::V4(source, destination) => [source.octets(), destination.octets()].concat(),
                Family::V6(source, destination) => [source.octets(), destination.octets()].concat(),
            };
            let family = if rest.len() == 8 { v2::TCP4 } else { v2::TCP6 };
            rest.extend(ports.0.to_be_bytes());
            rest.extend(ports.1.to_be_bytes());
            put_fields(&mut rest, connection);
            binary(v2::PROXY, family, rest, checksum)
        }
    }
}

/// The header for what this proxy has to say itself, such as a health check.
pub fn local(version: Version) -> Vec<u8> {
    match version {
        Version::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
        Version::V2 { checksum } => binary(v2::LOCAL, v2::UNSPECIFIED, Vec::new(), checksum),
    }
}

fn put_fields(bytes: &mut Vec<u8>, connection: &Connection<'_>) {
    let Connection { source: _, destination: _, unique_id, authority, alpn, ssl } = connection;
    if let Some(alpn) = alpn {
        put(bytes, ALPN, alpn);
    }
    if let Some(authority) = authority {
        put(bytes, AUTHORITY, authority);
    }
    put(bytes, UNIQUE_ID, unique_id);
    if let Some(Ssl { version, cipher, common_name }) = ssl {
        let client = CLIENT_SSL | if common_name.is_some() { CLIENT_CERTIFICATE } else { 0 };
        // That the certificate is good: 0 is yes, as it is when none was asked for.
        let mut value = vec![client, 0, 0, 0, 0];
        put(&mut value, SSL_VERSION, version.as_bytes());
        if let Some(common_name) = common_name {
            put(&mut value, SSL_COMMON_NAME, common_name.as_bytes());
        }
        if let Some(cipher) = cipher {
            put(&mut value, SSL_CIPHER, cipher.as_bytes());
        }
        put(bytes, SSL, &value);
    }
}

/// A field of less than 64 KiB.
fn put(bytes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    bytes.push(kind);
    bytes.extend(length(value).to_be_bytes());
    bytes.extend(value);
}

fn binary(command: u8, family: u8, mut rest: Vec<u8>, checksum: bool) -> Vec<u8> {
    if checksum {
        put(&mut rest, v2::CRC32C, &[0; 4]);
    }
    let mut bytes = v2::SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(length(&rest).to_be_bytes());
    bytes.extend(rest);
    if checksum {
        let at = bytes.len() - 4;
        let sum = v2::checksum(&bytes, at);
        bytes[at..].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// Host names, protocols and versions have a few hundred bytes.
fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}
