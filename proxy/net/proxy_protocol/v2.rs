//! Version 2: binary, with further fields behind the addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Found, Header, Invalid, socket};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, and the length of the rest.
pub(super) const FIXED: usize = 16;

/// The longest header there can be: its length stands in two bytes.
pub(super) const LENGTH_MAX: usize = FIXED + u16::MAX as usize;

/// Bytes of addresses, at most: two paths of Unix sockets.
const ADDRESSES_MAX: usize = 216;

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
    let Some(Fixed { command, family, length }) = fixed(bytes)? else { return Ok(None) };
    let Some(whole) = bytes.get(..length) else { return Ok(None) };
    let (header, addresses_end) = read(command, family, whole)?;
    if let Some(end) = addresses_end {
        let mut fields = Fields::behind(&whole[..end]);
        fields.pass(&whole[end..])?;
        fields.finish()?;
    }
    Ok(Some(Found { header, length }))
}

/// A header that is longer than `most`, as soon as its addresses have come; `None` while they have not, and where it is not so long.
pub(super) fn begin_long(bytes: &[u8], most: usize) -> Result<Option<LongHeader>, Invalid> {
    let Some(Fixed { command, family, length }) = fixed(bytes)?.filter(|fixed| fixed.length > most) else {
        return Ok(None);
    };
    let Some(front) = bytes.get(..FIXED + ADDRESSES_MAX) else { return Ok(None) };
    let (header, addresses_end) = read(command, family, front)?;
    let fields = addresses_end.map(|end| Fields::behind(&front[..end]));
    Ok(Some(LongHeader { header, known: addresses_end.unwrap_or(length), left: length, fields }))
}

/// A header whose fields are looked at in pieces.
#[derive(Debug, Clone)]
pub struct LongHeader {
    header: Header,
    /// So many bytes of those to come have been looked at already.
    known: usize,
    /// So many bytes are to come.
    left: usize,
    /// `None` is that they say nothing of interest.
    fields: Option<Fields>,
}

impl LongHeader {
    /// Bytes that are to come, from the header's first on.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Looks at the next of them: no more than are left.
    ///
    /// # Errors
    /// A field is not as it must be.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        let known = self.known.min(bytes.len());
        self.known -= known;
        self.left -= bytes.len();
        self.fields.as_mut().map_or(Ok(()), |fields| fields.pass(&bytes[known..]))
    }

    /// What it says, when all of it has come.
    ///
    /// # Errors
    /// Its last field goes on behind its end, or its checksum is another.
    pub fn finish(self) -> Result<Header, Invalid> {
        self.fields.map_or(Ok(()), Fields::finish)?;
        Ok(self.header)
    }
}

/// What stands in front.
struct Fixed {
    command: u8,
    family: u8,
    /// Of the whole header.
    length: usize,
}

fn fixed(bytes: &[u8]) -> Result<Option<Fixed>, Invalid> {
    // What has come of it is looked at before the rest has.
    if let Some(command) = bytes.get(12)
        && ![LOCAL, PROXY].contains(command)
    {
        return Err(Invalid::Unassigned);
    }
    let Some(&[command, family, high, low]) = bytes.get(12..FIXED) else { return Ok(None) };
    Ok(Some(Fixed { command, family, length: FIXED + usize::from(u16::from_be_bytes([high, low])) }))
}

/// What the addresses say, and where the fields behind them begin, if those are to be looked at.
fn read(command: u8, family: u8, bytes: &[u8]) -> Result<(Header, Option<usize>), Invalid> {
    if command == LOCAL || family == UNSPECIFIED {
        return Ok((Header::Unknown, None));
    }
    let rest = &bytes[FIXED..];
    let (header, size) = match family {
        TCP4 => {
            let (at, _) = rest.split_first_chunk::<12>().ok_or(Invalid::Truncated)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *at;
            (between(Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into(), ports), 12)
        }
        TCP6 => {
            let (source, rest) = rest.split_first_chunk::<16>().ok_or(Invalid::Truncated)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(Invalid::Truncated)?;
            let (ports, _) = rest.split_first_chunk::<4>().ok_or(Invalid::Truncated)?;
            (between(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), *ports), 36)
        }
        // UDP over either, and both kinds of Unix sockets: not this connection's.
        0x12 => (Header::Unknown, 12),
        0x22 => (Header::Unknown, 36),
        0x31 | 0x32 => (Header::Unknown, ADDRESSES_MAX),
        _ => return Err(Invalid::Unassigned),
    };
    if rest.len() < size { Err(Invalid::Truncated) } else { Ok((header, Some(FIXED + size))) }
}

fn between(source: std::net::IpAddr, destination: std::net::IpAddr, ports: [u8; 4]) -> Header {
    let [a, b, c, d] = ports;
    Header::Proxied {
        source: socket(source, u16::from_be_bytes([a, b])),
        destination: socket(destination, u16::from_be_bytes([c, d])),
    }
}

/// Looks at fields, whatever the pieces, whether they end where the header does, and whether its checksum, if it has one, is right.
#[derive(Clone)]
struct Fields {
    /// The kind and the length of the field that is under way, as much of it as has come.
    head: [u8; 3],
    filled: usize,
    /// So many bytes of its value are to come.
    left: usize,
    /// The checksum that is told.
    told: Option<u32>,
    /// Of all bytes up to here, those of the told one as zeros.
    computed: crc::Digest<'static, u32>,
}

static CASTAGNOLI: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

impl Fields {
    /// Those that follow these bytes of the header.
    fn behind(front: &[u8]) -> Self {
        let mut computed = CASTAGNOLI.digest();
        computed.update(front);
        Self { head: [0; 3], filled: 0, left: 0, told: None, computed }
    }

    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), Invalid> {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)?..];
        }
        Ok(())
    }

    /// Looks at some of the bytes, and says at how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Invalid> {
        if self.filled < self.head.len() {
            self.head[self.filled] = bytes[0];
            self.filled += 1;
            self.computed.update(&bytes[..1]);
            return if self.filled == self.head.len() { self.begin_value().map(|()| 1) } else { Ok(1) };
        }
        let here = self.left.min(bytes.len());
        if self.head[0] == CRC32C {
            self.told = bytes[..here].iter().fold(self.told, |told, byte| Some(told? << 8 | u32::from(*byte)));
            self.computed.update(&[0; 4][..here]);
        } else {
            self.computed.update(&bytes[..here]);
        }
        self.left -= here;
        self.end_value();
        Ok(here)
    }

    fn begin_value(&mut self) -> Result<(), Invalid> {
        let [kind, high, low] = self.head;
        self.left = usize::from(u16::from_be_bytes([high, low]));
        if kind == CRC32C {
            // Four bytes, and one of them in a header.
            if self.left != 4 || self.told.is_some() {
                return Err(Invalid::Checksum);
            }
            self.told = Some(0);
        }
        self.end_value();
        Ok(())
    }

    fn end_value(&mut self) {
        if self.left == 0 {
            self.filled = 0;
        }
    }

    fn finish(self) -> Result<(), Invalid> {
        if self.filled > 0 {
            return Err(Invalid::Truncated);
        }
        let computed = self.computed.finalize();
        if self.told.is_none_or(|told| told == computed) { Ok(()) } else { Err(Invalid::Checksum) }
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fields").field("left", &self.left).field("told", &self.told).finish_non_exhaustive()
    }
}

/// The CRC32c of a header whose checksum stands at `at`.
pub(super) fn checksum(whole: &[u8], at: usize) -> u32 {
    let mut digest = CASTAGNOLI.digest();
    digest.update(&whole[..at]);
    digest.update(&[0; 4]);
    digest.update(&whole[at + 4..]);
    digest.finalize()
}
