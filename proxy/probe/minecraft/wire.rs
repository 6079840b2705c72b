//! Packets of the game's protocol, as far as a question for the status needs them.

use std::fmt;
use std::net::SocketAddr;

use crate::net::minecraft::{NUMBER_MAX, Overlong, framed, number, put_number, put_text};

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
    put_text(&mut handshake, host.as_bytes());
    handshake.extend(address.port().to_be_bytes());
    put_number(&mut handshake, WANTS_STATUS);

    let mut request = Vec::new();
    put_number(&mut request, KIND);
    [framed(&handshake), framed(&request)].concat()
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

impl From<Overlong> for Malformed {
    fn from(_overlong: Overlong) -> Self {
        Self::Number
    }
}

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
