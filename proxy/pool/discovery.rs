//! Where a backend's host name leads to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::timeout;

use super::Backend;
use crate::config::scalar::{Address, Name};

/// A resolver that is silent for longer has no answer; the last good one stays.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The address to connect to: fixed for an IP address, the last good answer for a host name.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    current: ArcSwapOption<SocketAddr>,
    /// The last lookup failed, and the log says so already.
    failing: AtomicBool,
}

impl Resolved {
    pub(super) fn new(address: &Address) -> Self {
        match address {
            Address::Socket(address) => Self { current: ArcSwapOption::from_pointee(*address), ..Self::default() },
            Address::Host { .. } => Self::default(),
        }
    }

    pub(super) fn get(&self) -> Option<SocketAddr> {
        self.current.load().as_deref().copied()
    }

    /// Takes over an answer. An address that is still in it is kept, for names that answer in changing order.
    /// Whether the address has changed.
    fn update(&self, answer: &[SocketAddr]) -> bool {
        let current = self.get();
        if answer.is_empty() || current.is_some_and(|current| answer.contains(&current)) {
            return false;
        }
        self.current.store(Some(Arc::new(answer[0])));
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
            let changed = backend.resolved().update(&answer);
            let recovered = backend.resolved().failing.swap(false, Relaxed);
            if changed || recovered {
                let to = backend.socket_address().map(tracing::field::display);
                tracing::info!(%pool, backend = %address, to, "host name resolved");
            }
        }
        Err(error) if !backend.resolved().failing.swap(true, Relaxed) => {
            let kept = backend.socket_address().map(tracing::field::display);
            tracing::warn!(%pool, backend = %address, %error, kept, "host name could not be resolved");
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
        assert_eq!(resolved.get(), None);
        assert!(resolved.update(&[at(1), at(2)]));
        assert_eq!(resolved.get(), Some(at(1)));
        assert!(!resolved.update(&[at(2), at(1)]));
        assert!(!resolved.update(&[]));
        assert_eq!(resolved.get(), Some(at(1)));
        assert!(resolved.update(&[at(2)]));
        assert_eq!(resolved.get(), Some(at(2)));
    }
}
