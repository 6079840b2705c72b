//! The first bytes of a connection, looked at where they lie: in the kernel.
//!
//! So a stranger who takes its time costs no buffer, and what has been looked at is still there for who is to read it.

use std::io;
use std::os::fd::AsFd;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::socket;

/// What most of them fit in. Where more has come, they are looked at again.
const USUAL: usize = 2048;

/// Why there is nothing to be found in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure<E> {
    /// What comes is not what it must be.
    Invalid(E),
    /// The peer has gone, or closed its side, before all of it had come.
    Gone,
}

/// What `parse` finds in the bytes that have come, of which it wants so many at most; `None` while more have to come.
///
/// # Errors
/// There is nothing to be found, whatever comes.
pub fn look<T, E>(
    stream: &impl AsFd,
    longest: usize,
    parse: impl Fn(&[u8]) -> Result<Option<T>, E>,
) -> Result<Option<T>, Failure<E>> {
    let mut usual = [0; USUAL];
    let found = match peek(stream, &mut usual).map_err(|_broken| Failure::Gone)? {
        USUAL => {
            let mut all = vec![0; longest];
            let length = peek(stream, &mut all).map_err(|_broken| Failure::Gone)?;
            parse(&all[..length])
        }
        length => parse(&usual[..length]),
    };
    let found = found.map_err(Failure::Invalid)?;
    if found.is_none() && socket::has_left(stream) { Err(Failure::Gone) } else { Ok(found) }
}

/// Waits until `parse` has found what it wants. The caller bounds the time.
///
/// # Errors
/// There is nothing to be found, whatever comes.
pub async fn wait<T, E>(
    stream: &TcpStream,
    longest: usize,
    parse: impl Fn(&[u8]) -> Result<Option<T>, E>,
) -> Result<T, Failure<E>> {
    // Each look that finds too little says that it would block, and so waits for more to come.
    let found = stream.async_io(Interest::READABLE, || match look(stream, longest, &parse) {
        Ok(Some(found)) => Ok(Ok(found)),
        Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
        Err(failure) => Ok(Err(failure)),
    });
    found.await.unwrap_or(Err(Failure::Gone))
}

/// Whether any have come.
pub fn has_any(stream: &impl AsFd) -> bool {
    peek(stream, &mut [0]).is_ok_and(|length| length > 0)
}

/// As many bytes as have come and have room.
fn peek(stream: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    match recv(stream, buffer, RecvFlags::PEEK) {
        Ok((length, _)) => Ok(length),
        Err(rustix::io::Errno::AGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
