//! The first message of a TLS client, as far as it tells where the client wants to go. Pure: nothing is decrypted.
//!
//! Sources: RFC 8446 (4.1.2 the message, 5.1 records; the same in earlier versions from SSL 3.0 on), RFC 6066 (3, the host
//! name), RFC 7301 (3.1, the protocols).

use std::fmt;

use crate::config::scalar::canonical_host;

mod wire;

use self::wire::Wire;

/// What the message says of where the client wants to go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientHello {
    /// The host that it wants (SNI), as [`canonical_host`] has it.
    pub server_name: Option<String>,
    /// It names a host, but what stands there is no name that a host can have.
    pub is_name_unusable: bool,
    /// What it can speak, as the client prefers it (ALPN); often nothing.
    pub protocols: Protocols,
}

/// Names of protocols, such as `h2` or `minecraft`: at least one byte each, none of them text by necessity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Protocols(Vec<u8>);

/// Why bytes do not begin with such a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// They are not TLS, or an SSL that is older than anything in use.
    NotTls,
    /// The message would not end within [`LENGTH_MAX`].
    TooLong,
    /// What is in it does not fit together.
    Malformed,
}

/// Bytes that are worth reading, at most. Messages of browsers have 0.5 to 2 KiB.
pub const LENGTH_MAX: usize = 16 * 1024;

/// Kinds of records, messages and extensions.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// Of every version from SSL 3.0 to TLS 1.3.
const MAJOR_VERSION: u8 = 3;

/// What a record may carry (RFC 8446, 5.1).
const FRAGMENT_MAX: usize = 1 << 14;

/// The message that bytes begin with, in whatever records it comes; `None` while more of it has to come.
///
/// # Errors
/// They begin with none. More bytes would not change that.
pub fn parse(bytes: &[u8]) -> Result<Option<ClientHello>, Invalid> {
    let window = &bytes[..bytes.len().min(LENGTH_MAX)];
    match message(window)? {
        Some(message) => hello(&message).map(Some),
        None if bytes.len() < LENGTH_MAX => Ok(None),
        None => Err(Invalid::TooLong),
    }
}

/// The body of the message, put together from its records.
fn message(bytes: &[u8]) -> Result<Option<Vec<u8>>, Invalid> {
    let mut records = Wire::new(bytes);
    let mut message = Vec::new();
    while let Some(fragment) = fragment(&mut records)? {
        message.extend(fragment.bytes);
        if let Some(body) = body(&message)? {
            return Ok(Some(body.to_vec()));
        }
        if !fragment.is_whole {
            break;
        }
    }
    Ok(None)
}

/// What there is of a record.
struct Fragment<'a> {
    bytes: &'a [u8],
    is_whole: bool,
}

fn fragment<'a>(records: &mut Wire<'a>) -> Result<Option<Fragment<'a>>, Invalid> {
    let Some(kind) = records.byte() else { return Ok(None) };
    if kind != HANDSHAKE {
        return Err(Invalid::NotTls);
    }
    let Some(version) = records.byte() else { return Ok(None) };
    if version != MAJOR_VERSION {
        return Err(Invalid::NotTls);
    }
    let Some(length) = records.byte().and_then(|_minor| records.short()) else { return Ok(None) };
    let length = usize::from(length);
    if length == 0 || length > FRAGMENT_MAX {
        return Err(Invalid::Malformed);
    }
    Ok(Some(match records.take(length) {
        Some(bytes) => Fragment { bytes, is_whole: true },
        None => Fragment { bytes: records.rest(), is_whole: false },
    }))
}

/// The body of a message, if all of it is there.
fn body(message: &[u8]) -> Result<Option<&[u8]>, Invalid> {
    let mut message = Wire::new(message);
    match message.byte() {
        Some(CLIENT_HELLO) => {}
        Some(_other) => return Err(Invalid::NotTls),
        None => return Ok(None),
    }
    let Some((high, low)) = message.byte().zip(message.short()) else { return Ok(None) };
    let length = usize::from(high) << 16 | usize::from(low);
    if length > LENGTH_MAX {
        return Err(Invalid::TooLong);
    }
    Ok(message.take(length))
}

fn hello(body: &[u8]) -> Result<ClientHello, Invalid> {
    let extensions = extensions(&mut Wire::new(body)).ok_or(Invalid::Malformed)?;
    let mut hello = ClientHello::default();
    let Some(mut extensions) = extensions else { return Ok(hello) };
    let mut seen = [false; 2];
    while !extensions.is_empty() {
        let kind = extensions.short().ok_or(Invalid::Malformed)?;
        let content = extensions.vector16().ok_or(Invalid::Malformed)?;
        // One who tells two names may want one server to see one, and another the other.
        match kind {
            SERVER_NAME if !std::mem::replace(&mut seen[0], true) => {
                hello.server_name = server_name(content)?;
                hello.is_name_unusable = hello.server_name.is_none();
            }
            ALPN if !std::mem::replace(&mut seen[1], true) => hello.protocols = Protocols::read(content)?,
            SERVER_NAME | ALPN => return Err(Invalid::Malformed),
            _ => {}
        }
    }
    Ok(hello)
}

/// Behind everything else in the message; old clients have none. `None` outside if something does not fit.
fn extensions<'a>(body: &mut Wire<'a>) -> Option<Option<Wire<'a>>> {
    let (_version, _random) = (body.short()?, body.take(32)?);
    let (_session, _ciphers, _compression) = (body.vector8()?, body.vector16()?, body.vector8()?);
    if body.is_empty() {
        return Some(None);
    }
    let extensions = body.vector16()?;
    body.is_empty().then_some(Some(extensions))
}

/// The one host name of a list of names, all of which are host names today; `None` if it is none, as some clients send an address in
/// brackets, or nothing. They can still be served where the name does not matter.
fn server_name(mut extension: Wire<'_>) -> Result<Option<String>, Invalid> {
    const HOST_NAME: u8 = 0;
    let mut list = extension.vector16().ok_or(Invalid::Malformed)?;
    let (kind, name) = list.byte().zip(list.vector16()).ok_or(Invalid::Malformed)?;
    if kind != HOST_NAME || !list.is_empty() || !extension.is_empty() {
        return Err(Invalid::Malformed);
    }
    let Ok(name) = str::from_utf8(name.rest()) else { return Ok(None) };
    let name = canonical_host(name);
    // As many as DNS has, and nothing that could garble a log.
    let is_name = name.len() <= 253
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
        && name.split('.').all(|label| !label.is_empty());
    Ok(Some(name).filter(|_| is_name))
}

impl Protocols {
    fn read(mut extension: Wire<'_>) -> Result<Self, Invalid> {
        let list = extension.vector16().filter(|_| extension.is_empty()).ok_or(Invalid::Malformed)?;
        let mut names = list;
        while !names.is_empty() {
            names.vector8().filter(|name| !name.is_empty()).ok_or(Invalid::Malformed)?;
        }
        Ok(Self(list.rest().to_vec()))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut names = Wire::new(&self.0);
        std::iter::from_fn(move || names.vector8().map(Wire::rest))
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTls => "not TLS",
            Self::TooLong => "a TLS client's first message of more than 16 KiB",
            Self::Malformed => "a malformed TLS client's first message",
        })
    }
}

#[cfg(test)]
mod tests;
