//! Bytes that have come on a connection and are not taken yet.

use std::io;
use std::mem::{self, MaybeUninit};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

/// What has come.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Bytes,
    /// Where more is read to, if there is much.
    room: BytesMut,
    /// Whether there is: the last read brought so much.
    is_rich: bool,
}

/// Bytes that are read at once, and kept in as much memory as they need: most messages are no longer.
const FEW: usize = 8 * 1024;

/// Bytes that are read at once behind a read that was full: kept where they are read, as copying them would cost more.
pub const MANY: usize = 64 * 1024;

impl Input {
    /// What there is, to be taken from.
    pub fn bytes(&mut self) -> &mut Bytes {
        &mut self.bytes
    }

    /// Whether all that has come is taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What there is.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// What comes next is another message, about whose length nothing is known.
    pub fn begin_anew(&mut self) {
        self.is_rich = false;
    }

    /// Reads more, and returns how much that is.
    pub fn poll_more<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = if self.is_rich {
            self.room.reserve(MANY);
            let read = ready!(pin!(stream.read_buf(&mut self.room)).poll(cx))?;
            let new = mem::take(&mut self.room);
            if self.is_empty() {
                self.bytes = new.freeze();
            } else {
                self.append(&new);
            }
            read
        } else {
            let mut room = [MaybeUninit::uninit(); FEW];
            let mut room = ReadBuf::uninit(&mut room);
            ready!(Pin::new(stream).poll_read(cx, &mut room))?;
            self.append(room.filled());
            room.filled().len()
        };
        self.is_rich = read >= FEW;
        Poll::Ready(Ok(read))
    }

    /// Room for what comes in small pieces grows in large ones, as long as nobody has taken any of it.
    fn append(&mut self, new: &[u8]) {
        if self.is_empty() {
            self.bytes = Bytes::copy_from_slice(new);
            return;
        }
        let whole = mem::take(&mut self.bytes).try_into_mut();
        let mut whole = whole.unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        whole.extend_from_slice(new);
        self.bytes = whole.freeze();
    }
}

/// Passes over so many bytes. What nobody reads any more is not kept.
pub fn skip(bytes: &mut Bytes, length: usize) {
    bytes.advance(length);
    if bytes.is_empty() {
        *bytes = Bytes::new();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Reads all of it in pieces of that size, taking some at once now and then.
    async fn read(text: &[u8], size: usize, taken: usize) -> Vec<u8> {
        let (mut input, mut whole) = (Input::default(), Vec::new());
        for mut piece in text.chunks(size) {
            while !piece.is_empty() {
                poll_fn(|cx| input.poll_more(&mut piece, cx)).await.unwrap();
            }
            let here = taken.min(input.bytes().len());
            whole.extend_from_slice(&input.bytes().split_to(here));
        }
        assert_eq!(poll_fn(|cx| input.poll_more(&mut &b""[..], cx)).await.unwrap(), 0, "the end");
        whole.extend_from_slice(&input.into_bytes());
        whole
    }

    #[tokio::test]
    async fn nothing_is_lost_between_the_pieces() {
        let text: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        for (size, taken) in [(1000, 0), (1000, 999), (8192, 1), (100_000, 0), (300_000, 70_000), (20_000, 20_000)] {
            assert!(read(&text, size, taken).await == text, "in pieces of {size}, of which {taken} are taken");
        }
    }
}
