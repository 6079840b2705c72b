//! One direction of a session.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncWrite, ReadBuf};

use super::{Direction, Socket};

/// Bytes in a row, four full buffers: about a tenth of a millisecond, more with TLS. A direction that never runs dry must not keep the
/// other one, and the worker's other sessions, waiting. With turns of half as much, bulk transfers took a seventh more CPU.
pub(super) const TURN_BYTES: usize = 256 * 1024;
/// Reads in a row, where each brings little.
const TURN_READS: usize = 16;
/// From so many bytes in one poll on, a direction is in the middle of a bulk transfer: it may have to queue for its next turn.
pub(super) const BULK_BYTES: usize = 64 * 1024;

/// Hears of each read and write of a flow.
pub(super) trait Sight {
    fn read(&mut self, direction: Direction);
    fn wrote(&mut self, direction: Direction, bytes: usize);
}

/// The connection that a flow reads from has broken.
#[derive(Debug)]
pub(super) struct Unreadable;

#[derive(Debug)]
pub(super) struct Flow {
    direction: Direction,
    stage: Stage,
    /// What was read and the far side has not taken yet.
    unsent: Unsent,
    /// The far side took bytes that it has not sent on yet. Never for long with plain TCP, whose flush does nothing.
    unflushed: bool,
    /// The far side is dropped right after the end, which tells it all the same.
    ends_by_drop: bool,
    pace: Pace,
    /// How the reader's connection was cut off, if it was: what had come before is passed on first.
    cut: Option<Cut>,
    /// The reader's connection is known to be broken; what had come before can still be read.
    is_reader_broken: bool,
    /// The far side has taken bytes since the last look.
    has_moved: bool,
    /// So many looks in a row have found that the far side takes nothing of what was left by a reader that is gone.
    idle_looks: u8,
    /// The far side's connection broke under a write, and it had not closed before.
    broke_off: bool,
}

/// How much a flow had to pass when it was polled last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pace {
    /// Little.
    Small,
    /// At least [`BULK_BYTES`], and then it had to wait for a peer.
    Bulk,
    /// More than fits in a turn.
    Endless,
}

/// How the connection of a peer ended that had not said that it was at its end, though it should have ([`Socket::MARKS_END`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The connection was closed.
    Closed,
    /// The connection broke.
    Broken,
}

/// Looks at a far side that takes nothing of what a peer said whose connection is gone, before it is given up: there is one every half
/// second, so that it has ten seconds.
const IDLE_LOOKS_MAX: u8 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Bytes pass.
    Open,
    /// The reader is at its end; what is unsent goes first, then the end itself.
    Closing,
    /// The far side knows that there is no more.
    Done,
    /// The far side takes no more: its connection has broken. What it still had to say may be on its way.
    Refused,
}

/// Which end of a flow failed.
enum Broken {
    Reader,
    Writer(io::ErrorKind),
}

impl Flow {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            stage: Stage::Open,
            unsent: Unsent::default(),
            unflushed: false,
            ends_by_drop: false,
            pace: Pace::Small,
            cut: None,
            is_reader_broken: false,
            has_moved: false,
            idle_looks: 0,
            broke_off: false,
        }
    }

    /// Whether the reader's end of stream has been seen.
    pub(super) fn saw_end(&self) -> bool {
        matches!(self.stage, Stage::Closing | Stage::Done) && !self.ends_broken()
    }

    /// Whether the reader's connection was cut off.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Whether what the reader said is to end as that of a broken connection, not as a stream that is whole. What a backend says may
    /// be delimited by nothing but its end; most clients close their connections without a word.
    fn ends_broken(&self) -> bool {
        match self.cut {
            Some(Cut::Broken) => true,
            Some(Cut::Closed) => self.direction == Direction::Down,
            None => false,
        }
    }

    /// Notes that the reader's connection is broken. What had come before is still passed on.
    pub(super) fn reader_broke(&mut self) {
        self.is_reader_broken = true;
    }

    /// Whether the far side has taken nothing for too long of what a reader has left that is gone. Asked at each look.
    pub(super) fn gives_up(&mut self) -> bool {
        let is_reader_gone = self.is_reader_broken || self.cut.is_some();
        if !is_reader_gone || std::mem::take(&mut self.has_moved) {
            self.idle_looks = 0;
            return false;
        }
        self.idle_looks += 1;
        self.idle_looks >= IDLE_LOOKS_MAX
    }

    /// Whether the far side knows of the end.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Says whether the far side will be dropped when this direction is done, and hears of the end by that.
    pub(super) fn ends_by_drop(&mut self, ends_by_drop: bool) {
        self.ends_by_drop = ends_by_drop;
    }

    /// Whether bytes wait for the far side to take them, so that nothing is read.
    pub(super) fn is_stalled(&self) -> bool {
        !self.unsent.is_empty() || self.unflushed
    }

    /// Whether the far side's connection broke under a write.
    pub(super) fn is_refused(&self) -> bool {
        self.stage == Stage::Refused
    }

    /// Whether that was no answer to bytes that came too late for a far side that had closed, of which the kernel says `EPIPE`. The error
    /// is told once: whoever reads from the far side after that finds an end in order, and there was none.
    pub(super) fn broke_off(&self) -> bool {
        self.broke_off
    }

    /// How much it had to pass when it was polled last.
    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    /// Sends something that the reader has not said, unless the end is near. It goes out with the next poll.
    pub(super) fn insert(&mut self, bytes: &[u8]) {
        if self.stage == Stage::Open {
            self.unsent.add(bytes);
        }
    }

    /// Passes what can pass now, for one turn at most. Ready when the direction is done. Where it had more to pass than that
    /// ([`Pace::Endless`]), it waits for no peer: the caller has it polled again.
    pub(super) fn poll<R, W, S>(
        &mut self,
        cx: &mut Context<'_>,
        (reader, writer): (&mut R, &mut W),
        buffer: &mut [u8],
        sight: &mut S,
    ) -> Poll<Result<(), Unreadable>>
    where
        R: Socket,
        W: Socket,
        S: Sight,
    {
        let mut turn = Turn::default();
        while !turn.is_over() {
            let step = match self.stage {
                Stage::Open => self.poll_open(cx, (reader, writer), buffer, sight),
                Stage::Closing => self.poll_closing(cx, writer, sight).map_ok(|()| 0),
                Stage::Done | Stage::Refused => {
                    self.pace = Pace::Small;
                    return Poll::Ready(Ok(()));
                }
            };
            match step {
                Poll::Ready(Ok(read)) => turn.note(read),
                Poll::Ready(Err(Broken::Reader)) => return Poll::Ready(Err(Unreadable)),
                // Says nothing of what the broken peer sent before: the other direction finds that out.
                Poll::Ready(Err(Broken::Writer(how))) => self.refuse(how),
                Poll::Pending => {
                    self.pace = turn.pace();
                    return Poll::Pending;
                }
            }
        }
        self.pace = Pace::Endless;
        Poll::Pending
    }

    /// Sends what is left, then reads once and sends that. Says how much was read.
    fn poll_open<R, W, S>(
        &mut self,
        cx: &mut Context<'_>,
        (reader, writer): (&mut R, &mut W),
        buffer: &mut [u8],
        sight: &mut S,
    ) -> Poll<Result<usize, Broken>>
    where
        R: Socket,
        W: Socket,
        S: Sight,
    {
        ready!(self.poll_unsent(cx, writer, sight)).map_err(|gone| Broken::Writer(gone.kind()))?;
        let mut read = ReadBuf::new(buffer);
        if let Err(error) = ready!(Pin::new(reader).poll_read(cx, &mut read)) {
            self.cut = self.cut_by(&error).filter(|_| R::MARKS_END);
            self.cut.ok_or(Broken::Reader)?;
            self.stage = Stage::Closing;
            return Poll::Ready(Ok(0));
        }
        if read.filled().is_empty() {
            self.stage = Stage::Closing;
            return Poll::Ready(Ok(0));
        }
        sight.read(self.direction);
        let length = read.filled().len();
        let written = self.write(cx, writer, read.filled(), sight);
        Poll::Ready(written.map(|()| length).map_err(|gone| Broken::Writer(gone.kind())))
    }

    /// How the connection ended that an error of reading tells of; `None` where its peer said what it may not say.
    fn cut_by(&self, error: &io::Error) -> Option<Cut> {
        match error.kind() {
            io::ErrorKind::InvalidData => None,
            io::ErrorKind::UnexpectedEof if !self.is_reader_broken => Some(Cut::Closed),
            _ => Some(Cut::Broken),
        }
    }

    /// Sends what is left, then the end of stream.
    fn poll_closing<W, S>(&mut self, cx: &mut Context<'_>, writer: &mut W, sight: &mut S) -> Poll<Result<(), Broken>>
    where
        W: Socket,
        S: Sight,
    {
        ready!(self.poll_unsent(cx, writer, sight)).map_err(|gone| Broken::Writer(gone.kind()))?;
        if self.ends_broken() {
            return Poll::Ready(Err(Broken::Reader));
        }
        if !self.ends_by_drop {
            let writer = Pin::new(writer);
            let ended = if self.is_cut() { writer.poll_cut(cx) } else { writer.poll_shutdown(cx) };
            ready!(ended).map_err(|gone| Broken::Writer(gone.kind()))?;
        }
        self.stage = Stage::Done;
        Poll::Ready(Ok(()))
    }

    /// Writes straight from the shared buffer; keeps a copy of what is not taken at once.
    fn write<W, S>(&mut self, cx: &mut Context<'_>, writer: &mut W, bytes: &[u8], sight: &mut S) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
        S: Sight,
    {
        let mut left = bytes;
        while !left.is_empty() {
            match poll_write(cx, writer, left) {
                Poll::Ready(taken) => {
                    let taken = taken?;
                    self.unflushed = true;
                    self.has_moved = true;
                    sight.wrote(self.direction, taken);
                    left = &left[taken..];
                }
                Poll::Pending => {
                    self.unsent.keep(left);
                    return Ok(());
                }
            }
        }
        match self.poll_flush(cx, writer) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_unsent<W, S>(&mut self, cx: &mut Context<'_>, writer: &mut W, sight: &mut S) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
        S: Sight,
    {
        while !self.unsent.is_empty() {
            let taken = ready!(poll_write(cx, writer, self.unsent.bytes()))?;
            self.unflushed = true;
            self.has_moved = true;
            sight.wrote(self.direction, taken);
            self.unsent.taken(taken);
        }
        self.poll_flush(cx, writer)
    }

    fn poll_flush<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(writer).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn refuse(&mut self, how: io::ErrorKind) {
        self.broke_off = how != io::ErrorKind::BrokenPipe;
        self.unsent.clear();
        self.unflushed = false;
        self.stage = Stage::Refused;
    }
}

/// What one poll has passed so far.
#[derive(Default)]
struct Turn {
    bytes: usize,
    reads: usize,
}

impl Turn {
    fn note(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.reads += 1;
    }

    fn is_over(&self) -> bool {
        self.bytes >= TURN_BYTES || self.reads >= TURN_READS
    }

    fn pace(&self) -> Pace {
        if self.bytes >= BULK_BYTES { Pace::Bulk } else { Pace::Small }
    }
}

fn poll_write<W: AsyncWrite + Unpin>(cx: &mut Context<'_>, writer: &mut W, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(writer).poll_write(cx, bytes)) {
        // It would be asked again for ever.
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        taken => Poll::Ready(taken),
    }
}

/// Bytes that the far side has not taken: memory that only a stalled direction owns.
#[derive(Debug, Default)]
struct Unsent {
    bytes: Vec<u8>,
    start: usize,
}

impl Unsent {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn keep(&mut self, bytes: &[u8]) {
        debug_assert!(self.bytes.is_empty(), "a stalled direction does not read");
        self.bytes = bytes.to_vec();
        self.start = 0;
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    fn taken(&mut self, count: usize) {
        self.start += count;
        if self.start == self.bytes.len() {
            self.clear();
        }
    }

    /// Gives the memory back: an idle session owns no buffer.
    fn clear(&mut self) {
        *self = Self::default();
    }
}
