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
    /// The peer has closed its side before all of it had come.
    Gone,
    /// The connection broke before that.
    Broken,
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
    match look_once(stream, longest, &parse)? {
        // What came between the look and the end is the last of it.
        None if socket::has_left(stream) => {
            // A reset that came behind some bytes has not been seen by looking at them.
            let how = || if socket::is_broken(stream) { Failure::Broken } else { Failure::Gone };
            look_once(stream, longest, &parse)?.map(Some).ok_or_else(how)
        }
        found => Ok(found),
    }
}

fn look_once<T, E>(
    stream: &impl AsFd,
    longest: usize,
    parse: impl Fn(&[u8]) -> Result<Option<T>, E>,
) -> Result<Option<T>, Failure<E>> {
    let mut usual = [0; USUAL];
    let found = match peek(stream, &mut usual).map_err(|_broken| Failure::Broken)? {
        USUAL => {
            let mut all = vec![0; longest];
            let length = peek(stream, &mut all).map_err(|_broken| Failure::Broken)?;
            parse(&all[..length])
        }
        length => parse(&usual[..length]),
    };
    found.map_err(Failure::Invalid)
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
    found.await.unwrap_or(Err(Failure::Broken))
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Shutdown, TcpListener, TcpStream as Plain};
    use std::time::Duration;

    use super::*;

    fn pair() -> (Plain, Plain) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = Plain::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        (far, near)
    }

    /// All that has come, if it is so much.
    fn all(enough: usize) -> impl Fn(&[u8]) -> Result<Option<usize>, ()> {
        move |bytes| Ok((bytes.len() >= enough).then_some(bytes.len()))
    }

    #[test]
    fn what_comes_with_the_end_is_not_missed() {
        let (far, near) = pair();
        // Between the look and the question whether the peer has left.
        let parse = |bytes: &[u8]| {
            if bytes.is_empty() {
                (&far).write_all(b"hello").unwrap();
                far.shutdown(Shutdown::Write).unwrap();
            }
            all(5)(bytes)
        };
        assert_eq!(look(&near, 100, parse), Ok(Some(5)));
        assert_eq!(look(&near, 100, all(6)), Err(Failure::Gone));
    }

    #[test]
    fn a_broken_connection_is_no_end() {
        for sent in [&b""[..], b"hello"] {
            let (far, near) = pair();
            (&far).write_all(sent).unwrap();
            socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
            drop(far);
            assert_eq!(look(&near, 100, all(10)), Err(Failure::Broken), "after {sent:?}");
        }
    }

    #[test]
    fn more_than_usual_is_looked_at_again() {
        let (far, near) = pair();
        (&far).write_all(&[7; 3 * USUAL]).unwrap();
        assert_eq!(look(&near, 2 * USUAL, all(2 * USUAL)), Ok(Some(2 * USUAL)));
        assert_eq!(look(&near, 2 * USUAL, all(2 * USUAL + 1)), Ok(None));
    }
}
