//! The PROXY header in front of a client's bytes.
//!
//! It is looked at where it lies, in the kernel, and taken out of there to the byte when it is whole: so what follows it is
//! read by the session like any other first byte, and no buffer goes with the connection from here.

use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::net::TcpStream;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;

use crate::net::proxy_protocol::{Found, Header, Invalid, LENGTH_MAX, parse};
use crate::net::socket;

/// What most headers fit in; a longer one is looked at again with [`LENGTH_MAX`].
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
pub(super) fn take(stream: &TcpStream) -> Result<Option<Header>, NoHeader> {
    match look(stream)? {
        Some(Found { header, length }) => {
            // All of it is there, and may come in pieces only where a signal comes between.
            (&mut &*stream).take(length as u64).read_exact(&mut vec![0; length]).map_err(|_broken| NoHeader::Gone)?;
            Ok(Some(header))
        }
        None => Ok(None),
    }
}

/// Waits for the header, and takes it out of the stream.
pub(super) async fn wait(stream: TcpStream) -> Result<(TcpStream, Header), NoHeader> {
    let stream = tokio::net::TcpStream::from_std(stream).map_err(|_unwatched| NoHeader::Gone)?;
    // Each look that finds it incomplete says that it would block, and so waits for more to come.
    let whole = stream.async_io(Interest::READABLE, || match look(&stream) {
        Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
        verdict => Ok(verdict),
    });
    whole.await.map_err(|_broken| NoHeader::Gone)??;
    let stream = stream.into_std().map_err(|_unwatched| NoHeader::Gone)?;
    let header = take(&stream)?.ok_or(NoHeader::Gone)?;
    Ok((stream, header))
}

/// The header, without taking it.
fn look(stream: &impl std::os::fd::AsFd) -> Result<Option<Found>, NoHeader> {
    let mut usual = [MaybeUninit::uninit(); USUAL];
    let found = match peek(stream, &mut usual)? {
        Peeked::All(bytes) => parse(bytes),
        Peeked::More => {
            let mut longest = vec![MaybeUninit::uninit(); LENGTH_MAX];
            match peek(stream, &mut longest)? {
                Peeked::All(bytes) => parse(bytes),
                Peeked::More => parse(&[]),
            }
        }
        Peeked::Nothing => Ok(None),
    };
    let found = found.map_err(NoHeader::Invalid)?;
    if found.is_none() && socket::has_left(stream) {
        return Err(NoHeader::Gone);
    }
    Ok(found)
}
