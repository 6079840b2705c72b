//! Version 2: binary, with further fields behind the addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Found, Header, Invalid, socket};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, and the length of the rest.
pub(super) const FIXED: usize = 16;

/// More than any balancer sends: addresses, and a few fields of some ten or hundred bytes.
pub(super) const LENGTH_MAX: usize = 4096;

/// Version and command: the balancer speaks for itself, or for its client.
pub(super) const LOCAL: u8 = 0x20;
pub(super) const PROXY: u8 = 0x21;

/// Families with TCP.
pub(super) const UNSPECIFIED: u8 = 0x00;
pub(super) const TCP4: u8 = 0x11;
pub(super) const TCP6: u8 = 0x21;

/// A field with the CRC32c of the whole header, in which it stands as zero itself.
pub(super) const CRC32C: u8 = 0x03;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Found>, Invalid> {
    let Some((fixed, _)) = bytes.split_at_checked(FIXED) else {
        // What has come of it is looked at before the rest has.
        return bytes.get(12).map_or(Ok(None), |command| check_command(*command).map(|()| None));
    };
    let (command, family) = (fixed[12], fixed[13]);
    check_command(command)?;
    let length = FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > LENGTH_MAX {
        return Err(Invalid::TooLong);
    }
    let Some(whole) = bytes.get(..length) else { return Ok(None) };
    let header = if command == LOCAL { Header::Unknown } else { proxied(whole, family)? };
    Ok(Some(Found { header, length }))
}

fn check_command(command: u8) -> Result<(), Invalid> {
    if [LOCAL, PROXY].contains(&command) { Ok(()) } else { Err(Invalid::Unassigned) }
}

fn proxied(whole: &[u8], family: u8) -> Result<Header, Invalid> {
    let rest = &whole[FIXED..];
    match family {
        UNSPECIFIED => Ok(Header::Unknown),
        TCP4 => {
            let (at, fields) = rest.split_first_chunk::<12>().ok_or(Invalid::Truncated)?;
            check_fields(whole, fields)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *at;
            Ok(between(Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into(), ports))
        }
        TCP6 => {
            let (source, rest) = rest.split_first_chunk::<16>().ok_or(Invalid::Truncated)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(Invalid::Truncated)?;
            let (ports, fields) = rest.split_first_chunk::<4>().ok_or(Invalid::Truncated)?;
            check_fields(whole, fields)?;
            Ok(between(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), *ports))
        }
        // UDP over either, and both kinds of Unix sockets (whose addresses take 216 bytes): not this connection's.
        0x12 | 0x22 | 0x31 | 0x32 => {
            let addresses = match family {
                0x12 => 12,
                0x22 => 36,
                _ => 216,
            };
            check_fields(whole, rest.get(addresses..).ok_or(Invalid::Truncated)?)?;
            Ok(Header::Unknown)
        }
        _ => Err(Invalid::Unassigned),
    }
}

fn between(source: std::net::IpAddr, destination: std::net::IpAddr, ports: [u8; 4]) -> Header {
    let [a, b, c, d] = ports;
    Header::Proxied {
        source: socket(source, u16::from_be_bytes([a, b])),
        destination: socket(destination, u16::from_be_bytes([c, d])),
    }
}

/// Looks whether the fields end where the header does, and whether its checksum, if it has one, is right.
fn check_fields(whole: &[u8], mut fields: &[u8]) -> Result<(), Invalid> {
    while !fields.is_empty() {
        let ([kind, high, low], rest) = fields.split_first_chunk().ok_or(Invalid::Truncated)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(Invalid::Truncated)?;
        if *kind == CRC32C {
            let told = u32::from_be_bytes(value.try_into().map_err(|_not_four_bytes| Invalid::Checksum)?);
            let at = whole.len() - rest.len() - length;
            if told != checksum(whole, at) {
                return Err(Invalid::Checksum);
            }
        }
        fields = rest;
    }
    Ok(())
}

/// The CRC32c of a header whose checksum stands at `at`.
pub(super) fn checksum(whole: &[u8], at: usize) -> u32 {
    const CASTAGNOLI: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let mut digest = CASTAGNOLI.digest();
    digest.update(&whole[..at]);
    digest.update(&[0; 4]);
    digest.update(&whole[at + 4..]);
    digest.finalize()
}
