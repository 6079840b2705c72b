//! Encrypted connections as the relay and the session see them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use crate::relay::{Liveness, Quality, Socket};

/// A client's connection that is encrypted up to here. It takes more than a KiB, so it stays where it was made.
pub type FromClient = Box<server::TlsStream<TcpStream>>;

/// A connection to a backend that is encrypted from here on.
pub type ToBackend = Box<client::TlsStream<TcpStream>>;

/// A connection, plain or not, and the TCP below it.
pub trait Connection: Socket {
    /// What the kernel knows.
    fn tcp(&self) -> &TcpStream;
}

impl Connection for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Connection for FromClient {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Connection for ToBackend {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

// The end of what is said is an alert of its own (close_notify): a connection that is only closed was cut off, and reading from
// one is an error once all has been read that came before.

impl Socket for server::TlsStream<TcpStream> {
    const ENDS_WHEN_DROPPED: bool = false;
    const MARKS_END: bool = true;

    fn is_broken(&self) -> bool {
        self.get_ref().0.is_broken()
    }

    fn poll_cut(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get_mut().0).poll_shutdown(cx)
    }

    fn is_delivered(&self) -> bool {
        self.get_ref().0.is_delivered()
    }

    fn has_ended(&self) -> bool {
        self.get_ref().0.has_ended()
    }

    fn unacknowledged(&self) -> Option<Duration> {
        self.get_ref().0.unacknowledged()
    }

    fn settle(&self, liveness: Liveness) {
        self.get_ref().0.settle(liveness);
    }

    fn break_off(&self) {
        self.get_ref().0.break_off();
    }

    fn quality(&self) -> Option<Quality> {
        self.get_ref().0.quality()
    }
}

impl Socket for client::TlsStream<TcpStream> {
    const ENDS_WHEN_DROPPED: bool = false;
    const MARKS_END: bool = true;

    fn is_broken(&self) -> bool {
        self.get_ref().0.is_broken()
    }

    fn poll_cut(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get_mut().0).poll_shutdown(cx)
    }

    fn is_delivered(&self) -> bool {
        self.get_ref().0.is_delivered()
    }

    fn has_ended(&self) -> bool {
        self.get_ref().0.has_ended()
    }

    fn unacknowledged(&self) -> Option<Duration> {
        self.get_ref().0.unacknowledged()
    }

    fn settle(&self, liveness: Liveness) {
        self.get_ref().0.settle(liveness);
    }

    fn break_off(&self) {
        self.get_ref().0.break_off();
    }

    fn quality(&self) -> Option<Quality> {
        self.get_ref().0.quality()
    }
}
