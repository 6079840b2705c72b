//! What is live: who plays, how players are connected, and the curve of the last ten minutes. Workers are asked only while
//! somebody looks, so that a proxy that nobody looks at does nothing for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::body::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::history::{History, Totals};
use super::state::State;
use super::view::StatusEvent;
use crate::pool::{Backend, Digest};
use crate::relay::Quality;
use crate::session::{CloseReason, Listing, Query, SessionId, Tally};
use crate::worker::{Ask, Command};

/// Between two points of the curve, two texts of the status for those who watch, and two rounds of measuring.
const EVERY: Duration = Duration::from_secs(1);

/// Sessions of each worker that are measured at once: a wake-up and a system call each, and so some thousandths of its second.
/// The round of 4,500 sessions takes 18 s.
const MEASURED_AT_ONCE: usize = 250;

/// How long it goes on after somebody has looked: who asks every few seconds is told something new each time.
const LOOKING: Duration = Duration::from_secs(30);

/// How often what was measured is put together, in seconds: an answer that fits the pace of measuring.
const DIGEST_EVERY: u64 = 5;

/// How long all workers together may take to answer. They answer within milliseconds, unless one is stuck.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the control thread knows of what is live.
#[derive(Debug)]
pub struct Live {
    looked_at: Cell<Option<Instant>>,
    history: RefCell<History>,
    players: RefCell<HashMap<*const Backend, Players>>,
    news: watch::Sender<Bytes>,
}

/// How the players of a backend are connected, as far as they were measured.
#[derive(Debug)]
pub(super) struct Players {
    /// Keeps its address from being another's.
    _backend: Arc<Backend>,
    /// Round-trip times, in microseconds.
    pub(super) rtt_us: Option<Digest>,
    /// Of all of them together.
    pub(super) retransmits: u64,
}

/// A worker did not answer in time.
#[derive(Debug)]
pub(super) struct Stuck;

impl Live {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            looked_at: Cell::new(None),
            history: RefCell::default(),
            players: RefCell::default(),
            news: watch::Sender::default(),
        }
    }

    /// Somebody looks.
    pub(super) fn note_look(&self) {
        self.looked_at.set(Some(Instant::now()));
    }

    /// Who hears of it now.
    pub(super) fn watchers(&self) -> usize {
        self.news.receiver_count()
    }

    /// Hears of a text of the status each second.
    pub(super) fn watch(&self) -> watch::Receiver<Bytes> {
        self.news.subscribe()
    }

    /// The last ten minutes.
    pub(super) fn with_history<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.history.borrow())
    }

    /// How the players of a backend are connected; `None` while that is not known of any.
    pub(super) fn of_players<T>(&self, backend: &Arc<Backend>, tell: impl FnOnce(&Players) -> T) -> Option<T> {
        self.players.borrow().get(&Arc::as_ptr(backend)).map(tell)
    }

    fn is_watched(&self) -> bool {
        let lately = self.looked_at.get().is_some_and(|looked_at| looked_at.elapsed() < LOOKING);
        lately || self.watchers() > 0
    }

    fn note_second(&self, state: &State) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let snapshot = state.snapshot();
        let totals = |tally: &Tally| Totals {
            came: tally.total(),
            refused: CloseReason::REFUSALS.iter().map(|&reason| tally.ended(reason)).sum(),
        };
        let listeners = snapshot.listeners.iter();
        let totals = listeners.map(|(name, listener)| (name.clone(), totals(&listener.counts.tally))).collect();
        self.history.borrow_mut().note(at, snapshot.admission.active(), totals);
    }

    fn note_players(&self, qualities: impl Iterator<Item = (Arc<Backend>, Quality)>) {
        let mut by_backend: HashMap<_, (Arc<Backend>, Vec<u32>, u64)> = HashMap::new();
        for (backend, Quality { rtt_us, retransmits }) in qualities {
            let (_, rtts, sum) = by_backend.entry(Arc::as_ptr(&backend)).or_insert_with(|| (backend, Vec::new(), 0));
            rtts.push(rtt_us);
            *sum += u64::from(retransmits);
        }
        let players = by_backend.into_iter().map(|(key, (_backend, mut rtts, retransmits))| {
            (key, Players { _backend, rtt_us: Digest::of(&mut rtts), retransmits })
        });
        self.players.replace(players.collect());
    }

    fn tell(&self, state: &State) {
        let event = StatusEvent::of(state, Instant::now());
        // Those who have heard nothing since the last one hear this one instead.
        self.news.send_replace(event.into_text());
    }
}

/// Keeps it true, for as long as the process lives.
pub async fn serve(state: Rc<State>) {
    let live = state.live();
    let mut seconds = interval(EVERY);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for second in 0_u64.. {
        seconds.tick().await;
        live.note_second(&state);
        if live.is_watched() {
            measure(&state);
            if second.is_multiple_of(DIGEST_EVERY)
                && let Ok(answers) = ask(&state, Ask::Qualities).await
            {
                live.note_players(answers.into_iter().flatten());
            }
        } else {
            // It is old by the time that somebody looks again.
            live.players.borrow_mut().clear();
        }
        if live.watchers() > 0 {
            live.tell(&state);
        }
    }
}

/// The sessions that a query is for.
pub(super) async fn list(state: &State, query: Query) -> Result<Listing, Stuck> {
    let query = Arc::new(query);
    let listings = ask(state, |tell| Ask::Describe(Arc::clone(&query), tell)).await?;
    Ok(query.join(listings))
}

/// Ends a session, and says whether it was there.
pub(super) async fn kill(state: &State, session: SessionId) -> Result<bool, Stuck> {
    Ok(ask(state, |tell| Ask::Kill(session, tell)).await?.contains(&true))
}

/// Has the next sessions of each worker measured. Nobody waits for it.
fn measure(state: &State) {
    for worker in state.workers() {
        worker.post(Command::Sessions(Ask::Measure(MEASURED_AT_ONCE)));
    }
}

/// Asks every worker; one after the other, so that no two of them touch the same counts at once. One that has ended has nothing to
/// say.
async fn ask<T>(state: &State, ask: impl Fn(oneshot::Sender<T>) -> Ask) -> Result<Vec<T>, Stuck> {
    let all = async {
        let mut answers = Vec::new();
        for worker in state.workers() {
            let (tell, told) = oneshot::channel();
            worker.send(Command::Sessions(ask(tell))).await;
            answers.extend(told.await);
        }
        answers
    };
    timeout(PATIENCE, all).await.map_err(|_elapsed| Stuck)
}
