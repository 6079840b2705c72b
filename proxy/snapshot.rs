//! The immutable routing state made from one version of the config file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::admission::Admission;
use crate::config::model::{Config, Mode};
use crate::config::scalar::Name;
use crate::pool::Pool;
use crate::session::Tally;

/// Everything that sessions need to agree on, in one piece. Replaced as a whole, by the reload alone.
#[derive(Debug)]
pub struct Snapshot {
    /// By name.
    pub listeners: BTreeMap<Name, Listener>,
    /// By name.
    pub pools: BTreeMap<Name, Arc<Pool>>,
    /// The door, the same in every snapshot.
    pub admission: Arc<Admission>,
    /// Whether sessions leave a line in the access log.
    pub access_log: bool,
}

/// One version of a listener: its policy, and the counts that pass from version to version.
#[derive(Debug)]
pub struct Listener {
    /// What is spoken on it.
    pub mode: Mode,
    /// The addresses it is bound to, in the file's order, with the ports that the kernel chose.
    pub bound: Vec<SocketAddr>,
    /// Where its sessions go.
    pub pool: Arc<Pool>,
    /// Its counts.
    pub counts: Arc<Counts>,
}

/// What a listener counts over all its versions.
#[derive(Debug)]
pub struct Counts {
    /// Its sessions.
    pub tally: Arc<Tally>,
    accept_errors: [AtomicU64; AcceptError::ALL.len()],
}

/// How an accept can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptError {
    /// The connection had gone before it was accepted.
    Connection,
    /// No descriptor or memory is left to accept with.
    Exhausted,
}

impl AcceptError {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Connection, Self::Exhausted];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Exhausted => "exhausted",
        }
    }
}

impl Snapshot {
    /// Makes the snapshot of a config whose listeners are bound to `bound`. What the one before carried of the same
    /// listeners, pools and backends passes over.
    pub fn new(config: &Config, bound: &BTreeMap<Name, Vec<SocketAddr>>, before: Option<&Self>) -> Self {
        let pools: BTreeMap<Name, Arc<Pool>> = config
            .pools
            .iter()
            .map(|pool| {
                let before = before.and_then(|before| before.pools.get(&pool.name));
                (pool.name.clone(), Arc::new(Pool::new(pool, before.map(|pool| &**pool))))
            })
            .collect();
        let listeners = config
            .listeners
            .iter()
            .map(|listener| {
                let before = before.and_then(|before| before.listeners.get(&listener.name));
                let counts = before.map(|before| Arc::clone(&before.counts));
                let entry = Listener {
                    mode: listener.mode,
                    bound: bound.get(&listener.name).cloned().unwrap_or_default(),
                    pool: Arc::clone(&pools[&listener.pool]),
                    counts: counts
                        .unwrap_or_else(|| Arc::new(Counts::new(&listener.name, config.server.workers.get()))),
                };
                (listener.name.clone(), entry)
            })
            .collect();
        let admission = before.map_or_else(
            || Arc::new(Admission::new(config.server.max_connections)),
            |before| Arc::clone(&before.admission),
        );
        admission.set_capacity(config.server.max_connections);
        Self { listeners, pools, admission, access_log: config.log.access }
    }
}

impl Counts {
    fn new(listener: &Name, workers: usize) -> Self {
        Self { tally: Arc::new(Tally::new(listener.clone(), workers)), accept_errors: Default::default() }
    }

    /// Accepts that failed in this way.
    pub fn accept_errors(&self, kind: AcceptError) -> u64 {
        self.accept_errors[kind as usize].load(Relaxed)
    }

    /// Counts an accept that failed.
    pub fn count_accept_error(&self, kind: AcceptError) {
        self.accept_errors[kind as usize].fetch_add(1, Relaxed);
    }
}
