//! A connection to a backend, as its pool wants it.

use std::io;

use tokio::net::TcpStream;

use crate::net::socket;
use crate::net::tls::{Connection as _, ToBackend};
use crate::pool::{Backend, Pool};

/// A connection to a backend.
#[derive(Debug)]
pub enum Upstream {
    /// Bytes, as the client sends them.
    Plain(TcpStream),
    /// By TLS.
    Encrypted(ToBackend),
}

impl Upstream {
    /// Connects; says the introduction, and encrypts what follows where the pool says so. The caller bounds the time.
    ///
    /// # Errors
    /// The backend cannot be reached, or does not do its part of the handshake.
    pub async fn open(pool: &Pool, backend: &Backend, introduction: Option<&[u8]>) -> io::Result<Self> {
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
