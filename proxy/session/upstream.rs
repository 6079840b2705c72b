//! A connection to a backend, as its pool wants it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::net::socket;
use crate::net::tls::{Connection as _, ToBackend};
use crate::pool::{Backend, Failure, Lease, Pool};

/// A connection to a backend.
#[derive(Debug)]
pub enum Upstream {
    /// Bytes, as the client sends them.
    Plain(TcpStream),
    /// By TLS.
    Encrypted(ToBackend),
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoConnection {
    /// The backend cannot be reached, or this process is short of descriptors or memory.
    Failed,
    /// This machine has no port left to connect to that backend from.
    NoSourcePort,
}

impl Upstream {
    /// Connects to the backend that is claimed, until then at the latest, and counts how that went: for it, or against it.
    /// Returns how long it took, too.
    ///
    /// # Errors
    /// It failed.
    pub async fn dial(
        pool: &Pool,
        lease: &Lease,
        introduction: Option<&[u8]>,
        until: Instant,
    ) -> Result<(Self, Duration), NoConnection> {
        let started = Instant::now();
        let opened = timeout_at(until, Self::open(pool, lease.backend(), introduction)).await;
        match opened.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())) {
            Ok(upstream) => {
                let took = started.elapsed();
                lease.connected(took);
                pool.connect_duration().observe(took.as_secs_f64());
                Ok((upstream, took))
            }
            Err(error) => Err(note_failure(pool, lease, &error)),
        }
    }

    /// Connects; says the introduction, and encrypts what follows where the pool says so.
    async fn open(pool: &Pool, backend: &Backend, introduction: Option<&[u8]>) -> io::Result<Self> {
        let stream = socket::connect(backend.address()).await?;
        if let Some(introduction) = introduction {
            socket::send_first(&stream, introduction)?;
        }
        match pool.encrypter() {
            None => Ok(Self::Plain(stream)),
            Some(tls) => {
                let encrypted = tls.encrypt(stream, backend.key().name(), backend.address().ip());
                Box::pin(encrypted).await.map(Self::Encrypted)
            }
        }
    }

    /// What the kernel knows.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Encrypted(stream) => stream.tcp(),
        }
    }
}

impl AsyncRead for Upstream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Encrypted(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Counts a failed connect against the backend, unless the fault lies on this side.
fn note_failure(pool: &Pool, lease: &Lease, error: &io::Error) -> NoConnection {
    let (pool, backend) = (pool.name(), lease.backend().key());
    if socket::lacks_port(error) {
        tracing::warn!(%pool, %backend, %error, "no source port left to connect from; see no_source_port in the runbook");
        lease.backend().note_no_source_port();
        return NoConnection::NoSourcePort;
    }
    if socket::is_own_fault(error) {
        tracing::debug!(%pool, %backend, %error, "no descriptor or memory left to connect with");
        return NoConnection::Failed;
    }
    tracing::debug!(%pool, %backend, %error, "connect failed");
    let timed_out = error.kind() == io::ErrorKind::TimedOut;
    let failure = if timed_out { Failure::ConnectTimeout } else { Failure::ConnectFailed };
    // No client has a part in it.
    lease.failed(failure, || None, Instant::now());
    NoConnection::Failed
}
