//! Backends that are listeners of the same file: sessions would go round until nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Problem;
use super::listener::Listener;
use super::pool::Pool;
use crate::config::raw::{Report, Setting};
use crate::config::scalar::{Address, Name};
use crate::net::local;

/// Refuses an address from which the way leads back to its pool, and warns of one that is another listener. What names stand for, and
/// which addresses are this machine's, is known only when it runs, and looked at then.
pub(super) fn check(report: &Report, listeners: &[Listener], pools: &[Pool]) {
    let ways = Ways::new(listeners, pools);
    let mut reached: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for (pool, backend) in pools.iter().flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend))) {
        let address = &backend.value.address;
        let Some(listener) = ways.listener_at(address) else { continue };
        let pools_there = reached.entry(listener).or_insert_with(|| ways.pools_from(listener));
        let message = format!("the backend {address} is a listener of this proxy");
        let is_name = !matches!(address, Address::Socket(_));
        let problem = match (is_name, pools_there.contains(pool.name.as_str())) {
            (false, true) => Problem::error(&backend.place, format!("{message}, which leads back to this pool"))
                .hint("sessions would go round in a circle: write the address of the server behind it"),
            (false, false) => Problem::warning(&backend.place, message)
                .hint("each of its sessions is two here, and takes two places of max_connections"),
            (true, _) => {
                Problem::warning(&backend.place, message).hint("what a name stands for is left out where it is one")
            }
        };
        report.add(problem);
    }
}

/// Where sessions go from where.
struct Ways<'a> {
    listeners: &'a [Listener],
    pools: BTreeMap<&'a str, &'a Pool>,
    bound: BTreeMap<SocketAddr, usize>,
}

impl<'a> Ways<'a> {
    fn new(listeners: &'a [Listener], pools: &'a [Pool]) -> Self {
        let bound =
            listeners.iter().enumerate().flat_map(|(at, one)| one.bind.iter().map(move |bind| (bind.value, at)));
        let pools = pools.iter().map(|pool| (pool.name.as_str(), pool)).collect();
        Self { listeners, pools, bound: bound.collect() }
    }

    fn listener_at(&self, address: &Address) -> Option<usize> {
        own_addresses(address).iter().find_map(|own| self.bound.get(own)).copied()
    }

    /// Every pool that sessions of a listener can come to.
    fn pools_from(&self, listener: usize) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Setting<Name>> = self.named_by(listener).collect();
        while let Some(name) = open.pop() {
            let Some(pool) = self.pools.get(name.value.as_str()).filter(|pool| seen.insert(pool.name.as_str())) else {
                continue;
            };
            open.extend(&pool.fallback);
            let next = pool.backends.iter().filter_map(|backend| self.listener_at(&backend.value.address));
            open.extend(next.flat_map(|listener| self.named_by(listener)));
        }
        seen
    }

    fn named_by(&self, listener: usize) -> impl Iterator<Item = &'a Setting<Name>> + use<'a> {
        let listener = &self.listeners[listener];
        listener.pool.iter().chain(&listener.other_pools)
    }
}

/// The listeners' addresses that would lead to this one.
fn own_addresses(address: &Address) -> Vec<SocketAddr> {
    let wildcard =
        |port| [SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
    match address {
        Address::Socket(address) => {
            let address = local::target(*address);
            let any = wildcard(address.port()).into_iter().filter(|any| any.is_ipv4() == address.is_ipv4());
            any.filter(|_| address.ip().is_loopback()).chain([address]).collect()
        }
        Address::Host { host, port } if **host == *"localhost" => {
            let loopback =
                [SocketAddr::from((Ipv4Addr::LOCALHOST, *port)), SocketAddr::from((Ipv6Addr::LOCALHOST, *port))];
            wildcard(*port).into_iter().chain(loopback).collect()
        }
        Address::Host { .. } | Address::Srv { .. } => Vec::new(),
    }
}
