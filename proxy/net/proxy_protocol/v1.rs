//! Version 1: a line of text.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Found, Header, Invalid, socket};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line there can be, its end included: with two addresses of 39 letters each.
pub(super) const LENGTH_MAX: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Found>, Invalid> {
    let window = &bytes[..bytes.len().min(LENGTH_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LENGTH_MAX { Ok(None) } else { Err(Invalid::TooLong) };
    };
    let line = std::str::from_utf8(&window[..end]).map_err(|_not_text| Invalid::Addresses)?;
    let mut words = line.split(' ').skip(1);
    let header = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => Header::Unknown,
        Some("TCP4") => proxied::<Ipv4Addr>(words)?,
        Some("TCP6") => proxied::<Ipv6Addr>(words)?,
        _ => return Err(Invalid::Unassigned),
    };
    Ok(Some(Found { header, length: end + 2 }))
}

/// Source, destination, and the port of each.
fn proxied<'a, I>(mut words: impl Iterator<Item = &'a str>) -> Result<Header, Invalid>
where
    I: std::str::FromStr + Into<std::net::IpAddr>,
{
    let mut word = || words.next().ok_or(Invalid::Addresses);
    let mut ip = || word()?.parse::<I>().map_err(|_none| Invalid::Addresses);
    let (source, destination) = (ip()?, ip()?);
    let (source_port, destination_port) = (port(word()?)?, port(word()?)?);
    if words.next().is_some() {
        return Err(Invalid::Addresses);
    }
    let (source, destination) = (socket(source, source_port), socket(destination, destination_port));
    Ok(Header::Proxied { source, destination })
}

/// Decimal, without leading zeros.
fn port(word: &str) -> Result<u16, Invalid> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain).ok_or(Invalid::Addresses)
}
