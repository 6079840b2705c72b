//! Turns: how much work that never has to wait runs between two polls of the I/O driver.
//!
//! A current-thread runtime polls its driver when no task is ready, or after some dozens of task polls. A few tasks that are always
//! ready (bulk transfers whose sockets never run dry, an accept loop in a flood) would keep everybody else waiting for all of those
//! polls. So such a task does a bounded piece of work and then queues here for its next turn. One turn is given after each
//! poll of the driver, in order, and the tasks that the driver has woken run before it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::yield_now;

/// The tasks of one worker that wait for a turn.
#[derive(Default)]
pub struct TurnQueue {
    waiting: RefCell<VecDeque<Waiting>>,
    last_id: Cell<u32>,
    budget: Budget,
}

/// A task's entry in a [`TurnQueue`], if it has one. Whoever drops it calls [`TurnQueue::leave`] first.
#[derive(Debug, Default)]
pub struct Ticket(Option<NonZeroU32>);

struct Waiting {
    id: NonZeroU32,
    waker: Waker,
    /// It is the first in the queue, and its task is woken after the next poll of the driver.
    is_next: bool,
}

/// What may be done between two polls of the driver by those who have not queued.
#[derive(Default)]
struct Budget {
    spent: Cell<usize>,
    period: Arc<Period>,
    /// Of `period`; made when it is first needed.
    waker: RefCell<Option<Waker>>,
}

/// Whether something has been spent since the driver was polled last.
#[derive(Default)]
struct Period(AtomicBool);

impl TurnQueue {
    /// Ready when it is the caller's turn, which ends its entry. The first poll makes one.
    pub fn poll_turn(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.borrow_mut();
        let Some(id) = ticket.0 else {
            let id = self.next_id();
            ticket.0 = Some(id);
            let is_next = waiting.is_empty();
            waiting.push_back(Waiting { id, waker: cx.waker().clone(), is_next });
            if is_next {
                wake_after_driver(cx.waker());
            }
            return Poll::Pending;
        };
        match waiting.front_mut() {
            Some(first) if first.id == id && first.is_next => {
                waiting.pop_front();
                ticket.0 = None;
                wake_first(&waiting);
                Poll::Ready(())
            }
            Some(first) if first.id == id => {
                first.is_next = true;
                first.waker.clone_from(cx.waker());
                wake_after_driver(cx.waker());
                Poll::Pending
            }
            _ => {
                if let Some(entry) = waiting.iter_mut().find(|entry| entry.id == id) {
                    entry.waker.clone_from(cx.waker());
                }
                Poll::Pending
            }
        }
    }

    /// Gives up an entry that is needed no more.
    pub fn leave(&self, ticket: &mut Ticket) {
        let Some(id) = ticket.0.take() else { return };
        let mut waiting = self.waiting.borrow_mut();
        let Some(place) = waiting.iter().position(|entry| entry.id == id) else { return };
        waiting.remove(place);
        if place == 0 {
            wake_first(&waiting);
        }
    }

    /// Resolves when it is the caller's turn. Cancel safe.
    pub async fn turn(&self) {
        let mut entry = Entry { queue: self, ticket: Ticket::default() };
        poll_fn(|cx| self.poll_turn(&mut entry.ticket, cx)).await;
    }

    /// Notes work that was done without a turn, in bytes.
    pub fn spend(&self, bytes: usize) {
        let Budget { spent, period, waker } = &self.budget;
        if !period.0.swap(true, Relaxed) {
            spent.set(0);
            let mut waker = waker.borrow_mut();
            wake_after_driver(waker.get_or_insert_with(|| Waker::from(Arc::clone(period))));
        }
        spent.set(spent.get().saturating_add(bytes));
    }

    /// Whether at least so much was spent since the driver was polled last.
    pub fn has_spent(&self, bytes: usize) -> bool {
        self.budget.period.0.load(Relaxed) && self.budget.spent.get() >= bytes
    }

    /// Ids come again after four thousand million turns, when the old ones are long gone.
    fn next_id(&self) -> NonZeroU32 {
        let id = NonZeroU32::new(self.last_id.get().wrapping_add(1)).unwrap_or(NonZeroU32::MIN);
        self.last_id.set(id.get());
        id
    }
}

impl Ticket {
    /// Whether it stands for an entry.
    pub fn is_queued(&self) -> bool {
        self.0.is_some()
    }
}

/// The entry of a future, which may be dropped at any time.
struct Entry<'a> {
    queue: &'a TurnQueue,
    ticket: Ticket,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.queue.leave(&mut self.ticket);
    }
}

impl Wake for Period {
    fn wake(self: Arc<Self>) {
        self.0.store(false, Relaxed);
    }
}

fn wake_first(waiting: &VecDeque<Waiting>) {
    if let Some(first) = waiting.front() {
        first.waker.wake_by_ref();
    }
}

/// Has the runtime wake it once the I/O driver has been polled, behind the tasks that the driver wakes: that is how tokio's
/// `yield_now` waits.
fn wake_after_driver(waker: &Waker) {
    let deferred = pin!(yield_now()).poll(&mut Context::from_waker(waker));
    debug_assert!(deferred.is_pending(), "yielding takes a poll");
}

impl fmt::Debug for TurnQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnQueue").field("waiting", &self.waiting.borrow().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::*;

    /// Lets so many tasks wait for turns again and again, and says who had one after each poll of the driver.
    async fn served(tasks: usize, polls: usize) -> Vec<Vec<usize>> {
        let (queue, served) = (Rc::new(TurnQueue::default()), Rc::new(RefCell::new(Vec::new())));
        let local = LocalSet::new();
        for number in 0..tasks {
            let (queue, served) = (Rc::clone(&queue), Rc::clone(&served));
            local.spawn_local(async move {
                loop {
                    queue.turn().await;
                    served.borrow_mut().push(number);
                }
            });
        }
        let mut seen = Vec::new();
        local
            .run_until(async {
                for _ in 0..polls {
                    yield_now().await;
                    seen.push(served.take());
                }
            })
            .await;
        seen
    }

    #[tokio::test]
    async fn everybody_has_a_turn_in_order_and_one_after_each_poll_of_the_driver() {
        let seen = served(3, 20).await;
        assert!(seen.iter().all(|turns| turns.len() <= 1), "{seen:?}");
        let turns: Vec<_> = seen.concat();
        assert!(turns.len() >= 18, "{turns:?}");
        assert!(turns.iter().enumerate().all(|(index, &number)| number == index % 3), "{turns:?}");
    }

    #[tokio::test]
    async fn who_leaves_holds_nobody_up() {
        let queue = TurnQueue::default();
        let (mut first, mut second) = (Box::pin(queue.turn()), Box::pin(queue.turn()));
        for turn in [&mut first, &mut second] {
            assert!(poll_fn(|cx| Poll::Ready(turn.as_mut().poll(cx).is_pending())).await);
        }
        drop(first);
        second.await;
        queue.turn().await;
        assert!(queue.waiting.borrow().is_empty());
    }

    #[tokio::test]
    async fn what_is_spent_counts_until_the_driver_is_polled() {
        let queue = TurnQueue::default();
        for _ in 0..3 {
            assert!(!queue.has_spent(1));
            queue.spend(2);
            queue.spend(3);
            assert!(queue.has_spent(5) && !queue.has_spent(6));
            yield_now().await;
        }
    }
}
