//! A client's connection below the library: heads are looked at before it reads them, and have to come in time.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::blocks::{Block, Blocks};
use crate::http::timer::Timer;

/// A client's connection, as the library gets it. Bytes pass as they come, but for frames of HEADERS and what continues them: those
/// pass when all of them are there.
#[derive(Debug)]
pub struct Checked<S> {
    stream: S,
    /// What is left of the preface, or of a frame that passes as it comes.
    passing: usize,
    /// Bytes of a frame that passes when all of it is there.
    held: Vec<u8>,
    /// So many are needed to look at them again.
    needed: usize,
    /// What is to be read before anything else, as it is.
    ready: Vec<u8>,
    /// What has come behind it, and was not looked at.
    behind: Vec<u8>,
    blocks: Blocks,
    /// The last stream that was begun, and those whose bodies are to come: only there may trailers be.
    newest: u32,
    bodies: VecDeque<u32>,
    /// What comes cannot be read, which the library will find out, too: all of it passes.
    is_blind: bool,
    /// How long a head may take, once it has begun.
    limit: Duration,
    until: Option<Instant>,
    timer: Timer,
}

/// How far the frames of a head are there.
enum Found {
    /// They are not all there yet: so many bytes are needed to look again.
    Part(usize),
    /// They are so many bytes, and pass as they are.
    Whole(usize),
    /// They are so many bytes, and these pass in their place.
    Other(usize, Vec<u8>),
    /// What there is passes, whatever it is.
    Unreadable,
}

/// A frame's head (RFC 9113, 4.1).
#[derive(Debug, Clone, Copy)]
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

/// What a client begins with (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// Bytes of a frame's head.
const FRAME: usize = 9;

/// Bytes in a frame, as long as nobody says otherwise (RFC 9113, 6.5.2).
const FRAME_MAX: usize = 16 * 1024;

/// Frames of a head. The library takes fewer: what has more is for it to refuse.
const FRAMES_MAX: usize = 8;

/// Bodies that are followed at once. More than there may be, as not all are told to be over.
const BODIES_MAX: usize = 256;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

impl<S> Checked<S> {
    /// A connection that has just begun, where a head may take so long.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            passing: PREFACE,
            held: Vec::new(),
            needed: 0,
            ready: Vec::new(),
            behind: Vec::new(),
            blocks: Blocks::default(),
            newest: 0,
            bodies: VecDeque::new(),
            is_blind: false,
            limit,
            until: None,
            timer: Timer::default(),
        }
    }

    /// How many of these bytes pass at once. The others are held, or were changed and wait to be read.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        if !self.held.is_empty() {
            self.held.extend_from_slice(bytes);
            if self.held.len() < self.needed {
                return 0;
            }
            let held = mem::take(&mut self.held);
            let passed = self.pass_from(&held);
            self.ready.splice(..0, held[..passed].iter().copied());
            return 0;
        }
        self.pass_from(bytes)
    }

    fn pass_from(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.is_blind {
            let passing = self.passing.min(bytes.len() - at);
            self.passing -= passing;
            at += passing;
            if at == bytes.len() {
                break;
            }
            match self.look(&bytes[at..]) {
                Found::Whole(length) => at += length,
                Found::Part(needed) => {
                    self.held.extend_from_slice(&bytes[at..]);
                    self.needed = needed;
                    return at;
                }
                Found::Other(length, other) => {
                    self.ready = other;
                    self.behind = bytes[at + length..].to_vec();
                    return at;
                }
                Found::Unreadable => self.is_blind = true,
            }
        }
        bytes.len()
    }

    /// Looks at what begins with a frame.
    fn look(&mut self, bytes: &[u8]) -> Found {
        let Some(first) = Frame::read(bytes) else { return Found::Part(FRAME) };
        if first.kind != HEADERS {
            self.passing = FRAME + first.length;
            if first.kind == RST_STREAM || (first.kind == DATA && first.flags & END_STREAM != 0) {
                self.bodies.retain(|&stream| stream != first.stream);
            }
            return Found::Whole(0);
        }
        let (block, length) = match first.whole_block(bytes) {
            Ok(found) => found,
            Err(why) => return why,
        };
        let (is_new, is_trailers) = (first.stream > self.newest, self.bodies.contains(&first.stream));
        self.note_head(first);
        match self.blocks.read(&block, is_trailers) {
            Block::Sound => Found::Whole(length),
            // On a stream that is over it is more than malformed: the library knows what.
            Block::Malformed(other) if (is_new || is_trailers) && other.len() <= FRAME_MAX => {
                Found::Other(length, first.with_block(&other))
            }
            Block::Malformed(_) | Block::Unreadable => Found::Unreadable,
        }
    }

    fn note_head(&mut self, head: Frame) {
        self.newest = self.newest.max(head.stream);
        self.bodies.retain(|&stream| stream != head.stream);
        if head.flags & END_STREAM == 0 {
            self.bodies.push_back(head.stream);
            if self.bodies.len() > BODIES_MAX {
                self.bodies.pop_front();
            }
        }
    }
}

impl Frame {
    fn read(bytes: &[u8]) -> Option<Self> {
        let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes.first_chunk::<FRAME>()?;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        Some(Self { length, kind, flags, stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]) })
    }

    /// The block of fields that begins with this frame, the first of these bytes, and how many of them it takes.
    fn whole_block(self, bytes: &[u8]) -> Result<(Cow<'_, [u8]>, usize), Found> {
        let (mut end, mut last, mut block) = (0, self, Cow::Borrowed(&[][..]));
        for _ in 0..FRAMES_MAX {
            let is_foreign = last.stream != self.stream || (end > 0 && last.kind != CONTINUATION);
            if is_foreign || last.length > FRAME_MAX {
                return Err(Found::Unreadable);
            }
            let whole = end + FRAME + last.length;
            let payload = bytes.get(end + FRAME..whole).ok_or(Found::Part(whole))?;
            let part = last.block(payload).ok_or(Found::Unreadable)?;
            // Most heads are one frame, whose block is read where it is.
            block = if end == 0 { Cow::Borrowed(part) } else { Cow::Owned([&block, part].concat()) };
            end = whole;
            if last.flags & END_HEADERS != 0 {
                return Ok((block, end));
            }
            last = Self::read(&bytes[end..]).ok_or(Found::Part(end + FRAME))?;
        }
        Err(Found::Unreadable)
    }

    /// The part of a block of fields that a payload has (RFC 9113, 6.2). `None` if it is not what it must be.
    fn block(self, mut payload: &[u8]) -> Option<&[u8]> {
        if self.kind == CONTINUATION {
            return Some(payload);
        }
        let mut padding = 0;
        if self.flags & PADDED != 0 {
            let (&length, rest) = payload.split_first()?;
            (padding, payload) = (usize::from(length), rest);
        }
        if self.flags & PRIORITY != 0 {
            payload = payload.get(5..)?;
        }
        payload.get(..payload.len().checked_sub(padding)?)
    }

    /// The same head of a message, in one frame with this block.
    fn with_block(self, block: &[u8]) -> Vec<u8> {
        let length = u32::try_from(block.len()).unwrap_or_default().to_be_bytes();
        let flags = self.flags & END_STREAM | END_HEADERS;
        [&length[1..], &[HEADERS, flags], &self.stream.to_be_bytes(), block].concat()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Checked<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.ready.is_empty() {
                let taken = this.ready.len().min(buffer.remaining());
                buffer.put_slice(&this.ready[..taken]);
                this.ready.drain(..taken);
                if this.ready.is_empty() {
                    this.ready = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            let before = buffer.filled().len();
            if this.behind.is_empty() {
                if Pin::new(&mut this.stream).poll_read(cx, buffer)?.is_pending() {
                    ready!(this.poll_late(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                if buffer.filled().len() == before {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let taken = this.behind.len().min(buffer.remaining());
                buffer.put_slice(&this.behind[..taken]);
                this.behind.drain(..taken);
            }
            let behind = mem::take(&mut this.behind);
            let passed = this.pass(&buffer.filled()[before..]);
            // What comes behind what was changed is nearer than what was not looked at yet.
            this.behind.extend_from_slice(&behind);
            buffer.set_filled(before + passed);
            if this.held.is_empty() {
                this.until = None;
            }
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S> Checked<S> {
    /// Ready when a head that has begun was to be there.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held.is_empty() {
            return Poll::Pending;
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.limit);
        self.timer.poll_until(cx, until)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Checked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
