//! The PROXY header in front of a client's bytes.
//!
//! It is looked at where it lies, in the kernel, and taken out of there to the byte when it is whole: so what follows it is
//! read by the session like any other first byte, and no buffer goes with the connection from here.

use std::io::{self, Read as _};
use std::net::TcpStream;
use std::os::fd::AsFd;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;

use crate::net::proxy_protocol::{Found, Header, Invalid, LENGTH_MAX, parse};
use crate::net::socket;

/// What most headers fit in. Where more has come, it is looked at again with [`LENGTH_MAX`].
const USUAL: usize = 256;

/// Why there is no header.
#[derive(Debug)]
pub(super) enum NoHeader {
    /// What comes is none.
    Invalid(Invalid),
    /// The balancer has gone, or closed its side.
    Gone,
}

/// Takes the header out of the stream, if it has come.
pub(super) fn take(mut stream: &TcpStream) -> Result<Option<Header>, NoHeader> {
    let Some(Found { header, length }) = look(stream)? else { return Ok(None) };
    // All of it is there.
    stream.read_exact(&mut vec![0; length])?;
    Ok(Some(header))
}

/// Waits for the header, and takes it out of the stream.
pub(super) async fn wait(stream: TcpStream) -> Result<(TcpStream, Header), NoHeader> {
    let stream = tokio::net::TcpStream::from_std(stream)?;
    // Each look that finds it incomplete says that it would block, and so waits for more to come.
    let whole = stream.async_io(Interest::READABLE, || match look(&stream) {
        Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
        verdict => Ok(verdict),
    });
    whole.await??;
    let stream = stream.into_std()?;
    let header = take(&stream)?.ok_or(NoHeader::Gone)?;
    Ok((stream, header))
}

/// The header, left where it is.
fn look(stream: &impl AsFd) -> Result<Option<Found>, NoHeader> {
    let mut usual = [0; USUAL];
    let found = match peek(stream, &mut usual)? {
        USUAL => {
            let mut longest = vec![0; LENGTH_MAX];
            let length = peek(stream, &mut longest)?;
            parse(&longest[..length])
        }
        length => parse(&usual[..length]),
    };
    let found = found.map_err(NoHeader::Invalid)?;
    if found.is_none() && socket::has_left(stream) {
        return Err(NoHeader::Gone);
    }
    Ok(found)
}

/// As many bytes as have come and have room.
fn peek(stream: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    match recv(stream, buffer, RecvFlags::PEEK) {
        Ok((length, _)) => Ok(length),
        Err(rustix::io::Errno::AGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

impl From<io::Error> for NoHeader {
    fn from(_broken: io::Error) -> Self {
        Self::Gone
    }
}
