//! What a relay needs of the connections on its two sides.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Liveness, Quality};

/// A byte stream between two peers.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Whether dropping the stream tells its peer of the end just as a shutdown does: then the last one is left out.
    const ENDS_WHEN_DROPPED: bool;

    /// Whether the peer says that it is at its end, apart from closing its connection. Then a connection that only closes, or breaks,
    /// was cut off: an error of reading, of which what came before is no part.
    const MARKS_END: bool = false;

    /// Whether the connection has broken, found out without reading from it. Asked while the relay may not read because
    /// the far side takes nothing; may take the error away, for the relay ends when it is `true`.
    fn is_broken(&self) -> bool;

    /// Whether the peer has closed its side, found out without reading what it sent before.
    fn has_ended(&self) -> bool {
        false
    }

    /// How long the peer has acknowledged nothing, while bytes wait for that; `None` where none do. May cost a system call.
    fn unacknowledged(&self) -> Option<Duration> {
        None
    }

    /// Has the kernel give up the peer when it does not answer for as long as that says. Called once the session has lasted for a
    /// while, because shorter ones do not need it.
    fn settle(&self, liveness: Liveness);

    /// Its peer must not take what follows for an end in order: where that is not so anyway, closing becomes a reset.
    fn break_off(&self) {}

    /// Ends what is said to the peer without saying that it is whole, where that is said ([`Self::MARKS_END`]). All of it has been
    /// flushed.
    fn poll_cut(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_shutdown(cx)
    }

    /// Whether the peer's machine has all that was flushed, or has gone. May cost a system call.
    fn is_delivered(&self) -> bool {
        true
    }

    /// What the kernel knows of the connection's quality, where there is one to ask about. May cost a system call.
    fn quality(&self) -> Option<Quality> {
        None
    }
}

/// For streams that are too large to be carried about.
impl<S: Socket> Socket for Box<S> {
    const ENDS_WHEN_DROPPED: bool = S::ENDS_WHEN_DROPPED;
    const MARKS_END: bool = S::MARKS_END;

    fn is_broken(&self) -> bool {
        (**self).is_broken()
    }

    fn poll_cut(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self).poll_cut(cx)
    }

    fn is_delivered(&self) -> bool {
        (**self).is_delivered()
    }

    fn has_ended(&self) -> bool {
        (**self).has_ended()
    }

    fn unacknowledged(&self) -> Option<Duration> {
        (**self).unacknowledged()
    }

    fn settle(&self, liveness: Liveness) {
        (**self).settle(liveness);
    }

    fn break_off(&self) {
        (**self).break_off();
    }

    fn quality(&self) -> Option<Quality> {
        (**self).quality()
    }
}
