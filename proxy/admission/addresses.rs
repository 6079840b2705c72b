//! How often, and how many at once, from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::time::Instant;

use super::rate::{Buckets, Limit};

/// What one address may have (`max_connections_per_ip`, `rate_per_ip`, ...).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerAddress {
    /// Live sessions; `None` is without limit.
    pub max_connections: Option<u32>,
    /// New ones; `None` is without limit.
    pub rate: Option<Limit>,
    /// Bits of an IPv4 address that make it one, up to 32.
    pub prefix_v4: u8,
    /// Bits of an IPv6 address that make it one, up to 128.
    pub prefix_v6: u8,
}

/// What is remembered of addresses: counts of live sessions, as many as those at most, and buckets, which are bounded.
#[derive(Debug, Default)]
pub struct Addresses {
    live: Mutex<HashMap<IpAddr, u32>>,
    buckets: Mutex<Buckets<IpAddr>>,
}

/// One session in the count of its address, for as long as it is held.
#[derive(Debug)]
pub struct Seat {
    addresses: Arc<Addresses>,
    network: IpAddr,
}

impl PerAddress {
    /// What counts as one address.
    pub fn network(&self, client: IpAddr) -> IpAddr {
        self.whole(client).network()
    }

    /// All addresses that count as one with this one.
    pub fn whole(&self, client: IpAddr) -> IpNet {
        let client = client.to_canonical();
        let length = if client.is_ipv4() { self.prefix_v4 } else { self.prefix_v6 };
        IpNet::new(client, length).map_or_else(|_too_long| IpNet::from(client), |network| network.trunc())
    }
}

impl Addresses {
    /// Takes one of its rate from an address, or says no.
    pub fn take(&self, network: IpAddr, limit: &Limit, now: Instant) -> bool {
        lock(&self.buckets).take(network, limit, now)
    }

    /// Counts a session of an address, or says no.
    pub fn seat(self: &Arc<Self>, network: IpAddr, most: u32) -> Option<Seat> {
        let mut live = lock(&self.live);
        if live.get(&network).copied().unwrap_or(0) >= most {
            return None;
        }
        *live.entry(network).or_insert(0) += 1;
        Some(Seat { addresses: Arc::clone(self), network })
    }

    /// Addresses with live sessions that are counted.
    pub fn live(&self) -> usize {
        lock(&self.live).len()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut live = lock(&self.addresses.live);
        if let Some(count) = live.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                live.remove(&self.network);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for PerAddress {
    fn default() -> Self {
        Self { max_connections: None, rate: None, prefix_v4: 32, prefix_v6: 64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_as_long_as_its_prefix() {
        let network = |per: PerAddress, client: &str| per.network(client.parse().unwrap()).to_string();
        let usual = PerAddress::default();
        assert_eq!(network(usual, "192.0.2.7"), "192.0.2.7");
        assert_eq!(network(usual, "::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network(usual, "2001:db8:1:2:3::9"), "2001:db8:1:2::");
        let wide = PerAddress { prefix_v4: 24, prefix_v6: 48, ..usual };
        assert_eq!(network(wide, "192.0.2.7"), "192.0.2.0");
        assert_eq!(network(wide, "2001:db8:1:2:3::9"), "2001:db8:1::");
    }

    #[test]
    fn a_seat_is_free_again_and_leaves_nothing_behind() {
        let addresses = Arc::new(Addresses::default());
        let (one, two) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let seats: Vec<_> = (0..3).map(|_| addresses.seat(one, 3).unwrap()).collect();
        assert!(addresses.seat(one, 3).is_none());
        assert!(addresses.seat(two, 3).is_some(), "another address has its own");
        assert_eq!(addresses.live(), 1);
        drop(seats);
        assert!(addresses.seat(one, 3).is_some());
        assert_eq!(addresses.live(), 0);
    }

    #[test]
    fn a_refused_address_is_not_kept() {
        let addresses = Arc::new(Addresses::default());
        for last in 0..=255 {
            assert!(addresses.seat([192, 0, 2, last].into(), 0).is_none());
        }
        assert_eq!(addresses.live(), 0);
    }
}
