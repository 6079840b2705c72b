//! What outlives the process (`[state]`): what was set by hand, open circuits, backends that are down, who was just playing.
//!
//! The control thread says what is to be kept; a thread beside it writes, so that a disk that hangs or is full delays nothing.
//! What cannot be read costs nothing either: it is put aside, and the proxy starts as if it had never run.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{spawn_blocking, spawn_local};
use tokio::time::{Instant, sleep, timeout};

mod clock;
mod file;
mod form;
mod past;

use self::clock::Clock;
use self::file::{Done, Job, Stamp};
use self::form::{Kept, LeftOut};
use super::state::State;
use crate::config;
use crate::drain::Phase;
use crate::pool::admin::Admin;

/// Between two looks whether anything has changed.
const EVERY: Duration = Duration::from_secs(10);

/// Between two writes, however often something is set by hand.
const AT_LEAST: Duration = Duration::from_secs(1);

/// A write that takes longer is worth a word.
const SLOW: Duration = Duration::from_secs(10);

/// How long the process waits at its end for the last write.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Between two lines of the log about the same trouble.
const TELL_EVERY: Duration = Duration::from_secs(300);

/// What another process has left.
#[derive(Debug)]
pub struct Past {
    kept: Kept,
    clock: Clock,
}

impl Past {
    /// Reads what there is, if there is to be something. What is of no use is put aside.
    pub fn read(state: &State) -> Self {
        let clock = Clock::new(Instant::now(), SystemTime::now());
        Self { kept: path(state).and_then(read).unwrap_or_default(), clock }
    }

    /// Has what was set by hand count from the first snapshot on.
    pub fn give_hand(&self, state: &State) {
        past::give_hand(&self.kept, state);
    }

    /// Has the rest count, before the first session begins.
    pub fn give(&self, state: &State) {
        past::give(&self.kept, state, &self.clock);
        tell(state);
    }
}

fn read(path: PathBuf) -> Option<Kept> {
    let shown = path.display();
    if let Err(error) = file::sweep(&path) {
        tracing::debug!(file = %shown, %error, "what was left half written beside the state file stays there");
    }
    let problem = match file::read(&path) {
        Ok(None) => return None,
        Ok(Some(bytes)) => match form::decode(&bytes) {
            Ok(kept) => return Some(kept),
            Err(problem) => problem.to_string(),
        },
        // The next write would take its place, and what was set by hand may well be in it.
        Err(error) => format!("it cannot be read: {error}"),
    };
    match file::set_aside(&path) {
        Ok(aside) => {
            let aside = aside.display();
            tracing::warn!(file = %shown, %problem, %aside, "the state file is of no use, and was put aside");
        }
        Err(error) => {
            tracing::warn!(file = %shown, %problem, %error, "the state file is of no use, and cannot be put aside");
        }
    }
    None
}

/// Tells the log what still counts: whoever set it may have gone home.
fn tell(state: &State) {
    for (pool, backend, hand) in state.hand().backends() {
        if hand.admin != Admin::Ready {
            tracing::warn!(%pool, backend, "still set to {} by hand", hand.admin);
        }
        if let Some(weight) = hand.weight {
            tracing::info!(%pool, backend, weight, "weight still set by hand");
        }
    }
    for (listener, maintenance) in state.hand().listeners() {
        tracing::warn!(%listener, maintenance, "maintenance still set by hand");
    }
    let bans = state.banned().count();
    if bans > 0 {
        tracing::info!(bans, "networks are still banned by hand");
    }
}

/// Keeps the file for as long as the process lives.
#[derive(Debug)]
pub struct Keeper(mpsc::Sender<oneshot::Sender<()>>);

impl Keeper {
    /// Begins.
    pub fn begin(state: &Rc<State>) -> Self {
        let (last, asked) = mpsc::channel(1);
        spawn_local(keep(Rc::clone(state), asked));
        Self(last)
    }

    /// Keeps what there is at the end. Waits for a slow disk only so long.
    pub async fn finish(self) {
        let (done, written) = oneshot::channel();
        if self.0.send(done).await.is_ok() && timeout(LAST_PATIENCE, written).await.is_err() {
            tracing::warn!("the state file could not be written in time: it is as it was");
        }
    }
}

async fn keep(state: Rc<State>, mut last: mpsc::Receiver<oneshot::Sender<()>>) {
    let mut writer = Writer::new();
    loop {
        writer.keep(&state).await;
        tokio::select! {
            biased;
            Some(done) = last.recv() => {
                writer.keep(&state).await;
                let _given_up = done.send(());
                return;
            }
            () = pause(&state) => {}
        }
    }
}

/// Until the next look; not as long where something is set by hand.
async fn pause(state: &State) {
    sleep(AT_LEAST).await;
    let _sooner = timeout(EVERY.saturating_sub(AT_LEAST), state.set_by_hand()).await;
}

/// Writes, and remembers what.
struct Writer {
    clock: Clock,
    path: Option<PathBuf>,
    last: Option<(Stamp, Arc<Kept>)>,
    /// What the log was told last, and when.
    trouble: Option<(String, Instant)>,
    /// Another process keeps the file.
    has_yielded: bool,
    /// The file has no room for everything.
    lacks_some: bool,
}

impl Writer {
    fn new() -> Self {
        let clock = Clock::new(Instant::now(), SystemTime::now());
        Self { clock, path: None, last: None, trouble: None, has_yielded: false, lacks_some: false }
    }

    async fn keep(&mut self, state: &State) {
        let path = path(state);
        if path != self.path {
            self.last = None;
            self.path = path;
        }
        let Some(path) = self.path.clone() else { return };
        self.clock.follow(Instant::now(), SystemTime::now());
        let kept = past::take(state, &self.clock);
        let is_new = self.last.as_ref().is_none_or(|(_, last)| **last != kept);
        let yields = state.phase() != Phase::Running;
        let job = Job { path, new: is_new.then_some(kept), last: self.last.clone(), yields };
        let mut writing = spawn_blocking(move || job.run());
        let done = match timeout(SLOW, &mut writing).await {
            Ok(done) => done,
            Err(_elapsed) => {
                tracing::warn!("the disk takes its time with the state file");
                writing.await
            }
        };
        // A panic there has been logged.
        let Ok(done) = done else { return };
        match done {
            Ok(Some(Done::Same(stamp, kept))) => self.last = Some((stamp, kept)),
            Ok(Some(Done::Written(stamp, kept, left_out))) => {
                self.last = Some((stamp, kept));
                state.count_kept(true);
                self.went_well();
                self.tell_left_out(left_out);
            }
            Ok(Some(Done::Yielded)) => {
                if !std::mem::replace(&mut self.has_yielded, true) {
                    tracing::info!("another process keeps the state file now");
                }
            }
            Ok(None) => {}
            Err(error) => {
                state.count_kept(false);
                self.failed(&error.to_string());
            }
        }
    }

    fn went_well(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!("the state file can be written again");
        }
    }

    /// Tells the log when the file begins to lack something for want of room, and when it lacks nothing again.
    fn tell_left_out(&mut self, left_out: LeftOut) {
        let lacks_some = left_out != LeftOut::default();
        if lacks_some == std::mem::replace(&mut self.lacks_some, lacks_some) {
            return;
        }
        if lacks_some {
            let LeftOut { clients, backends } = left_out;
            tracing::warn!(clients, backends, "the state file is full: some entries are left out");
        } else {
            tracing::info!("the state file has room for everything again");
        }
    }

    fn failed(&mut self, error: &str) {
        let now = Instant::now();
        let is_told = |(told, at): &(String, Instant)| told == error && now.saturating_duration_since(*at) < TELL_EVERY;
        if !self.trouble.as_ref().is_some_and(is_told) {
            let file = self.path.as_deref().unwrap_or_else(|| "".as_ref()).display();
            tracing::warn!(%file, error, "the state file cannot be written: what was there stays");
            self.trouble = Some((error.to_owned(), now));
        }
    }
}

/// Where it is kept, if it is.
fn path(state: &State) -> Option<PathBuf> {
    let file = state.config().state.file.clone()?;
    Some(config::folder_of(state.config_path()).join(file))
}
