//! What all dialogues have in common: a connection, and the time by which they must be over.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{self, Instant};

use super::{Failure, Step};
use crate::config::scalar::duration::Shown;

/// The time that one check has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    began: Instant,
    timeout: Duration,
}

impl Deadline {
    /// From now on.
    pub(super) fn after(timeout: Duration) -> Self {
        Self { began: Instant::now(), timeout }
    }

    /// Does a part of the check within the time that is left.
    pub(super) async fn bound<T>(&self, step: Step, part: impl Future<Output = io::Result<T>>) -> Result<T, Failure> {
        self.watch(part).await.ok_or_else(|| self.missed(step))?.map_err(|error| Failure::from_io(step, &error))
    }

    /// What the part comes to, or `None` when time is up.
    pub(super) async fn watch<T>(&self, part: impl Future<Output = T>) -> Option<T> {
        let left = self.timeout.saturating_sub(self.began.elapsed());
        time::timeout(left, part).await.ok()
    }

    /// Time was up in this step.
    pub(super) fn missed(&self, step: Step) -> Failure {
        Failure::new(step, format!("timed out after {}", Shown(self.timeout)))
    }
}

/// A connection to a server that answers in bytes, whose answer comes in pieces.
#[derive(Debug)]
pub(super) struct Line<S> {
    stream: S,
    deadline: Deadline,
    answer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// Nothing is said yet.
    pub(super) fn new(stream: S, deadline: Deadline) -> Self {
        Self { stream, deadline, answer: Vec::new() }
    }

    /// Says all of it.
    pub(super) async fn send(&mut self, step: Step, bytes: &[u8]) -> Result<(), Failure> {
        self.deadline.bound(step, self.stream.write_all(bytes)).await
    }

    /// All of the answer that has come in so far.
    pub(super) fn answer(&self) -> &[u8] {
        &self.answer
    }

    /// Waits for a further piece of the answer, of which at most `most` bytes are read. `false`: there is no more.
    pub(super) async fn hear(&mut self, step: Step, most: usize) -> Result<bool, Failure> {
        let room = most.saturating_sub(self.answer.len());
        // Room is widened as answers grow, so that a short one costs little.
        self.answer.reserve(room.min(READ_LEAST));
        let mut limited = (&mut self.stream).take(u64::try_from(room).unwrap_or(u64::MAX));
        Ok(self.deadline.bound(step, limited.read_buf(&mut self.answer)).await? > 0)
    }
}

/// What most answers fit in.
const READ_LEAST: usize = 1024;
