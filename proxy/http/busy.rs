//! How much a client's connection has to do.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Requests under way on one connection, and since when there are none.
#[derive(Debug)]
pub struct Busy {
    working: Cell<usize>,
    since: Cell<Instant>,
}

/// One that is under way, for as long as this is held.
#[derive(Debug)]
pub struct Work(Rc<Busy>);

impl Busy {
    /// Nothing to do yet.
    pub fn new() -> Rc<Self> {
        Rc::new(Self { working: Cell::new(0), since: Cell::new(Instant::now()) })
    }

    /// Something to do.
    pub fn work(self: &Rc<Self>) -> Work {
        self.working.set(self.working.get() + 1);
        Work(Rc::clone(self))
    }

    /// Since when there is nothing to do; `None` while there is something.
    fn idle_since(&self) -> Option<Instant> {
        (self.working.get() == 0).then(|| self.since.get())
    }

    /// Resolves when there has been nothing for so long.
    pub async fn idle_for(&self, limit: Duration) {
        loop {
            sleep_until(self.idle_since().unwrap_or_else(Instant::now) + limit).await;
            if self.idle_since().is_some_and(|since| since + limit <= Instant::now()) {
                return;
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.working.set(self.0.working.get() - 1);
        self.0.since.set(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_end_of_the_last_work() {
        let (busy, began, limit) = (Busy::new(), Instant::now(), Duration::from_secs(75));
        let (first, second) = (busy.work(), busy.work());
        tokio::spawn(async { std::future::pending::<()>().await });
        let idle = busy.idle_for(limit);
        tokio::pin!(idle);
        assert!(tokio::time::timeout(Duration::from_secs(100), idle.as_mut()).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(Duration::from_secs(100), idle.as_mut()).await.is_err());
        drop(second);
        idle.await;
        assert!(
            (Duration::from_secs(275)..=Duration::from_secs(350)).contains(&began.elapsed()),
            "{:?}",
            began.elapsed()
        );
    }
}
