//! The PROXY header in front of a client's bytes.
//!
//! It is taken out of the stream to the byte when it is whole: so what follows it is read by the session like any other first
//! byte, and no buffer goes with the connection from here. A long one, which the kernel may have no room for, is taken out in pieces
//! of which nothing is kept.

use std::io::{self, Read as _};
use std::net::TcpStream;

use crate::net::first_bytes::{self, Failure};
use crate::net::proxy_protocol::{Found, Header, Invalid, LongHeader, PEEKED_MAX, Start, begin};

/// Why there is no header.
pub(super) type NoHeader = Failure<Invalid>;

/// Takes the header out of the stream, if it has come. A long one is left to who may wait for it.
pub(super) fn take(stream: &TcpStream) -> Result<Option<Header>, NoHeader> {
    match first_bytes::look(stream, PEEKED_MAX, begin)? {
        Some(Start::Whole(found)) => take_out(stream, found).map(Some),
        Some(Start::Long(_)) | None => Ok(None),
    }
}

/// Waits for the header, and takes it out of the stream.
pub(super) async fn wait(stream: TcpStream) -> Result<(TcpStream, Header), NoHeader> {
    let stream = tokio::net::TcpStream::from_std(stream).map_err(|_broken| Failure::Broken)?;
    let (header, whole) = match first_bytes::wait(&stream, PEEKED_MAX, begin).await? {
        Start::Whole(found) => (found.header, Some(found)),
        Start::Long(long) => (take_out_in_pieces(&stream, long).await?, None),
    };
    let stream = stream.into_std().map_err(|_broken| Failure::Broken)?;
    whole.map(|found| take_out(&stream, found)).transpose()?;
    Ok((stream, header))
}

/// All of it is there.
fn take_out(mut stream: &TcpStream, Found { header, length }: Found) -> Result<Header, NoHeader> {
    stream.read_exact(&mut vec![0; length]).map_err(|_broken| Failure::Broken)?;
    Ok(header)
}

/// It is there as far as the kernel has room.
async fn take_out_in_pieces(stream: &tokio::net::TcpStream, mut long: LongHeader) -> Result<Header, NoHeader> {
    while long.left() > 0 {
        stream.readable().await.map_err(|_broken| Failure::Broken)?;
        let mut piece = [0; PEEKED_MAX];
        let most = long.left().min(piece.len());
        match stream.try_read(&mut piece[..most]) {
            Ok(0) => return Err(Failure::Gone),
            Ok(length) => long.pass(&piece[..length]).map_err(Failure::Invalid)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_broken) => return Err(Failure::Broken),
        }
    }
    long.finish().map_err(Failure::Invalid)
}
