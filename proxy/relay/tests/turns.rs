//! A direction that never runs dry must leave the other one its turn.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};

use super::*;

/// A peer that never runs dry and takes everything: the other direction must get its turn all the same.
struct Endless(DuplexStream);

impl Socket for Endless {
    const ENDS_WHEN_DROPPED: bool = false;

    fn is_broken(&self) -> bool {
        false
    }

    fn settle(&self, _: Liveness) {}
}

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        buffer.put_slice(&[7; 1000]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Takes all that is written, and reads what its pipe holds.
struct Sink(DuplexStream);

impl Socket for Sink {
    const ENDS_WHEN_DROPPED: bool = false;

    fn is_broken(&self) -> bool {
        false
    }

    fn settle(&self, _: Liveness) {}
}

impl AsyncRead for Sink {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_direction_that_never_runs_dry_leaves_the_other_its_turn() {
    let (mut client, downstream) = duplex(PIPE);
    let (mut backend, upstream) = duplex(PIPE);
    let (mut downstream, mut upstream) = (Endless(downstream), Sink(upstream));
    let (buffer, seen) = (Buffer::new(), Seen::default());
    let session =
        Session { buffer: &buffer, limits: &UNLIMITED, began: Instant::now(), observer: &seen, stop: &seen.stop };
    let answer = async {
        backend.write_all(b"still here").await.unwrap();
        let heard = read_exactly::<10>(&mut client).await;
        seen.stop.ask();
        heard
    };
    let (end, heard) = tokio::join!(run(&mut downstream, &mut upstream, session), answer);
    assert_eq!((end, &heard), (End::Stopped, b"still here"));
}
