//! Which listening sockets the process has, and what a new config makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

mod inherited;

pub use self::inherited::Inherited;
use crate::config::model::Config;
use crate::config::scalar::Name;
use crate::net::socket::{self, Sharing};
use crate::worker::SocketKey;

/// The listening sockets of the process. The workers own them; here stands what they are bound to.
#[derive(Debug, Default)]
pub struct Sockets {
    /// The address that the kernel gave for the one in the file; they differ where the file's port is 0.
    bound: BTreeMap<SocketKey, SocketAddr>,
    inherited: Inherited,
}

/// Sockets that a config needs and the process has not, and the other way round.
#[derive(Debug, Default)]
pub struct Plan {
    /// New ones, bound and listening.
    pub opened: Vec<Opened>,
    /// Those that are needed no more.
    pub closed: Vec<SocketKey>,
}

/// One address of a listener, newly bound.
#[derive(Debug)]
pub struct Opened {
    /// What it is known by.
    pub key: SocketKey,
    /// The address that the kernel gave.
    pub bound: SocketAddr,
    /// One for each worker; a single one if it was not bound here.
    pub sockets: Vec<TcpListener>,
}

/// An address that could not be bound.
#[derive(Debug)]
pub struct BindError {
    what: String,
    address: SocketAddr,
    error: io::Error,
}

impl Sockets {
    /// None yet but those that the process was started with.
    pub fn new(inherited: Inherited) -> Self {
        Self { bound: BTreeMap::new(), inherited }
    }

    /// Binds what the config needs beyond what there is, and anew what is in `lost`. Nothing is closed yet, and on an error nothing
    /// has changed.
    ///
    /// # Errors
    /// An address could not be bound.
    pub fn plan(&self, config: &Config, lost: &BTreeSet<SocketKey>) -> Result<Plan, BindError> {
        let mut plan = Plan::default();
        let mut needed = BTreeSet::new();
        for listener in &config.listeners {
            for &address in &listener.bind {
                let key = SocketKey { listener: listener.name.clone(), address };
                if !self.bound.contains_key(&key) || lost.contains(&key) {
                    let sockets = self
                        .open(address, listener.reuse_port, config.server.workers.get())
                        .map_err(|error| BindError::new(format!("listener {}", listener.name), address, error))?;
                    let bound = sockets[0].local_addr().unwrap_or(address);
                    plan.opened.push(Opened { key: key.clone(), bound, sockets });
                }
                needed.insert(key);
            }
        }
        plan.closed = self.bound.keys().filter(|key| !needed.contains(key)).cloned().collect();
        Ok(plan)
    }

    /// Sockets to accept on, one for each worker. What came from outside is one: the worker that has it hands on what it accepts.
    fn open(&self, address: SocketAddr, reuse_port: bool, workers: usize) -> io::Result<Vec<TcpListener>> {
        match self.inherited.get(address) {
            Some(inherited) => Ok(vec![inherited?]),
            None => socket::listen(address, workers, self.sharing(address, reuse_port)),
        }
    }

    /// Has sockets refuse that the process was started with and no listener has. To be called when those of the last plan are
    /// closed.
    pub fn silence_unused(&self) {
        self.inherited.silence(|address| self.is_bound(address));
    }

    /// Warns of them.
    pub fn tell_unused(&self) {
        self.inherited.tell_unused(|address| self.is_bound(address));
    }

    fn is_bound(&self, address: SocketAddr) -> bool {
        self.bound.values().any(|&bound| bound == address)
    }

    /// Takes a plan over.
    pub fn apply(&mut self, plan: &Plan) {
        for key in &plan.closed {
            self.bound.remove(key);
        }
        for opened in &plan.opened {
            self.bound.insert(opened.key.clone(), opened.bound);
        }
    }

    /// The addresses of each listener of the config, in the file's order, once `plan` is applied.
    pub fn addresses(&self, config: &Config, plan: &Plan) -> BTreeMap<Name, Vec<SocketAddr>> {
        let opened: BTreeMap<_, _> = plan.opened.iter().map(|opened| (&opened.key, opened.bound)).collect();
        let bound = |name: &Name, address: SocketAddr| {
            let key = SocketKey { listener: name.clone(), address };
            self.bound.get(&key).or_else(|| opened.get(&key)).copied().unwrap_or(address)
        };
        let addresses = config.listeners.iter().map(|listener| {
            let addresses = listener.bind.iter().map(|&address| bound(&listener.name, address)).collect();
            (listener.name.clone(), addresses)
        });
        addresses.collect()
    }

    /// An address that moves from one listener to another is bound twice for a moment: the other socket is our own.
    fn sharing(&self, address: SocketAddr, reuse_port: bool) -> Sharing {
        let ours = self.bound.values().any(|&bound| overlap(bound, address));
        if reuse_port || ours { Sharing::Shared } else { Sharing::Alone }
    }
}

/// Whether a connection to one address could reach a socket that is bound to the other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = |address: SocketAddr| address.ip().is_unspecified();
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && (one.ip() == other.ip() || any(one) || any(other))
}

impl BindError {
    /// What wanted the address, the address, and what the operating system said.
    pub fn new(what: String, address: SocketAddr, error: io::Error) -> Self {
        Self { what, address, error }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, address, error } = self;
        write!(f, "{what} cannot listen on {address}: {error}")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => write!(f, " (is another server or another portti running there?)"),
            io::ErrorKind::AddrNotAvailable => write!(f, " (this machine has no such address)"),
            io::ErrorKind::PermissionDenied => write!(f, " (ports below 1024 need CAP_NET_BIND_SERVICE)"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_overlaps_every_address_of_its_family() {
        let cases = [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("[::]:1", "0.0.0.0:1", false),
            ("[::]:1", "[::1]:1", true),
        ];
        for (one, other, expected) in cases {
            assert_eq!(overlap(one.parse().unwrap(), other.parse().unwrap()), expected, "{one} {other}");
        }
    }
}
