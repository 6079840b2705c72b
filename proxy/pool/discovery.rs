//! Where a backend's host name leads to.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::timeout;

use super::Backend;
use crate::config::scalar::{Address, Name};

/// A resolver that is silent for longer has no answer; the last good one stays.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The addresses to connect to: the one that the file names, or the last good answer for a host name.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// In the order in which to try them. Empty while a host name has not been found.
    current: ArcSwap<Vec<SocketAddr>>,
    /// The last lookup failed, and the log says so already.
    failing: AtomicBool,
}

impl Resolved {
    pub(super) fn new(address: &Address) -> Self {
        match address {
            Address::Socket(address) => Self { current: ArcSwap::from_pointee(vec![*address]), ..Self::default() },
            Address::Host { .. } => Self::default(),
        }
    }

    pub(super) fn get(&self) -> Arc<Vec<SocketAddr>> {
        self.current.load_full()
    }

    /// Takes over an answer. What was first before stays first while it is in the answer, for names that answer in
    /// changing order. Whether the addresses have changed.
    fn update(&self, mut answer: Vec<SocketAddr>) -> bool {
        let current = self.get();
        if let Some(place) = answer.iter().position(|address| Some(address) == current.first()) {
            answer[..=place].rotate_right(1);
        }
        let sorted = |addresses: &[SocketAddr]| addresses.iter().copied().collect::<BTreeSet<_>>();
        if answer.is_empty() || sorted(&answer) == sorted(&current) {
            return false;
        }
        self.current.store(Arc::new(answer));
        true
    }
}

/// Looks a backend's host name up again; sessions to the old address go on. Does nothing for an IP address. The log hears
/// of each change once.
pub async fn resolve(pool: &Name, backend: &Backend) {
    let Address::Host { host, port } = backend.address() else { return };
    let lookup = async {
        let found = timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((&**host, *port))).await;
        let answer: Vec<_> = found.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??.collect();
        if answer.is_empty() { Err(io::Error::other("no address")) } else { Ok(answer) }
    };
    let address = backend.address();
    match lookup.await {
        Ok(answer) => {
            let changed = backend.resolved().update(answer);
            let recovered = backend.resolved().failing.swap(false, Relaxed);
            if changed || recovered {
                let to = backend.resolved().get();
                tracing::info!(%pool, backend = %address, to = ?to, "host name resolved");
            }
        }
        Err(error) if !backend.resolved().failing.swap(true, Relaxed) => {
            let kept = backend.resolved().get();
            tracing::warn!(%pool, backend = %address, %error, kept = ?kept, "host name could not be resolved");
        }
        Err(_still_failing) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 25565))
    }

    #[test]
    fn an_answer_in_another_order_changes_nothing_and_an_empty_one_neither() {
        let resolved = Resolved::default();
        assert!(resolved.get().is_empty());
        assert!(resolved.update(vec![at(1), at(2)]));
        assert!(!resolved.update(vec![at(2), at(1)]));
        assert!(!resolved.update(vec![]));
        assert_eq!(*resolved.get(), [at(1), at(2)]);
    }

    #[test]
    fn what_was_first_stays_first_as_long_as_it_is_there() {
        let resolved = Resolved::default();
        resolved.update(vec![at(1), at(2)]);
        assert!(resolved.update(vec![at(3), at(2), at(1)]));
        assert_eq!(*resolved.get(), [at(1), at(3), at(2)]);
        assert!(resolved.update(vec![at(2)]));
        assert_eq!(*resolved.get(), [at(2)]);
    }
}
