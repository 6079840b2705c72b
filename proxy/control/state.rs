//! What the control thread knows, for the admin server to show.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::Request;
use super::api::Asked;
use super::live::Live;
use super::names::Names;
use crate::admission::Admission;
use crate::admission::banned::Banned;
use crate::config::model::Config;
use crate::drain::{Phase, Watch};
use crate::snapshot::Snapshot;
use crate::snapshot::hand::Hand;
use crate::telemetry::Telemetry;
use crate::worker::Mailbox;

/// What the control thread knows. Only that thread has it.
#[derive(Debug)]
pub struct State {
    snapshot: Arc<ArcSwap<Snapshot>>,
    names: Rc<Names>,
    drain: Watch,
    telemetry: Telemetry,
    config_path: PathBuf,
    started_at: Instant,
    listening: Cell<bool>,
    loads: RefCell<Loads>,
    config: RefCell<Arc<Config>>,
    requests: mpsc::WeakSender<Request>,
    asked: RefCell<Asked>,
    /// Empty until they are there.
    workers: RefCell<Vec<Mailbox>>,
    /// Counts once a snapshot has been made with it.
    hand: RefCell<Hand>,
    /// Bans by hand.
    banned: RefCell<Banned>,
    set_by_hand: Notify,
    /// Writes of the state file, and those that failed.
    kept: Cell<(u64, u64)>,
    live: Live,
}

/// What has become of the config file so far.
#[derive(Debug, Clone)]
pub struct Loads {
    /// Applied loads, the first included.
    pub generation: u64,
    /// When the config that runs was applied.
    pub applied_at: SystemTime,
    /// Reloads that were applied.
    pub ok: u64,
    /// Reloads that were refused.
    pub failed: u64,
    /// The newest load.
    pub last: LastLoad,
}

/// The newest load of the config file.
#[derive(Debug, Clone)]
pub struct LastLoad {
    /// When it was tried.
    pub at: SystemTime,
    /// Why it was refused, if it was: the problems, as a person should read them.
    pub error: Option<String>,
    /// Changed keys that keep their value until a restart.
    pub needs_restart: Vec<String>,
}

impl State {
    /// The state of a process that has just loaded its config.
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        names: Rc<Names>,
        drain: Watch,
        telemetry: Telemetry,
        config_path: PathBuf,
        (config, requests): (Arc<Config>, mpsc::WeakSender<Request>),
    ) -> Self {
        let now = SystemTime::now();
        Self {
            snapshot,
            names,
            drain,
            telemetry,
            config_path,
            started_at: Instant::now(),
            listening: Cell::new(false),
            loads: RefCell::new(Loads {
                generation: 1,
                applied_at: now,
                ok: 0,
                failed: 0,
                last: LastLoad { at: now, error: None, needs_restart: Vec::new() },
            }),
            config: RefCell::new(config),
            requests,
            asked: RefCell::default(),
            workers: RefCell::default(),
            hand: RefCell::default(),
            banned: RefCell::default(),
            set_by_hand: Notify::new(),
            kept: Cell::default(),
            live: Live::new(),
        }
    }

    /// The snapshot that sessions begin with now.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Where commands for the workers go.
    pub fn workers(&self) -> Vec<Mailbox> {
        self.workers.borrow().clone()
    }

    /// Notes where.
    pub fn set_workers(&self, workers: Vec<Mailbox>) {
        self.workers.replace(workers);
    }

    /// What was set by hand.
    pub fn hand(&self) -> Ref<'_, Hand> {
        self.hand.borrow()
    }

    /// The same, to be changed. It counts once [`super::reload::Reloader::follow`] has been called.
    pub fn hand_mut(&self) -> RefMut<'_, Hand> {
        self.set_by_hand.notify_one();
        self.hand.borrow_mut()
    }

    /// Who is banned by hand.
    pub fn banned(&self) -> Ref<'_, Banned> {
        self.banned.borrow()
    }

    /// Changes who is banned by hand; it counts at once.
    pub fn change_banned<T>(&self, change: impl FnOnce(&mut Banned) -> T) -> T {
        let changed = change(&mut self.banned.borrow_mut());
        self.admission().set_banned(self.banned().networks());
        self.set_by_hand.notify_one();
        changed
    }

    /// Resolves when something has been set by hand since the last time. For one task.
    pub(super) async fn set_by_hand(&self) {
        self.set_by_hand.notified().await;
    }

    /// Counts a write of the state file.
    pub(super) fn count_kept(&self, well: bool) {
        let (written, failed) = self.kept.get();
        self.kept.set(if well { (written + 1, failed) } else { (written, failed + 1) });
    }

    /// Writes of the state file so far, and those that failed.
    pub(super) fn kept(&self) -> (u64, u64) {
        self.kept.get()
    }

    /// Names of backends, and what they stand for.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The door.
    pub fn admission(&self) -> Arc<Admission> {
        Arc::clone(&self.snapshot.load().admission)
    }

    /// When the sessions that a drain has left will be ended, once it has begun.
    pub fn drain_ends_at(&self) -> Option<Instant> {
        self.drain.ends_at()
    }

    /// Follows the process on its way down.
    pub fn drain(&self) -> Watch {
        self.drain.clone()
    }

    /// How far the process is on its way down.
    pub fn phase(&self) -> Phase {
        self.drain.phase()
    }

    /// The log.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The config file.
    pub fn config_path(&self) -> &PathBuf {
        &self.config_path
    }

    /// How long the process has run.
    pub fn uptime(&self) -> Duration {
        self.started_at.elapsed()
    }

    /// Whether every listener is bound.
    pub fn is_listening(&self) -> bool {
        self.listening.get()
    }

    /// Notes that every listener is bound.
    pub fn set_listening(&self) {
        self.listening.set(true);
    }

    /// What has become of the config file.
    pub fn loads(&self) -> Loads {
        self.loads.borrow().clone()
    }

    /// The config that runs.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// Where the control thread is asked for more than an answer; `None` when the process ends.
    pub(super) fn requests(&self) -> Option<mpsc::Sender<Request>> {
        self.requests.upgrade()
    }

    /// What is live.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Counts an answer of the admin server.
    pub(super) fn count_asked(&self, path: &'static str, status: u16) {
        *self.asked.borrow_mut().entry((path, status)).or_default() += 1;
    }

    /// The answers of the admin server so far.
    pub(super) fn asked(&self) -> Ref<'_, Asked> {
        self.asked.borrow()
    }

    /// Notes a reload that was applied.
    pub fn note_applied(&self, config: Arc<Config>, needs_restart: Vec<String>) {
        self.config.replace(config);
        let now = SystemTime::now();
        let mut loads = self.loads.borrow_mut();
        loads.generation += 1;
        loads.ok += 1;
        loads.applied_at = now;
        loads.last = LastLoad { at: now, error: None, needs_restart };
    }

    /// Notes a reload that was refused.
    pub fn note_refused(&self, error: String) {
        let mut loads = self.loads.borrow_mut();
        loads.failed += 1;
        loads.last = LastLoad { at: SystemTime::now(), error: Some(error), needs_restart: Vec::new() };
    }
}
