//! Whether all addresses that the process is to listen on can be had at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::listener::Listener;
use super::{Place, Problem};
use crate::config::raw::{Report, Setting};

/// Who has an address. The owner is a listener's position in the file, or [`ADMIN`].
struct Taken<'a> {
    owner: usize,
    place: &'a Place,
}

/// Addresses of one port and family; those of others never conflict, as a listener on `[::]` takes no IPv4.
type Takers<'a> = BTreeMap<IpAddr, Taken<'a>>;

/// Reports each address that another listener, or the admin server, has already.
///
/// A listener's own repetitions are reported where its list is read.
pub(super) fn check(report: &Report, admin: Option<&Setting<SocketAddr>>, listeners: &[Listener]) {
    let mut taken: BTreeMap<(u16, bool), Takers<'_>> = BTreeMap::new();
    let binds = listeners.iter().enumerate().flat_map(|(owner, one)| one.bind.iter().map(move |bind| (owner, bind)));
    let all = admin.map(|bind| (ADMIN, bind)).into_iter().chain(binds);
    // On port 0 the system finds a free one.
    for (owner, bind) in all.filter(|(_, bind)| bind.value.port() != 0) {
        let address = bind.value;
        let takers = taken.entry((address.port(), address.is_ipv4())).or_default();
        match conflict(takers, owner, address.ip()) {
            Some((ip, other)) => report.add(taken_twice(bind, *ip, other)),
            None => {
                takers.entry(address.ip()).or_insert(Taken { owner, place: &bind.place });
            }
        }
    }
}

/// Whoever has this very address, or every one; for every one, whoever has any.
fn conflict<'t, 'a>(takers: &'t Takers<'a>, owner: usize, ip: IpAddr) -> Option<(&'t IpAddr, &'t Taken<'a>)> {
    let is_other = |(at, other): &(&IpAddr, &Taken<'_>)| **at != ip || other.owner != owner;
    if ip.is_unspecified() {
        return takers.iter().find(is_other);
    }
    takers.get_key_value(&ip).filter(is_other).or_else(|| takers.get_key_value(&every_address(ip)))
}

fn every_address(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn taken_twice(bind: &Setting<SocketAddr>, other_ip: IpAddr, other: &Taken<'_>) -> Problem {
    let problem = Problem::error(&bind.place, format!("the address {} is taken by {}", bind.value, other.place.path));
    let every = every_address(other_ip);
    if bind.value.ip() == every || other_ip == every {
        return problem.hint(format!("{every} is every address of the machine"));
    }
    problem
}

/// No listener's position.
const ADMIN: usize = usize::MAX;
