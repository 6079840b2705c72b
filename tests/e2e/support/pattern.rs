//! Bytes that tell where they belong: each stream has its own, and a byte that is lost, doubled, swapped or another
//! stream's is found.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The length after which a pattern repeats: a prime, so that a shift by a buffer's length is noticed.
const PERIOD: usize = 65_521;

/// What a sender writes at once.
const CHUNK: usize = 32 * 1024;

/// One stream's bytes.
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    /// The pattern of a seed; other seeds have others.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        // Once and a half: every chunk is then one slice.
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(PERIOD).collect();
        bytes.extend_from_within(..CHUNK);
        Self(bytes)
    }

    /// The bytes from a place in the stream on, at most `most` of them.
    fn at(&self, place: usize, most: usize) -> &[u8] {
        let start = place % PERIOD;
        &self.0[start..start + most.min(CHUNK)]
    }

    /// Writes the first `length` bytes of the stream; stops where the reader is gone. How many were taken.
    pub(crate) async fn send(&self, to: &mut (impl AsyncWrite + Unpin), length: usize) -> usize {
        let mut sent = 0;
        while sent < length {
            match to.write(self.at(sent, length - sent)).await {
                Ok(taken) => sent += taken,
                Err(_gone) => break,
            }
        }
        sent
    }

    /// Reads until the end of the stream, and checks every byte. How many there were.
    pub(crate) async fn check(&self, from: &mut (impl AsyncRead + Unpin)) -> usize {
        self.check_some(from, 0, usize::MAX).await
    }

    /// Reads `length` bytes that stand at `start` of the stream, or fewer if it ends, and checks them.
    pub(crate) async fn check_some(&self, from: &mut (impl AsyncRead + Unpin), start: usize, length: usize) -> usize {
        let mut buffer = vec![0; CHUNK];
        let mut seen = 0;
        while seen < length {
            let most = CHUNK.min(length - seen);
            let read = from.read(&mut buffer[..most]).await.expect("the stream breaks off");
            if read == 0 {
                break;
            }
            assert!(buffer[..read] == *self.at(start + seen, read), "wrong bytes from {} on", start + seen);
            seen += read;
        }
        seen
    }
}
