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

impl Upstream {
    /// Connects to the backend that is claimed, until then at the latest, and counts how that went: for it, or against it.
    /// Returns how long it took, too; `None` if it failed.
    pub async fn dial(
        pool: &Pool,
        lease: &Lease,
        introduction: Option<&[u8]>,
        until: Instant,
    ) -> Option<(Self, Duration)> {
        let started = Instant::now();
        let opened = timeout_at(until, Self::open(pool, lease.backend(), introduction)).await;
        match opened.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())) {
            Ok(upstream) => {
                let took = started.elapsed();
                lease.connected(took);
                pool.connect_duration().observe(took.as_secs_f64());
                Some((upstream, took))
            }
            Err(error) => {
                note_failure(pool, lease, &error);
                None
            }
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
fn note_failure(pool: &Pool, lease: &Lease, error: &io::Error) {
    let (pool, backend) = (pool.name(), lease.backend().key());
    if socket::is_own_fault(error) {
        tracing::debug!(%pool, %backend, %error, "no descriptor, memory or port left to connect with");
        return;
    }
    tracing::debug!(%pool, %backend, %error, "connect failed");
    let timed_out = error.kind() == io::ErrorKind::TimedOut;
    let failure = if timed_out { Failure::ConnectTimeout } else { Failure::ConnectFailed };
    // No client has a part in it.
    lease.failed(failure, || None, Instant::now());
}
