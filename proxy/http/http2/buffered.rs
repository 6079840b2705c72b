//! How much of its answers waits in memory for one client.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::body::{Buf as _, Bytes};

/// Bytes that wait for the client of one connection may take, over all its answers, before no more is read of any. A client that
/// opens its windows by a byte cannot have each answer keep a whole read (64 KiB) here.
pub const BUFFERED_MAX: usize = 1024 * 1024;

/// The bytes that wait for the client of one connection.
#[derive(Debug, Default)]
pub struct Buffered {
    bytes: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

/// A piece of an answer that waits; counted as long as it does.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    buffered: Rc<Buffered>,
}

impl Buffered {
    /// Ready when there is room for another piece.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes.get() < BUFFERED_MAX {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn note(&self, more: usize, less: usize) {
        self.bytes.set((self.bytes.get() + more).saturating_sub(less));
        if self.bytes.get() < BUFFERED_MAX && !self.waiting.borrow().is_empty() {
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl Piece {
    /// Nothing yet.
    pub fn empty(buffered: &Rc<Buffered>) -> Self {
        Self { bytes: Bytes::new(), buffered: Rc::clone(buffered) }
    }

    /// Puts these bytes in place of what there was.
    pub fn fill(&mut self, bytes: Bytes) {
        self.buffered.note(bytes.len(), self.bytes.len());
        self.bytes = bytes;
    }

    /// The first bytes of it, up to so many.
    pub fn take(&mut self, length: usize) -> Bytes {
        let length = length.min(self.bytes.len());
        self.buffered.note(0, length);
        let taken = self.bytes.split_to(length);
        if self.bytes.is_empty() {
            // What is sent is not kept for what is to come.
            self.bytes = Bytes::new();
        }
        taken
    }

    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.bytes.remaining()
    }

    /// Whether all of it was taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.buffered.note(0, self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_read_when_what_waits_has_gone_in_any_way() {
        let buffered = Rc::new(Buffered::default());
        let noop = &mut Context::from_waker(Waker::noop());
        let mut pieces: Vec<_> = (0..4).map(|_| Piece::empty(&buffered)).collect();
        for piece in &mut pieces {
            assert!(buffered.poll_room(noop).is_ready());
            piece.fill(Bytes::from(vec![0; BUFFERED_MAX / 4]));
        }
        assert!(buffered.poll_room(noop).is_pending());
        assert_eq!((pieces[0].take(1).len(), pieces[0].len()), (1, BUFFERED_MAX / 4 - 1));
        assert!(buffered.poll_room(noop).is_ready());
        pieces[1].fill(Bytes::from(vec![0; BUFFERED_MAX]));
        assert!(buffered.poll_room(noop).is_pending());
        drop(pieces);
        assert_eq!(buffered.bytes.get(), 0);
    }
}
