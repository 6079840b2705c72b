//! A side that does not read holds the other side back: what the proxy takes in for it is bounded, and none of it is lost.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::peer::NARROW_BYTES;
use crate::support::proxy::pool;
use crate::support::{Backend, Pattern, Peer, Proxy, soon};

const MEGABYTE: usize = 1_000_000;

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_backend_back() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::before(&[&backend.backend]);
    let (mut client, mut server) = proxy.session(&mut backend).await;
    check_backpressure(&mut server, &mut client).await;
    proxy.expect_empty().await;
}

#[tokio::test]
async fn a_backend_that_does_not_read_holds_the_client_back() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&pool(&[&backend.backend], "request_timeout = \"off\""));
    let (mut client, mut server) = proxy.session(&mut backend).await;
    check_backpressure(&mut client, &mut server).await;
    proxy.expect_empty().await;
}

/// Pushes 50 MB to a reader that first does not read, then reads slowly, then all.
async fn check_backpressure(from: &mut Peer, to: &mut Peer) {
    from.narrow();
    to.narrow();
    // A kernel that may buffer more than that is given more.
    let length = (50 * MEGABYTE).max(most_on_the_way() + 10 * MEGABYTE);
    let pattern = Pattern::new(4);
    let taken = AtomicUsize::new(0);
    let taken_now = || taken.load(Ordering::Relaxed);
    let push = async {
        let mut counting = Counting { stream: &mut from.0, taken: &taken };
        assert_eq!(pattern.send(&mut counting, length).await, length);
        from.0.shutdown().await.unwrap();
    };
    let read = async {
        let mut before = 0;
        // Full is when nothing moves for a while. A slow machine may rest that long too, and then only checks less.
        while taken_now() == 0 || taken_now() > before {
            before = taken_now();
            sleep(Duration::from_millis(300)).await;
        }
        assert!(taken_now() <= most_on_the_way(), "{} bytes were taken in for nobody", taken_now());
        let mut seen = 0;
        for _ in 0..20 {
            seen += pattern.check_some(&mut to.0, seen, 1_000).await;
            sleep(Duration::from_millis(10)).await;
        }
        assert!(taken_now() <= most_on_the_way() + seen, "{} bytes were taken in, {seen} read", taken_now());
        seen + pattern.check_some(&mut to.0, seen, usize::MAX).await
    };
    let (_, seen) = soon("all bytes", async { tokio::join!(push, read) }).await;
    assert_eq!(seen, length);
    to.end().await;
    from.expect_end().await;
}

/// The most bytes that can be on the way: what the kernel buffers for the proxy's two sockets at most, the narrow buffers
/// of both ends, and the relay's one buffer.
fn most_on_the_way() -> usize {
    let largest = |file: &str| -> usize {
        let limits = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{file}")).unwrap();
        limits.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    largest("tcp_rmem") + largest("tcp_wmem") + 4 * NARROW_BYTES + 64 * 1024
}

/// Counts what a stream takes.
struct Counting<'a> {
    stream: &'a mut TcpStream,
    taken: &'a AtomicUsize,
}

impl AsyncWrite for Counting<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut *self.stream).poll_write(cx, bytes))?;
        self.taken.fetch_add(taken, Ordering::Relaxed);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
