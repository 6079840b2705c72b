//! A stream of a client's connection that has become a byte stream (RFC 8441).

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::{Reason, RecvStream, SendStream};
use hyper::body::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::relay::{Liveness, Socket};

/// What the stream of a request becomes when its wish for another protocol is granted.
#[derive(Debug)]
pub struct Opening {
    receiving: RecvStream,
    sending: oneshot::Receiver<SendStream<Bytes>>,
}

/// A byte stream. One that is dropped before its end is reset.
#[derive(Debug)]
pub struct Stream {
    receiving: RecvStream,
    sending: RefCell<SendStream<Bytes>>,
    /// What has come, and was not read yet.
    input: Bytes,
}

impl Opening {
    /// Of a stream whose other half is given there when the consent goes out.
    pub fn new(receiving: RecvStream) -> (Self, oneshot::Sender<SendStream<Bytes>>) {
        let (granted, sending) = oneshot::channel();
        (Self { receiving, sending }, granted)
    }

    /// The stream, once the consent is out; `None` if the client has gone.
    pub async fn open(self) -> Option<Stream> {
        let sending = RefCell::new(self.sending.await.ok()?);
        Some(Stream { receiving: self.receiving, sending, input: Bytes::new() })
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.input.is_empty() {
            match ready!(self.receiving.poll_data(cx)) {
                Some(Ok(bytes)) => self.input = bytes,
                Some(Err(broken)) => return Poll::Ready(Err(io_error(broken))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = self.input.len().min(buffer.remaining());
        buffer.put_slice(&self.input[..taken]);
        self.input.advance(taken);
        // It fails only where more is given than was taken.
        _ = self.receiving.flow_control().release_capacity(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sending = self.sending.get_mut();
        if sending.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        sending.reserve_capacity(bytes.len());
        while sending.capacity() == 0 {
            match ready!(sending.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(broken)) => return Poll::Ready(Err(io_error(broken))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let taken = sending.capacity().min(bytes.len());
        sending.send_data(Bytes::copy_from_slice(&bytes[..taken]), false).map_err(io_error)?;
        Poll::Ready(Ok(taken))
    }

    /// What is written is the connection's to send.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.sending.get_mut().send_data(Bytes::new(), true).map_err(io_error))
    }
}

impl Socket for Stream {
    const ENDS_WHEN_DROPPED: bool = false;

    fn is_broken(&self) -> bool {
        false
    }

    fn settle(&self, _: Liveness) {}

    /// What is an error of the TCP connection on the other side is a reset here (RFC 8441, 5).
    fn break_off(&self) {
        self.sending.borrow_mut().send_reset(Reason::CANCEL);
    }
}

fn io_error(error: h2::Error) -> io::Error {
    if error.is_reset() {
        return io::Error::new(io::ErrorKind::ConnectionReset, error);
    }
    error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
}
