//! Writes of several pieces: a head, and a body behind it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So many bytes are copied together: that costs less than a system call that takes several pieces.
const JOINED_MAX: usize = 2048;

/// Writes as many of them as it can.
pub fn poll_write<S: AsyncWrite>(
    stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [piece] = pieces {
        return stream.poll_write(cx, piece);
    }
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    if length > JOINED_MAX {
        return stream.poll_write_vectored(cx, pieces);
    }
    let (mut joined, mut at) = ([0; JOINED_MAX], 0);
    for piece in pieces {
        joined[at..at + piece.len()].copy_from_slice(piece);
        at += piece.len();
    }
    stream.poll_write(cx, &joined[..length])
}

/// A connection to a backend, written to in this way.
#[derive(Debug)]
pub struct Joined<S>(pub S);

impl<S: AsyncRead + Unpin> AsyncRead for Joined<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Joined<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_write(Pin::new(&mut self.0), cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn pieces_arrive_in_order_whatever_their_sizes() {
        for sizes in [vec![], vec![0, 0], vec![5], vec![300, 100], vec![2000, 48], vec![2000, 49], vec![9, 0, 90_000]] {
            let pieces: Vec<Vec<u8>> = (1..).zip(&sizes).map(|(byte, &size)| vec![byte; size]).collect();
            let (mut far, near) = duplex(10_000);
            let whole = pieces.concat();
            let length = whole.len();
            let reads = tokio::spawn(async move {
                let mut seen = Vec::new();
                far.read_to_end(&mut seen).await.unwrap();
                seen
            });
            let (mut stream, mut sent) = (Joined(near), 0);
            while sent < length {
                let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
                let mut left = &mut slices[..];
                IoSlice::advance_slices(&mut left, sent);
                sent += stream.write_vectored(left).await.unwrap();
            }
            drop(stream);
            assert_eq!(reads.await.unwrap(), whole, "{sizes:?}");
        }
    }
}
