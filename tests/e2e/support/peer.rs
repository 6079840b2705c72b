//! One end of a session: a client, or a backend's side of an accepted connection.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::soon;

/// What a narrow socket may hold in each direction; the kernel doubles it for its own overhead.
pub(crate) const NARROW_BYTES: usize = 256 * 1024;

/// A connection whose every wait has an end.
#[derive(Debug)]
pub(crate) struct Peer<S = TcpStream>(pub(crate) S);

/// How the other side ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Closed,
    Reset,
}

impl Peer {
    /// A client, connected to a proxy or to a backend.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(soon("a connection", Self::try_connect(address)).await.expect("connect"))
    }

    /// A client's try.
    pub(crate) async fn try_connect(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Whether nobody listens there. A reset is no such answer: a socket that is just being closed gives it.
    pub(crate) async fn is_refused(address: SocketAddr) -> bool {
        let connected = soon("an answer to a connect", Self::try_connect(address)).await;
        connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Fixes the size of the socket's buffers, which the kernel would else let grow: what this side does not read, or
    /// cannot send, then waits elsewhere. Smaller than a few segments of the loopback device, they would crawl.
    pub(crate) fn narrow(&self) {
        let socket = SockRef::from(&self.0);
        socket.set_recv_buffer_size(NARROW_BYTES).unwrap();
        socket.set_send_buffer_size(NARROW_BYTES).unwrap();
    }

    /// Whether the connection is open and silent.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0; 1];
        self.0.try_read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Breaks the connection off: what the other side gets is a reset.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().expect("linger");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        soon("room to send", self.0.write_all(bytes)).await.expect("send");
    }

    /// The next bytes must be these.
    pub(crate) async fn expect(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        let what = format!("the bytes {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
        soon(&what, self.0.read_exact(&mut got)).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(got == bytes, "other bytes than {what}");
    }

    /// So many bytes, whatever they are.
    pub(crate) async fn expect_any(&mut self, length: usize) -> Vec<u8> {
        let mut got = vec![0; length];
        soon("bytes", self.0.read_exact(&mut got)).await.expect("bytes");
        got
    }

    /// Sends, and expects the same bytes back.
    pub(crate) async fn echo(&mut self, bytes: &[u8]) {
        self.send(bytes).await;
        self.expect(bytes).await;
    }

    /// The same, for peers that may fail: whether the right bytes came back.
    pub(crate) async fn try_echo(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let mut got = vec![0; bytes.len()];
        self.0.write_all(bytes).await?;
        self.0.read_exact(&mut got).await?;
        Ok(got == bytes)
    }

    /// Says that no more bytes come from here.
    pub(crate) async fn end(&mut self) {
        self.0.shutdown().await.expect("shutdown");
    }

    /// The other side ends its bytes, with nothing before.
    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.ending().await, (Ending::Closed, 0));
    }

    /// The other side resets the connection, with nothing before.
    pub(crate) async fn expect_reset(&mut self) {
        assert_eq!(self.ending().await, (Ending::Reset, 0));
    }

    /// How the other side ends the connection, and how many bytes come before.
    pub(crate) async fn ending(&mut self) -> (Ending, usize) {
        soon("the end of the connection", async {
            let mut buffer = vec![0; 16 * 1024];
            let mut bytes = 0;
            loop {
                match self.0.read(&mut buffer).await {
                    Ok(0) => return (Ending::Closed, bytes),
                    Ok(read) => bytes += read,
                    Err(_broken) => return (Ending::Reset, bytes),
                }
            }
        })
        .await
    }
}
