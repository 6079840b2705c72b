//! The one place that swaps the snapshot.
//!
//! Read, check, bind, swap: whatever fails on the way, what runs goes on unchanged, and why is logged and kept for the
//! admin server.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

mod reading;

use self::reading::{Answer, Edit, Files, Found, Job, Readings, Requests};
use super::grace::{self, Before, ResolveGrace};
use super::health::Checkers;
use super::names::Names;
use super::sockets::{Opened, Plan, Sockets};
use super::state::State;
use super::supervisor::{Reloading, Supervisor};
use super::watch::Watch;
use crate::config::files::Stamps;
use crate::config::scalar::Name;
use crate::config::{self, diff, model, model::Config};
use crate::descriptors;
use crate::pool::discovery::{Key, Resolved};
use crate::snapshot::{Listener, Snapshot};
use crate::worker::{self, Close, Command, Listen, SocketKey};

/// How long a reload waits for the addresses of new host names: a change is to take effect within a second.
const NAMES_PATIENCE: Duration = Duration::from_millis(500);

/// Applies the config file, again and again.
#[derive(Debug)]
pub struct Reloader {
    /// What runs.
    config: Arc<Config>,
    /// What the file held when it was last read, applied or not.
    content: Arc<Vec<u8>>,
    /// What the files held that it names, when they were last read; those that what runs names are among them.
    files: Stamps,
    sockets: Sockets,
    names: Rc<Names>,
    grace: ResolveGrace,
    checkers: Checkers,
    snapshot: Arc<ArcSwap<Snapshot>>,
    state: Rc<State>,
    watch: Rc<Watch>,
    supervisor: Rc<Supervisor>,
    readings: Readings,
    /// While a reload is under way that somebody has asked for.
    reloading: Option<Reloading>,
}

/// What a reloader goes on from.
#[derive(Debug)]
pub struct Start {
    /// The config that runs.
    pub config: Arc<Config>,
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

/// What the reloader has to do next.
#[derive(Debug)]
pub enum Next {
    /// Names of backends have come to stand for something else: [`Reloader::follow`].
    Names,
    /// The files have been read: [`Reloader::apply`].
    Read(Read),
}

/// What has been read, and who waits for it to be applied.
#[derive(Debug)]
pub struct Read(Found, Requests);

impl Reloader {
    /// Goes on from what runs.
    pub fn new(start: Start) -> Self {
        let Start { config, content, files, sockets, names, checkers, snapshot, state, watch, supervisor } = start;
        let mut reloader = Self {
            config,
            content: Arc::new(content),
            files,
            sockets,
            names,
            grace: ResolveGrace::default(),
            checkers,
            snapshot,
            state,
            watch,
            supervisor,
            readings: Readings::default(),
            reloading: None,
        };
        reloader.watch.follow(reloader.files.paths());
        reloader.checkers.follow(&reloader.state.snapshot());
        reloader
    }

    /// `[server]` as it stands.
    pub fn server(&self) -> &model::Server {
        &self.config.server
    }

    /// Has the files read, and applied if one holds something else than when it was last read.
    pub fn look(&mut self) {
        self.readings.request(false, None);
        self.begin();
    }

    /// Has the files read, and applied whether they have changed or not.
    pub fn reload(&mut self, answer: Option<Answer>) {
        self.readings.request(true, answer);
        self.begin();
    }

    /// Begins the reading that is due, if one is.
    fn begin(&mut self) {
        let Some(is_forced) = self.readings.is_due() else { return };
        self.reloading = is_forced.then(|| Supervisor::reloading(&self.supervisor, &self.state));
        self.readings.begin(Job {
            path: self.state.config_path().clone(),
            running: Arc::clone(&self.config),
            content: Arc::clone(&self.content),
            files: self.files.clone(),
        });
    }

    /// Resolves when there is something to do. Cancel safe.
    pub async fn next(&mut self) -> Next {
        let grace_ends = self.grace.next_end();
        let end_of_grace = async {
            match grace_ends {
                Some(end) => sleep_until(end).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.names.changed() => Next::Names,
            () = end_of_grace => Next::Names,
            (found, requests) = self.readings.over() => Next::Read(Read(found, requests)),
        }
    }

    /// Applies what has been read, and tells those who asked for it. Begins the next reading if somebody has asked meanwhile.
    pub async fn apply(&mut self, Read(found, requests): Read, workers: &[worker::Handle]) {
        let outcome = match found {
            Found::Unchanged => Ok(()),
            Found::Files(files) => {
                let told = self.reloading.take();
                let _reloading = told.unwrap_or_else(|| Supervisor::reloading(&self.supervisor, &self.state));
                self.apply_files(*files, workers).await
            }
        };
        for answer in requests.answers {
            // Whoever asked may have gone.
            let _gone = answer.send(outcome.clone());
        }
        self.begin();
    }

    async fn apply_files(&mut self, files: Files, workers: &[worker::Handle]) -> Result<(), String> {
        let Files { content, stamps, outcome } = files;
        if let Some(content) = content {
            self.content = content;
        }
        if let Some(stamps) = stamps {
            self.look_at(stamps.and(&self.files));
        }
        match self.prepare(outcome).await {
            Ok((Edit { config, changes, .. }, plan)) => {
                self.swap(&config, &plan);
                send(plan, &self.snapshot.load(), workers).await;
                self.sockets.silence_unused();
                descriptors::warn_of_shortage(&config);
                self.finish(config, &changes);
                Ok(())
            }
            Err(problem) => {
                // Names of an edit that is refused are not looked up any longer.
                self.names.follow(&self.config);
                self.refuse(problem.clone());
                Err(problem)
            }
        }
    }

    /// What can fail of an edit that can be read.
    async fn prepare(&self, outcome: Result<Edit, String>) -> Result<(Edit, Plan), String> {
        let edit = outcome?;
        log_warnings(self.state.config_path(), &edit.warnings);
        self.look_up(&edit.config).await?;
        let lost = lost(&self.snapshot.load());
        let plan = self.sockets.plan(&edit.config, &lost).map_err(|error| error.to_string())?;
        Ok((edit, plan))
    }

    /// Looks the names up that an edit brings. Those that need longer are followed; the edit is refused if a pool that players
    /// come to would have nothing.
    async fn look_up(&self, config: &Config) -> Result<(), String> {
        self.names.try_out(config, &self.config);
        self.names.settled(NAMES_PATIENCE).await;
        let before = Before { config: &self.config, entries: &self.entries() };
        grace::refuse_empty(config, before, &self.names.answers(), &self.names.denied())
    }

    /// The entries of the pools that run.
    fn entries(&self) -> grace::Entries {
        let snapshot = self.snapshot.load();
        snapshot.pools.iter().map(|(name, pool)| (name.clone(), pool.entries().to_vec())).collect()
    }

    fn look_at(&mut self, files: Stamps) {
        self.watch.follow(files.paths());
        self.files = files;
    }

    /// Takes over what names of backends stand for now, and what is set by hand.
    pub fn follow(&mut self) {
        let (config, bound) = (Arc::clone(&self.config), self.snapshot.load().bound());
        self.store(&config, &bound);
    }

    /// Replaces what runs by what a new config says.
    fn swap(&mut self, config: &Config, plan: &Plan) {
        let before = Before { config: &self.config, entries: &self.entries() };
        self.grace.edit(config, before, &self.names.answers(), Instant::now());
        for (pool, names) in self.grace.waiting() {
            tracing::warn!(%pool, names, "names do not resolve yet; the backends that the edit removes stay until they do, or for resolve_grace");
        }
        self.names.follow(config);
        let bound = self.sockets.addresses(config, plan);
        self.store(config, &bound);
        self.sockets.apply(plan);
    }

    /// Replaces the snapshot. Sessions that live keep theirs; what is counted passes over.
    fn store(&mut self, config: &Config, bound: &BTreeMap<Name, Vec<SocketAddr>>) {
        let (answers, state) = (self.names.answers(), Rc::clone(&self.state));
        for (pool, names) in self.grace.end(&answers, Instant::now()) {
            tracing::error!(%pool, names, "names still do not resolve; the backends that an edit has removed leave now");
        }
        let kept = self.grace.kept();
        let resolved = Resolved { answers: &answers, kept: &kept };
        let before = self.snapshot.load_full();
        let stays =
            |pool: &Name, key: &Key| kept.get(pool).is_some_and(|kept| kept.iter().any(|entry| entry.key == *key));
        state.hand_mut().keep(config, |pool, key| before.backends.has_sessions(pool, key) || stays(pool, key));
        let snapshot = Snapshot::new(config, bound, resolved, &state.hand(), Some(&before));
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(Arc::clone(&snapshot));
        self.checkers.follow(&snapshot);
        for pool in snapshot.pools.values() {
            pool.serve_waiting(Instant::now());
        }
    }

    fn finish(&mut self, config: Config, changes: &[diff::Change]) {
        self.state.telemetry().set_level(config.log.level);
        self.config = Arc::new(config);
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
        self.state.note_applied(Arc::clone(&self.config), needs_restart);
        tracing::info!(changes = changes.len(), generation = self.state.loads().generation, "config reloaded");
    }

    fn refuse(&self, problem: String) {
        let path = self.state.config_path().display();
        tracing::error!("config not reloaded, what runs goes on unchanged: {path}\n{problem}");
        self.state.note_refused(problem);
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
