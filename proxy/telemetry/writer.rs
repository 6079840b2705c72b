//! The thread that writes the log, behind a bounded queue, and how many lines were lost on the way.
//!
//! Lines are lost where the queue is full (standard error is a pipe that nobody reads) and where writing fails (the disk is full, the
//! reader has gone). Neither delays or ends anything.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that wait to be written: some seconds of a busy access log, about 8 MiB.
const QUEUED_LINES: usize = 16 * 1024;

/// The wait before it is tried again where standard error takes nothing just now: somebody else may have made it non-blocking.
const PAUSE: Duration = Duration::from_millis(10);

/// How often the end of the process tries to get into a queue that is full, and how long it then waits for the rest to be written.
const LAST_TRIES: u32 = 10;
const LAST_WRITES: Duration = Duration::from_secs(1);

/// Hands lines to the thread.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: SyncSender<Message>,
    losses: Arc<Losses>,
}

/// Has the thread write what is queued, and end, when it is dropped.
#[derive(Debug)]
pub(super) struct Guard(Writer);

/// What the thread is asked.
#[derive(Debug)]
enum Message {
    Line(String),
    /// To end. Dropped when the lines before it are written.
    End(Sender<()>),
}

/// Lines that were lost.
#[derive(Debug, Default)]
pub(super) struct Losses {
    lost: AtomicU64,
    /// A line has been written after the last one that was lost.
    written_since: AtomicBool,
}

/// Decides when it is told how many lines were lost.
#[derive(Debug, Default)]
pub(super) struct Account {
    told: u64,
    seen: u64,
}

/// Starts the thread.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Writer, Guard)> {
    let (queue, lines) = sync_channel(QUEUED_LINES);
    let writer = Writer { queue, losses: Arc::default() };
    let losses = Arc::clone(&writer.losses);
    thread::Builder::new().name("log".to_owned()).spawn(move || write(&lines, Output::new(out), &losses))?;
    Ok((writer.clone(), Guard(writer)))
}

fn write(lines: &Receiver<Message>, mut out: Output<impl Write>, losses: &Losses) {
    while let Ok(message) = lines.recv() {
        match message {
            Message::Line(line) => match out.line(line.as_bytes()) {
                Ok(()) => losses.note_written(),
                Err(_lost) => losses.note_lost(),
            },
            Message::End(_done) => return,
        }
    }
}

impl Writer {
    /// Hands a line over, with its end. Waits for nobody: where there is no place, it is lost.
    pub(super) fn line(&self, line: String) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.losses.note_lost();
        }
    }

    /// The lines that were lost.
    pub(super) fn losses(&self) -> &Losses {
        &self.losses
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (done, written) = channel();
        let mut end = Message::End(done);
        for _ in 0..LAST_TRIES {
            match self.0.queue.try_send(end) {
                Err(TrySendError::Full(back)) => end = back,
                Ok(()) | Err(TrySendError::Disconnected(_)) => {
                    let _given_up = written.recv_timeout(LAST_WRITES);
                    return;
                }
            }
            thread::park_timeout(PAUSE);
        }
        // Nobody reads, and a message about that would have no reader either.
    }
}

impl Losses {
    /// How many, since the start.
    pub(super) fn count(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Whether a line has been written after the last one that was lost.
    pub(super) fn are_over(&self) -> bool {
        self.written_since.load(Relaxed)
    }

    fn note_lost(&self) {
        self.written_since.store(false, Relaxed);
        self.lost.fetch_add(1, Relaxed);
    }

    fn note_written(&self) {
        self.written_since.store(true, Relaxed);
    }
}

impl Account {
    /// The lines to be told of, of `lost` ones so far: those that were not told of, once lines are written again and none has been lost
    /// since the last call.
    pub(super) fn due(&mut self, lost: u64, are_over: bool) -> Option<u64> {
        let is_quiet = std::mem::replace(&mut self.seen, lost) == lost;
        let due = lost - self.told;
        (is_quiet && are_over && due > 0).then(|| {
            self.told = lost;
            due
        })
    }
}

/// Writes lines whole, or reports that it cannot.
struct Output<W> {
    to: W,
    /// The last line was written in part: the next one is not to go on in it.
    is_torn: bool,
}

impl<W: Write> Output<W> {
    fn new(to: W) -> Self {
        Self { to, is_torn: false }
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.write(b"\n")?;
            self.is_torn = false;
        }
        self.write(line)
    }

    fn write(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = &rest[written..];
                    self.is_torn = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Takes so many bytes of each write, or fails; all of it once the script is over.
    struct Scripted {
        script: VecDeque<Result<usize, ErrorKind>>,
        taken: Vec<u8>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = self.script.pop_front().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
            self.taken.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of three lines, and which of them were.
    fn written(script: &[Result<usize, ErrorKind>]) -> (String, [bool; 3]) {
        let mut out = Output::new(Scripted { script: script.iter().copied().collect(), taken: Vec::new() });
        let well = ["one\n", "two\n", "three\n"].map(|line| out.line(line.as_bytes()).is_ok());
        (String::from_utf8(out.to.taken).unwrap(), well)
    }

    #[test]
    fn a_line_is_written_whole_or_lost_and_the_next_one_begins_anew() {
        use ErrorKind::{BrokenPipe, Interrupted, StorageFull, WouldBlock};
        let all = [true; 3];
        assert_eq!(written(&[]), ("one\ntwo\nthree\n".to_owned(), all));
        assert_eq!(written(&[Ok(1), Err(Interrupted), Ok(2), Err(WouldBlock)]), ("one\ntwo\nthree\n".to_owned(), all));
        assert_eq!(written(&[Err(BrokenPipe)]), ("two\nthree\n".to_owned(), [false, true, true]));
        assert_eq!(written(&[Ok(2), Err(StorageFull)]), ("on\ntwo\nthree\n".to_owned(), [false, true, true]));
        let torn_twice = [Ok(2), Err(StorageFull), Err(StorageFull)];
        assert_eq!(written(&torn_twice), ("on\nthree\n".to_owned(), [false, false, true]));
        let torn_again = [Ok(2), Err(StorageFull), Ok(1), Ok(2), Err(StorageFull)];
        assert_eq!(written(&torn_again), ("on\ntw\nthree\n".to_owned(), [false, false, true]));
        assert_eq!(written(&[Ok(0)]), ("two\nthree\n".to_owned(), [false, true, true]));
    }

    #[test]
    fn losses_are_told_once_when_lines_are_written_again() {
        let mut account = Account::default();
        assert_eq!(account.due(0, true), None, "nothing was lost");
        assert_eq!(
            [account.due(3, false), account.due(5, false), account.due(5, false)],
            [None; 3],
            "nothing is written"
        );
        assert_eq!([account.due(5, true), account.due(5, true)], [Some(5), None]);
        assert_eq!([account.due(7, true), account.due(9, true)], [None; 2], "more are lost all the time");
        assert_eq!([account.due(9, true), account.due(9, true)], [Some(4), None]);
    }

    /// Fails for as long as it is told to.
    #[derive(Clone, Default)]
    struct Failing(Arc<AtomicBool>);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.load(Relaxed) { Err(ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_that_cannot_be_written_is_counted() {
        let disk = Failing::default();
        disk.0.store(true, Relaxed);
        let (writer, guard) = start(disk).unwrap();
        (0..100).for_each(|number| writer.line(format!("{number}\n")));
        drop(guard);
        assert_eq!((writer.losses().count(), writer.losses().are_over()), (100, false));
    }

    /// Takes nothing, and does not fail either.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _let_go = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_delays_nobody() {
        let (let_go, held) = channel();
        let (writer, guard) = start(Stuck(held)).unwrap();
        for _ in 0..QUEUED_LINES + 10 {
            writer.line("line\n".to_owned());
        }
        // The thread may hold one.
        assert!((9..=10).contains(&writer.losses().count()), "{}", writer.losses().count());
        drop(guard);
        drop(let_go);
    }
}
