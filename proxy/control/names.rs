//! Names of backends, looked up again and again on the control thread. The data plane never waits for a resolver: it has
//! the last good answers, as addresses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout_at};

mod answer;
mod resolver;
#[cfg(test)]
mod tests;

pub(super) use self::answer::Failure;
use self::answer::{Answer, Memory, Taken};
use crate::config::model::{Config, Dns};
use crate::config::scalar::{Address, Name};
use crate::pool::discovery::{Answers, Found};

/// Looks a name up; says why it could not.
type Lookup = Rc<dyn Fn(Address) -> Pin<Box<dyn Future<Output = Result<Answer, Failure>>>>>;

/// The least time between two lookups of a name, whatever its TTL says.
const TTL_MIN: Duration = Duration::from_secs(1);

/// The most: an operator who moves a server does not wait longer, whatever the TTL was before.
const TTL_MAX: Duration = Duration::from_secs(300);

/// After a failure: the first wait, doubled with each further one, and what doubling ends at.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How long it is looked whether the names of a file that is checked resolve: whoever asks waits for it.
pub const CHECK_PATIENCE: Duration = Duration::from_secs(2);

/// Lookups at once: a resolver is not to be stormed by a thousand names.
const AT_ONCE: usize = 64;

/// Backends that one name may stand for: an answer over UDP has no room for as many.
const FOUND_MAX: usize = 256;

/// The names of the config, and what they stand for.
pub struct Names {
    dns: RefCell<Dns>,
    lookup: RefCell<Lookup>,
    keepers: RefCell<BTreeMap<Address, Keeper>>,
    known: Rc<Known>,
}

/// What is known of the names.
#[derive(Debug)]
struct Known {
    answers: RefCell<Answers>,
    /// What the answers were made from.
    memories: RefCell<BTreeMap<Address, Memory>>,
    /// Why the newest lookup has failed, as a whole or in part.
    failing: RefCell<BTreeMap<Address, Failure>>,
    /// Names that have neither an answer nor a failure yet.
    open: Cell<usize>,
    settled: Notify,
    changed: Notify,
    slots: Semaphore,
}

/// Keeps one name looked up. Ends when dropped.
#[derive(Debug)]
struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Names {
    /// No name yet; lookups will go as the config says.
    pub fn new(dns: &Dns) -> Self {
        Self::with(dns, resolver::lookup(dns))
    }

    fn with(dns: &Dns, lookup: Lookup) -> Self {
        let known = Known {
            answers: RefCell::default(),
            memories: RefCell::default(),
            failing: RefCell::default(),
            open: Cell::new(0),
            settled: Notify::new(),
            changed: Notify::new(),
            slots: Semaphore::new(AT_ONCE),
        };
        Self {
            dns: RefCell::new(dns.clone()),
            lookup: RefCell::new(lookup),
            keepers: RefCell::default(),
            known: Rc::new(known),
        }
    }

    /// Follows a config: begins to look up what is new in it, and forgets what is gone.
    pub fn follow(&self, config: &Config) {
        self.follow_all(config, names_of(config));
    }

    /// Follows a config that may be taken back: what is new in it is looked up, and what runs goes on.
    pub fn try_out(&self, config: &Config, running: &Config) {
        self.follow_all(config, names_of(config).chain(names_of(running)));
    }

    fn follow_all<'a>(&self, config: &Config, names: impl Iterator<Item = (&'a Name, &'a Address)>) {
        let mut keepers = self.keepers.borrow_mut();
        if *self.dns.borrow() != config.dns {
            *self.dns.borrow_mut() = config.dns.clone();
            *self.lookup.borrow_mut() = resolver::lookup(&config.dns);
            keepers.clear();
        }
        let mut before = std::mem::take(&mut *keepers);
        for (_, name) in names {
            if !keepers.contains_key(name) {
                let keeper = before.remove(name).unwrap_or_else(|| self.keep(name));
                keepers.insert(name.clone(), keeper);
            }
        }
        self.known.forget_all_but(&keepers);
    }

    fn keep(&self, name: &Address) -> Keeper {
        self.known.open.set(self.known.open.get() + 1);
        let open = Open(Rc::clone(&self.known));
        let keep = keep(name.clone(), Rc::clone(&self.lookup.borrow()), Rc::clone(&self.known), open);
        Keeper(spawn_local(keep))
    }

    /// Waits until each name has been looked up once, for `patience` at most: what comes later is told by
    /// [`changed`](Self::changed).
    pub async fn settled(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.known.open.get() > 0 {
            if timeout_at(deadline, self.known.settled.notified()).await.is_err() {
                return;
            }
        }
    }

    /// What the names stand for now.
    pub fn answers(&self) -> Answers {
        self.known.answers.borrow().clone()
    }

    /// Resolves when they have come to stand for something else since it did so last. Cancel safe.
    pub async fn changed(&self) {
        self.known.changed.notified().await;
    }

    /// Names of this config that have no answer yet, and why, with their pools.
    pub fn unanswered(&self, config: &Config) -> Vec<Unresolved> {
        let (answers, failing) = (self.known.answers.borrow(), self.known.failing.borrow());
        let unanswered = names_of(config).filter(|(_, name)| !answers.0.contains_key(name));
        let told = unanswered.map(|(pool, name)| Unresolved {
            pool: pool.clone(),
            name: name.clone(),
            why: failing.get(name).map_or_else(|| "no answer yet".to_owned(), |failure| failure.why.clone()),
        });
        told.collect()
    }

    /// Names of which the name servers say that they stand for nothing, with what they say.
    pub(super) fn denied(&self) -> BTreeMap<Address, String> {
        let failing = self.known.failing.borrow();
        let denied = failing.iter().filter(|(_, failure)| failure.is_denial);
        denied.map(|(name, failure)| (name.clone(), failure.why.clone())).collect()
    }

    /// Names whose newest lookup has failed, as a whole or in part, and why.
    pub fn failing(&self) -> Vec<(Address, String)> {
        self.known.failing.borrow().iter().map(|(name, failure)| (name.clone(), failure.why.clone())).collect()
    }
}

/// A name of a pool's backends that stands for nothing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    pool: Name,
    name: Address,
    why: String,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pools.{}.backends: {} does not resolve: {}", self.pool, self.name, self.why)
    }
}

/// Looks all names of a config up once, for `patience` at most; those that stand for nothing. To be called in a local runtime.
pub async fn unresolved(config: &Config, patience: Duration) -> Vec<Unresolved> {
    let (lookup, slots) = (resolver::lookup(&config.dns), Rc::new(Semaphore::new(AT_ONCE)));
    let deadline = Instant::now() + patience;
    let looked_up: Vec<_> = names_of(config)
        .map(|(pool, name)| {
            let (lookup, slots, of) = (Rc::clone(&lookup), Rc::clone(&slots), name.clone());
            let failure = async move {
                let _slot = slots.acquire().await.ok();
                lookup(of).await.and_then(|answer| Memory::default().take(&answer)).err()
            };
            (pool, name, spawn_local(timeout_at(deadline, failure)))
        })
        .collect();
    let mut unresolved = Vec::new();
    for (pool, name, task) in looked_up {
        let why = match task.await {
            Ok(Ok(failure)) => failure.map(|failure| failure.why),
            Ok(Err(_elapsed)) => Some(format!("no answer within {} s", patience.as_secs())),
            Err(_ended) => None,
        };
        unresolved.extend(why.map(|why| Unresolved { pool: pool.clone(), name: name.clone(), why }));
    }
    unresolved
}

/// The names among a config's backends, with their pools.
fn names_of(config: &Config) -> impl Iterator<Item = (&Name, &Address)> {
    let backends =
        config.pools.iter().flat_map(|pool| pool.backends.iter().map(|backend| (&pool.name, &backend.address)));
    backends.filter(|(_, name)| !matches!(name, Address::Socket(_)))
}

/// Counts a name as open until its first lookup is over, or given up.
struct Open(Rc<Known>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.settled.notify_one();
    }
}

/// Looks a name up for as long as the config has it.
async fn keep(name: Address, lookup: Lookup, known: Rc<Known>, open: Open) {
    let mut open = Some(open);
    let mut retry = RETRY;
    loop {
        let result = {
            let Ok(_slot) = known.slots.acquire().await else { return };
            lookup(name.clone()).await
        };
        let wait =
            match result.and_then(|answer| known.note_answer(&name, &answer).map(|missing| (answer.ttl, missing))) {
                Ok((ttl, missing)) => {
                    let ttl = ttl.clamp(TTL_MIN, TTL_MAX);
                    let wait = if missing { retry.min(ttl) } else { ttl };
                    retry = if missing { (retry * 2).min(RETRY_MAX) } else { RETRY };
                    wait
                }
                Err(failure) => {
                    known.note_failure(&name, failure);
                    let wait = retry;
                    retry = (retry * 2).min(RETRY_MAX);
                    wait
                }
            };
        drop(open.take());
        sleep(wait).await;
    }
}

impl Known {
    /// Takes an answer over; whether part of it could not be found out. The log hears of each change once.
    fn note_answer(&self, name: &Address, answer: &Answer) -> Result<bool, Failure> {
        let Taken { found, missing } = self.memories.borrow_mut().entry(name.clone()).or_default().take(answer)?;
        let changed = self.take_over(name, found);
        if let Some(why) = missing {
            self.note_failure(name, Failure { why, is_denial: false });
            return Ok(true);
        }
        if self.failing.borrow_mut().remove(name).is_some() && !changed {
            let to = self.shown(name);
            tracing::info!(%name, to, "host name can be resolved again");
        }
        Ok(false)
    }

    /// Whether this is a change.
    fn take_over(&self, name: &Address, mut found: Vec<Found>) -> bool {
        found.sort_unstable();
        found.dedup_by_key(|found| found.address);
        found.truncate(FOUND_MAX);
        let before = self.answers.borrow_mut().0.insert(name.clone(), found.clone()).unwrap_or_default();
        if before == found {
            return false;
        }
        let (from, to) = (shown(&before), shown(&found));
        tracing::info!(%name, from, to, "host name resolved");
        self.changed.notify_one();
        true
    }

    /// Notes that what was known stands. The log hears of it once.
    fn note_failure(&self, name: &Address, failure: Failure) {
        if !self.failing.borrow().contains_key(name) {
            let (error, kept) = (&failure.why, self.shown(name));
            tracing::warn!(%name, error, kept, "host name could not be resolved");
        }
        self.failing.borrow_mut().insert(name.clone(), failure);
    }

    fn shown(&self, name: &Address) -> String {
        self.answers.borrow().0.get(name).map(|found| shown(found)).unwrap_or_default()
    }

    fn forget_all_but(&self, keepers: &BTreeMap<Address, Keeper>) {
        self.answers.borrow_mut().0.retain(|name, _| keepers.contains_key(name));
        self.memories.borrow_mut().retain(|name, _| keepers.contains_key(name));
        self.failing.borrow_mut().retain(|name, _| keepers.contains_key(name));
    }
}

fn shown(found: &[Found]) -> String {
    found.iter().map(|found| found.address.to_string()).collect::<Vec<_>>().join(", ")
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("dns", &self.dns).field("known", &self.known).finish_non_exhaustive()
    }
}
