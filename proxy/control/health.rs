//! The health checkers: one for each backend of a pool that has checks, on the control thread.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};

mod slots;

use self::slots::{PoolSlots, Slots};
use crate::config::model::{Health, OnDown};
use crate::config::scalar::Name;
use crate::net::tls::client::Encrypter;
use crate::pool::admin::Admin;
use crate::pool::discovery::Key;
use crate::pool::health::Verdict;
use crate::pool::{Backend, Pool};
use crate::probe::{self, Approach};
use crate::snapshot::Snapshot;
use crate::worker::{Ask, Command, Mailbox};

/// The part of the interval by which checks are spread, so that a thousand of them do not beat together.
const JITTER: f64 = 0.1;

/// The longest wait for the first check: newcomers are to be known soon, and not all in the same instant.
const FIRST_WITHIN: Duration = Duration::from_millis(500);

/// All checkers of the process.
#[derive(Debug)]
pub struct Checkers {
    running: HashMap<(Name, Key), Checker>,
    slots: Slots,
    workers: Rc<[Mailbox]>,
}

/// The checker of one backend. Ends when dropped.
#[derive(Debug)]
struct Checker {
    backend: Arc<Backend>,
    health: Health,
    encrypter: Option<Arc<Encrypter>>,
    task: JoinHandle<()>,
}

/// What one checker works with.
struct Round {
    pool: Name,
    backend: Arc<Backend>,
    health: Health,
    approach: Approach,
    slots: PoolSlots,
    workers: Rc<[Mailbox]>,
}

impl Checkers {
    /// No checker yet. Those who close sessions of a backend that went down tell these workers.
    pub fn new(workers: Vec<Mailbox>) -> Self {
        Self { running: HashMap::new(), slots: Slots::new(), workers: workers.into() }
    }

    /// Follows a snapshot: begins to check what is new, ends what is gone, and begins anew where the rule has changed.
    /// Verdicts are the backends' own, and stay.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.running);
        for pool in snapshot.pools.values() {
            let Some(health) = pool.health() else { continue };
            for member in pool.members() {
                let backend = &member.backend;
                let key = (pool.name().clone(), backend.key().clone());
                let kept = before.remove(&key).filter(|checker| checker.is_for(backend, pool));
                let checker = kept.unwrap_or_else(|| self.start(pool, backend, health));
                self.running.insert(key, checker);
            }
        }
        self.slots.keep(|pool| snapshot.pools.contains_key(pool));
    }

    fn start(&mut self, pool: &Pool, backend: &Arc<Backend>, health: &Health) -> Checker {
        // A port of its own is not where sessions go: it is spoken to plainly.
        let encrypter = pool.encrypter().filter(|_| health.port.is_none()).map(Arc::clone);
        let round = Round {
            approach: Approach {
                introduced: health.introduced.filter(|_| health.port.is_none()),
                encrypted: encrypter.clone().map(|tls| (tls, backend.key().name().map(str::to_owned))),
            },
            pool: pool.name().clone(),
            backend: Arc::clone(backend),
            health: health.clone(),
            slots: self.slots.for_pool(pool.name()),
            workers: Rc::clone(&self.workers),
        };
        Checker { backend: Arc::clone(backend), health: health.clone(), encrypter, task: spawn_local(round.run()) }
    }
}

impl Checker {
    fn is_for(&self, backend: &Arc<Backend>, pool: &Pool) -> bool {
        let encrypter = pool.encrypter().filter(|_| self.health.port.is_none());
        Arc::ptr_eq(&self.backend, backend)
            && pool.health() == Some(&self.health)
            && self.encrypter.as_ref().map(Arc::as_ptr) == encrypter.map(Arc::as_ptr)
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Round {
    async fn run(self) {
        sleep(FIRST_WITHIN.min(self.health.interval).mul_f64(fastrand::f64())).await;
        loop {
            let began = Instant::now();
            self.check().await;
            let spread = 1.0 + JITTER * (2.0 * fastrand::f64() - 1.0);
            sleep_until(began + self.health.interval.mul_f64(spread)).await;
        }
    }

    async fn check(&self) {
        if self.is_resting() {
            return;
        }
        let mut address = self.backend.address();
        if let Some(port) = self.health.port {
            address.set_port(port);
        }
        let result = {
            let Some(_slot) = self.slots.take().await else { return };
            probe::run(&self.health.check, address, &self.approach, self.health.timeout).await
        };
        if self.is_resting() {
            return; // it was taken out while it was asked
        }
        let (pool, backend) = (&self.pool, self.backend.key());
        if let Err(failure) = &result
            && failure.is_own_fault()
        {
            tracing::debug!(%pool, %backend, error = %failure, "no descriptor, memory or port left to check with");
            return;
        }
        let result = result.map(|found| found.players).map_err(|failure| failure.to_string());
        let failure = result.as_ref().err().cloned();
        match (self.backend.note_check(result, self.health.rule, Instant::now()), failure) {
            (Some(_down), Some(failure)) => {
                tracing::warn!(%pool, %backend, error = failure, "backend down: its health checks fail");
                self.close_sessions().await;
            }
            (Some(_up), None) => tracing::info!(%pool, %backend, "backend up: its health checks pass"),
            (None, Some(failure)) => tracing::debug!(%pool, %backend, error = failure, "health check failed"),
            (None, None) => {}
        }
    }

    /// During maintenance, what it would find means nothing.
    fn is_resting(&self) -> bool {
        self.backend.admin() == Admin::Maintenance
    }

    async fn close_sessions(&self) {
        // One that is held in goes on taking sessions: those it has are worth no less.
        let is_down = self.backend.checkup().verdict() == Verdict::Down && !self.backend.is_held_in();
        if self.health.on_down == OnDown::Close && is_down {
            self.backend.end_sessions();
            for worker in &*self.workers {
                worker.send(Command::Sessions(Ask::StopOn(Arc::clone(&self.backend)))).await;
            }
        }
    }
}
