//! The one place that swaps the snapshot.
//!
//! Read, check, bind, swap: whatever fails on the way, what runs goes on unchanged, and why is logged and kept for the
//! admin server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::health::Checkers;
use super::names::Names;
use super::sockets::{Opened, Plan, Sockets};
use super::state::State;
use super::supervisor::Supervisor;
use super::watch::Watch;
use crate::config::files::Stamps;
use crate::config::scalar::Name;
use crate::config::{self, LoadError, Loaded, diff, model, model::Config};
use crate::snapshot::{Listener, Snapshot};
use crate::worker::{self, Close, Command, Listen, SocketKey};

/// How long a reload waits for the addresses of new host names: a change is to take effect within a second.
const NAMES_PATIENCE: Duration = Duration::from_millis(500);

/// Applies the config file, again and again.
#[derive(Debug)]
pub struct Reloader {
    /// What runs.
    config: Rc<Config>,
    /// What the file held when it was last read, applied or not.
    content: Vec<u8>,
    /// What the files held that it names, when they were last read; those that what runs names are among them.
    files: Stamps,
    sockets: Sockets,
    names: Rc<Names>,
    checkers: Checkers,
    snapshot: Arc<ArcSwap<Snapshot>>,
    state: Rc<State>,
    watch: Rc<Watch>,
    supervisor: Rc<Supervisor>,
}

/// What a reloader goes on from.
#[derive(Debug)]
pub struct Start {
    /// The config that runs.
    pub config: Rc<Config>,
    /// What it was read from.
    pub content: Vec<u8>,
    /// What the files held that it names.
    pub files: Stamps,
    /// The sockets that are open.
    pub sockets: Sockets,
    /// Looks names of backends up.
    pub names: Rc<Names>,
    /// Checks backends.
    pub checkers: Checkers,
    /// What runs.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where to tell.
    pub state: Rc<State>,
    /// Told which files the config names.
    pub watch: Rc<Watch>,
    /// Told when a reload begins and ends.
    pub supervisor: Rc<Supervisor>,
}

/// What became of a reload.
#[derive(Debug)]
pub enum Verdict {
    /// It is what runs now.
    Applied,
    /// The file is what it was when it was last read.
    Unchanged,
    /// What ran before goes on; why, as a person should read it.
    Refused(String),
}

impl Reloader {
    /// Goes on from what runs.
    pub fn new(start: Start) -> Self {
        let Start { config, content, files, sockets, names, checkers, snapshot, state, watch, supervisor } = start;
        let mut reloader =
            Self { config, content, files, sockets, names, checkers, snapshot, state, watch, supervisor };
        reloader.watch.follow(reloader.files.paths());
        reloader.checkers.follow(&reloader.state.snapshot());
        reloader
    }

    /// `[server]` as it stands.
    pub fn server(&self) -> &model::Server {
        &self.config.server
    }

    /// Reloads if the file holds something else than when it was last read.
    pub async fn reload_if_changed(&mut self, workers: &[worker::Handle]) -> Verdict {
        match config::read(self.state.config_path()) {
            Ok(content) if content == self.content && !self.files.are_stale() => Verdict::Unchanged,
            content => self.apply(content, workers).await,
        }
    }

    /// Reloads, whether the file has changed or not.
    pub async fn reload(&mut self, workers: &[worker::Handle]) -> Verdict {
        let content = config::read(self.state.config_path());
        self.apply(content, workers).await
    }

    async fn apply(&mut self, content: Result<Vec<u8>, LoadError>, workers: &[worker::Handle]) -> Verdict {
        let (supervisor, state) = (Rc::clone(&self.supervisor), Rc::clone(&self.state));
        let _reloading = supervisor.reloading(&state);
        let prepared = content.map_err(|error| error.to_string()).and_then(|content| {
            self.content = content;
            let (mut config, warnings) = self.read().map_err(|error| error.to_string())?;
            let path = self.state.config_path();
            config::fill(&mut config, path, Some(&self.config)).map_err(|error| error.to_string())?;
            log_warnings(path, &warnings);
            let (config, changes) = self.compare(config);
            let plan = self.sockets.plan(&config, &lost(&self.snapshot.load())).map_err(|error| error.to_string())?;
            Ok((config, changes, plan))
        });
        match prepared {
            Ok((config, changes, plan)) => {
                self.swap(&config, &plan).await;
                send(plan, &self.snapshot.load(), workers).await;
                self.sockets.silence_unused();
                self.finish(config, &changes);
                Verdict::Applied
            }
            Err(problem) => self.refuse(problem),
        }
    }

    /// Reads the text. From before they are read on, changes of the files that it names are noticed, whatever becomes of it.
    fn read(&mut self) -> Result<(Config, String), LoadError> {
        let path = self.state.config_path();
        let Loaded { config, warnings } = config::check_alone(path, &self.content)?;
        let files = Stamps::take(&config, config::folder_of(path));
        self.look_at(files.and(&self.files));
        Ok((config, warnings))
    }

    fn look_at(&mut self, files: Stamps) {
        self.watch.follow(files.paths());
        self.files = files;
    }

    /// What the new file changes, and the config that can be had of it without a restart.
    fn compare(&self, new: Config) -> (Config, Vec<diff::Change>) {
        let changes = diff::diff(&self.config, &new);
        (keep_fixed(new, &self.config), changes)
    }

    /// Resolves when names of backends have come to stand for something else. Cancel safe.
    pub async fn names_changed(&self) {
        self.names.changed().await;
    }

    /// Takes over what names of backends stand for now, and what is set by hand.
    pub fn follow(&mut self) {
        let (config, bound) = (Rc::clone(&self.config), self.snapshot.load().bound());
        self.store(&config, &bound);
    }

    /// Replaces what runs by what a new config says.
    async fn swap(&mut self, config: &Config, plan: &Plan) {
        self.names.follow(config);
        self.names.settled(NAMES_PATIENCE).await;
        let bound = self.sockets.addresses(config, plan);
        self.store(config, &bound);
        self.sockets.apply(plan);
    }

    /// Replaces the snapshot. Sessions that live keep theirs; what is counted passes over.
    fn store(&mut self, config: &Config, bound: &BTreeMap<Name, Vec<SocketAddr>>) {
        let (answers, state) = (self.names.answers(), Rc::clone(&self.state));
        let before = self.snapshot.load_full();
        state.hand_mut().keep(config, |pool, key| before.backends.has_sessions(pool, key));
        let snapshot = Snapshot::new(config, bound, &answers, &state.hand(), Some(&before));
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(Arc::clone(&snapshot));
        self.checkers.follow(&snapshot);
        for pool in snapshot.pools.values() {
            pool.serve_waiting(Instant::now());
        }
    }

    fn finish(&mut self, config: Config, changes: &[diff::Change]) {
        self.state.telemetry().set_level(config.log.level);
        self.config = Rc::new(config);
        let files = self.files.clone().of(&self.config, config::folder_of(self.state.config_path()));
        self.look_at(files);
        for change in changes {
            let (listener, pool, backend) = (change.listener(), change.pool(), change.backend());
            tracing::info!(listener, pool, backend, "config: {change}");
        }
        for (key, problem) in self.config.stale() {
            tracing::warn!("config: {key}: {problem}; what it held before stands");
        }
        let needs_restart = changes.iter().filter_map(needs_restart).collect();
        self.state.note_applied(Rc::clone(&self.config), needs_restart);
        tracing::info!(changes = changes.len(), generation = self.state.loads().generation, "config reloaded");
    }

    fn refuse(&self, problem: String) -> Verdict {
        let path = self.state.config_path().display();
        tracing::error!("config not reloaded, what runs goes on unchanged: {path}\n{problem}");
        self.state.note_refused(problem.clone());
        Verdict::Refused(problem)
    }
}

/// What cannot change while running stays as it is.
fn keep_fixed(new: Config, running: &Config) -> Config {
    Config {
        server: model::Server { workers: running.server.workers, ..new.server },
        admin: new.admin.staying(&running.admin),
        log: model::Log { format: running.log.format, ..new.log },
        ..new
    }
}

/// The key that a change would need a restart for.
fn needs_restart(change: &diff::Change) -> Option<String> {
    match change {
        diff::Change::Set(set) if change.needs_restart() => Some(set.path.clone()),
        _ => None,
    }
}

/// Logs what is legal but surprising in a file.
pub fn log_warnings(path: &Path, warnings: &str) {
    if !warnings.is_empty() {
        tracing::warn!("config: {}\n{warnings}", path.display());
    }
}

/// The sockets that a worker accepts on no more.
fn lost(snapshot: &Snapshot) -> BTreeSet<SocketKey> {
    let keys = |(name, listener): (&Name, &Arc<Listener>)| {
        let (listener, addresses) = (name.clone(), listener.counts.lost());
        addresses.into_iter().map(move |address| SocketKey { listener: listener.clone(), address })
    };
    snapshot.listeners.iter().flat_map(keys).collect()
}

/// Hands the workers their new sockets, and has them close those that are needed no more. Returns when these are closed,
/// so that their addresses are free.
pub async fn send(plan: Plan, snapshot: &Snapshot, workers: &[worker::Handle]) {
    for Opened { key, sockets, bound } in plan.opened {
        let Some(listener) = snapshot.listeners.get(&key.listener) else { continue };
        listener.counts.note_opened(key.address);
        tracing::info!(listener = %key.listener, address = %bound, "listening");
        for (worker, socket) in workers.iter().zip(sockets) {
            let listen = Listen { key: key.clone(), socket, listener: Arc::clone(listener) };
            worker.mailbox().send(Command::Listen(listen)).await;
        }
    }
    for key in plan.closed {
        let mut closing = Vec::with_capacity(workers.len());
        for worker in workers {
            let (closed, wait) = oneshot::channel();
            worker.mailbox().send(Command::Close(Close { key: key.clone(), closed })).await;
            closing.push(wait);
        }
        for wait in closing {
            let _dropped = wait.await;
        }
        tracing::info!(listener = %key.listener, address = %key.address, "no longer listening");
    }
}
