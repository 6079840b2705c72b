//! Packets of the game's protocol, as far as a question for the status needs them.
//!
//! A packet is its length, its kind and its content. Length, kind and the lengths of texts are written as VarInt: seven
//! bits a byte, the lowest first, with the highest bit set in all but the last.

use std::fmt;
use std::net::SocketAddr;

/// Bytes that are worth reading, at most: a reply and the number in front of it.
pub(super) const READ_MAX: usize = NUMBER_MAX + REPLY_MAX;

/// Bytes of a reply, at most. The icon and the list of mods of a large server take some ten thousand.
const REPLY_MAX: usize = 256 * 1024;

/// "I only ask": by convention no version of the game.
const NO_VERSION: i32 = -1;

/// What the client wants after the handshake.
const WANTS_STATUS: i32 = 1;

/// The kind of a handshake, of a status request, and of the reply to that.
const KIND: i32 = 0;

/// Why bytes are no status reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// A number takes more than five bytes, or more than 32 bits.
    Number,
    /// A packet of no length that can be.
    Length(i32),
    /// A packet of another kind.
    Kind(i32),
    /// A text that is longer than its packet, or shorter than nothing.
    Text(i32),
}

/// A handshake and a status request.
pub(super) fn status_request(address: SocketAddr) -> Vec<u8> {
    let host = address.ip().to_string();
    let mut handshake = Vec::new();
    put_number(&mut handshake, KIND);
    put_number(&mut handshake, NO_VERSION);
    put_length(&mut handshake, host.len());
    handshake.extend(host.as_bytes());
    handshake.extend(address.port().to_be_bytes());
    put_number(&mut handshake, WANTS_STATUS);

    let mut bytes = Vec::new();
    put_length(&mut bytes, handshake.len());
    bytes.extend(handshake);
    put_length(&mut bytes, 1);
    put_number(&mut bytes, KIND);
    bytes
}

/// The JSON of a status reply; `None` while more of it has to come.
///
/// # Errors
/// However much still comes, it will be no status reply.
pub(super) fn status_reply(bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let Some((length, packet)) = number(bytes)? else { return Ok(None) };
    let whole = usize::try_from(length).ok().filter(|length| (1..=REPLY_MAX).contains(length));
    let whole = whole.ok_or(Malformed::Length(length))?;
    let is_whole = packet.len() >= whole;
    let packet = packet.get(..whole).unwrap_or(packet);
    // A number that is cut off by the end of its packet will not get longer.
    let short = if is_whole { Err(Malformed::Length(length)) } else { Ok(None) };
    // The kind is looked at before the rest has come: what is no Minecraft server would let the check wait for that.
    let Some((kind, content)) = number(packet)? else { return short };
    if kind != KIND {
        return Err(Malformed::Kind(kind));
    }
    let Some((length, text)) = number(content)? else { return short };
    let room = whole - (packet.len() - text.len());
    let length = usize::try_from(length).ok().filter(|length| *length <= room).ok_or(Malformed::Text(length))?;
    Ok(text.get(..length))
}

/// The number that bytes begin with, and what follows it; `None` while more of it has to come.
fn number(bytes: &[u8]) -> Result<Option<(i32, &[u8])>, Malformed> {
    let mut number = 0u32;
    for (index, byte) in bytes.iter().take(NUMBER_MAX).enumerate() {
        // The last byte has room for four bits, and none follows it.
        if index == NUMBER_MAX - 1 && *byte > 0x0f {
            return Err(Malformed::Number);
        }
        number |= u32::from(byte & !MORE) << (7 * index);
        if byte & MORE == 0 {
            return Ok(Some((number.cast_signed(), &bytes[index + 1..])));
        }
    }
    Ok(None)
}

fn put_number(bytes: &mut Vec<u8>, number: i32) {
    let mut rest = number.cast_unsigned();
    loop {
        let [lowest, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            bytes.push(lowest);
            return;
        }
        bytes.push(lowest | MORE);
    }
}

/// Lengths of what is sent here fit: an address in text form has less than a hundred bytes.
fn put_length(bytes: &mut Vec<u8>, length: usize) {
    put_number(bytes, i32::try_from(length).unwrap_or(i32::MAX));
}

/// Bytes of a number, at most.
const NUMBER_MAX: usize = 5;

/// Set in a byte of a number when another one follows.
const MORE: u8 = 0x80;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not from a Minecraft server: ")?;
        match self {
            Self::Number => f.write_str("a number of more than 32 bits"),
            Self::Length(length) => write!(f, "a packet of {length} bytes"),
            Self::Kind(kind) => write!(f, "a packet of kind {kind} where a status (0) was asked for"),
            Self::Text(length) => write!(f, "a text of {length} bytes does not fit in its packet"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
