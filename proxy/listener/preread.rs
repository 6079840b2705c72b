//! The PROXY header in front of a client's bytes.
//!
//! It is taken out of the stream to the byte when it is whole: so what follows it is read by the session like any other first
//! byte, and no buffer goes with the connection from here.

use std::io::Read as _;
use std::net::TcpStream;

use crate::net::first_bytes::{self, Failure};
use crate::net::proxy_protocol::{Found, Header, Invalid, LENGTH_MAX, parse};

/// Why there is no header.
pub(super) type NoHeader = Failure<Invalid>;

/// Takes the header out of the stream, if it has come.
pub(super) fn take(stream: &TcpStream) -> Result<Option<Header>, NoHeader> {
    first_bytes::look(stream, LENGTH_MAX, parse)?.map(|found| take_out(stream, found)).transpose()
}

/// Waits for the header, and takes it out of the stream.
pub(super) async fn wait(stream: TcpStream) -> Result<(TcpStream, Header), NoHeader> {
    let stream = tokio::net::TcpStream::from_std(stream).map_err(|_broken| Failure::Broken)?;
    let found = first_bytes::wait(&stream, LENGTH_MAX, parse).await?;
    let stream = stream.into_std().map_err(|_broken| Failure::Broken)?;
    let header = take_out(&stream, found)?;
    Ok((stream, header))
}

/// All of it is there.
fn take_out(mut stream: &TcpStream, Found { header, length }: Found) -> Result<Header, NoHeader> {
    stream.read_exact(&mut vec![0; length]).map_err(|_broken| Failure::Broken)?;
    Ok(header)
}
