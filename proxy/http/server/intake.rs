//! The body of the request that is being answered: read when it is wanted.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::http::content::{Content, Feed, pipe};
use crate::http::timer::Timer;
use crate::http::wire::decoder::{Decoder, Part};
use crate::http::wire::fields::Malformed;
use crate::http::wire::input::Input;

/// What has not come of a request's body.
#[derive(Debug)]
pub(super) struct Intake {
    decoder: Decoder,
    /// Where it goes; `None` when it is over, or broken.
    feed: Option<Feed>,
    /// What has come is no body.
    is_broken: bool,
    /// What is left to be said before it comes.
    word: &'static [u8],
    /// Until when the client may read the answer, since it has closed its side; `None` while it has not, or takes some of it.
    half_closed_until: Option<Instant>,
    timer: Timer,
}

/// The client has broken off.
#[derive(Debug)]
pub(super) struct Gone;

/// What a client is told that waits to be asked for its body (RFC 9110, 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bytes that are read before they are wanted, or one read's worth: a client that has sent more is not seen to go away.
const AHEAD_MAX: usize = 8 * 1024;

/// How long a client that has closed its side behind its request is taken to wait for the answer, or the next piece of it. It may also be
/// gone, which looks the same as long as nothing is sent to it.
const HALF_CLOSED: Duration = Duration::from_secs(5);

impl Intake {
    /// A body that is read so, and where it is passed on. What has come with the head is given at once: it goes on with the head, too.
    pub(super) fn new(decoder: Decoder, expects: bool, input: &mut Bytes) -> (Self, Content) {
        if decoder.is_over() {
            return (Self::of(decoder, None, b""), Content::Empty);
        }
        let (feed, piped) = pipe(decoder.size_hint().exact());
        // Who has begun to send does not wait.
        let word = if expects && input.is_empty() { CONTINUE } else { b"" };
        let mut intake = Self::of(decoder, Some(feed), word);
        if !input.is_empty() {
            intake.give(input);
        }
        (intake, Content::Http1(piped))
    }

    fn of(decoder: Decoder, feed: Option<Feed>, word: &'static [u8]) -> Self {
        Self { decoder, feed, is_broken: false, word, half_closed_until: None, timer: Timer::default() }
    }

    /// The client takes some of the answer, or there is some that it has not taken: it is not known to wait for nothing.
    pub(super) fn note_sending(&mut self) {
        self.half_closed_until = None;
    }

    /// Whether all of it has come.
    pub(super) fn is_over(&self) -> bool {
        self.decoder.is_over() && !self.is_broken
    }

    /// Whether somebody may want more of it.
    pub(super) fn is_wanted(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| !feed.is_left())
    }

    /// The answer comes, and nothing of the body has. Who waits to be asked for it, and has not been, need not send it any more: what it
    /// sends may be another request.
    pub(super) fn leave_unasked(&mut self) {
        if self.is_unasked() && !self.is_over() {
            self.is_broken = true;
            self.feed = None;
        }
    }

    fn is_unasked(&self) -> bool {
        self.word.len() == CONTINUE.len()
    }

    /// What has been begun to be said before the answer.
    pub(super) fn begun(&mut self) -> Vec<u8> {
        let is_unasked = self.is_unasked();
        let word = mem::take(&mut self.word);
        if is_unasked { Vec::new() } else { word.to_vec() }
    }

    /// Gives the next piece, if it is wanted and there: then whoever reads it can go on. While none is wanted, it looks whether the
    /// client is still there.
    pub(super) fn poll_give<S>(
        &mut self,
        input: &mut Input,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.feed.as_ref().map(|feed| feed.poll_wanted(cx)) {
            Some(Poll::Ready(true)) => self.poll_piece(input, stream, cx),
            _ if self.is_broken => Poll::Pending,
            _ => self.poll_gone(input, stream, cx),
        }
    }

    /// Gives the next piece, which is wanted, when it is there.
    fn poll_piece<S>(&mut self, input: &mut Input, stream: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while input.is_empty() && !self.word.is_empty() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, self.word)) {
                Ok(said @ 1..) => self.word = &self.word[said..],
                Ok(0) | Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        while !self.give(input.bytes()) {
            match ready!(input.poll_more(stream, cx)) {
                // Who says that nothing more comes may yet read the answer.
                Ok(0) => {
                    self.is_broken = true;
                    self.note_end();
                    break;
                }
                Ok(_more) => {}
                Err(_broken) => return Poll::Ready(Err(Gone)),
            }
        }
        if self.is_unasked() {
            // It has not waited.
            self.word = b"";
        }
        Poll::Ready(Ok(()))
    }

    /// Gives the next piece, if it has come; whether it has.
    fn give(&mut self, input: &mut Bytes) -> bool {
        let Some(feed) = &self.feed else { return true };
        match self.decoder.next(input) {
            Ok(Part::Missing) => return false,
            Ok(Part::Content(bytes)) => feed.give(Frame::data(bytes)),
            Ok(Part::Trailers(trailers)) if may_trail(&trailers) => feed.give(Frame::trailers(trailers)),
            Ok(Part::End) => {}
            Ok(Part::Trailers(_)) | Err(Malformed) => self.is_broken = true,
        }
        self.note_end();
        true
    }

    /// It may be over now.
    fn note_end(&mut self) {
        let Some(feed) = self.feed.take_if(|_| self.is_broken || self.decoder.is_over()) else { return };
        if self.is_broken { feed.fail(io::ErrorKind::InvalidData) } else { feed.end() }
    }

    /// Ready when the client has gone: it has broken off, or closed its side behind this request a while ago. What it sends meanwhile is kept, but
    /// not much of it.
    fn poll_gone<S: AsyncRead + Unpin>(
        &mut self,
        input: &mut Input,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        while input.bytes().len() < AHEAD_MAX {
            match ready!(input.poll_more(stream, cx)) {
                Ok(1..) => {}
                Ok(0) if !self.is_last(input) => break,
                Ok(0) => {
                    let until = *self.half_closed_until.get_or_insert_with(|| Instant::now() + HALF_CLOSED);
                    return self.timer.poll_until(cx, until).map(|()| Err(Gone));
                }
                Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        Poll::Pending
    }

    /// Whether what has come ends with this request, as far as is known. Who breaks off in the middle may yet read what is said of
    /// that, and who has sent others behind it may read their answers.
    fn is_last(&self, input: &mut Input) -> bool {
        self.decoder.size_hint().exact() == Some(input.bytes().len() as u64)
    }

    /// Passes over what is there of a body that nobody wants any more.
    pub(super) fn skip(&mut self, input: &mut Bytes) {
        while !self.is_broken && !self.is_wanted() && !self.decoder.is_over() {
            match self.decoder.next(input) {
                Ok(Part::Missing) => return,
                Ok(_) => {}
                Err(Malformed) => self.is_broken = true,
            }
        }
    }

    /// Goes on when the answer is out. Ready when all of it has come, or when the rest is not worth waiting for: whether all has.
    pub(super) fn poll_rest<S>(
        &mut self,
        input: &mut Input,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, Gone>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while !self.is_over() && !self.is_broken {
            // Whoever still reads it gets all that came, also of a client that has its answer and is gone.
            if let Some(feed) = self.feed.as_ref().filter(|feed| !feed.is_left()) {
                if ready!(feed.poll_wanted(cx)) {
                    ready!(self.poll_piece(input, stream, cx))?;
                }
                continue;
            }
            self.skip(input.bytes());
            // What is there at once: the runtime interrupts who reads for too long.
            if !self.is_over() && !matches!(input.poll_more(stream, cx), Poll::Ready(Ok(1..))) {
                break;
            }
        }
        Poll::Ready(Ok(self.is_over()))
    }
}

/// Whether trailers say nothing of where the body ends.
fn may_trail(trailers: &HeaderMap) -> bool {
    !trailers.contains_key(CONTENT_LENGTH) && !trailers.contains_key(TRANSFER_ENCODING)
}
