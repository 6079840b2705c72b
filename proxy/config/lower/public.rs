//! Listeners that anyone can reach, and what keeps one client from taking them for itself.

use std::net::IpAddr;

use super::Problem;
use super::listener::Listener;
use crate::config::raw::Report;

/// Warns of listeners on public addresses without any limit per client address.
pub(super) fn check(report: &Report, listeners: &[Listener]) {
    for listener in listeners.iter().filter(|listener| !listener.is_limited_per_address) {
        if let Some(public) = listener.bind.iter().find(|bind| is_public(bind.value.ip())) {
            let message =
                format!("anyone may connect to {}, and one client may open any number of sessions", public.value);
            report.advise(Problem::warning(&public.place, message).hint(HINT));
        }
    }
}

/// Whether others than this machine and its private networks may reach an address.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            // RFC 6598: carrier-grade NAT.
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            !(address.is_loopback() || address.is_private() || address.is_link_local() || is_shared)
        }
        IpAddr::V6(address) => !(address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()),
    }
}

const HINT: &str = "set max_connections_per_ip, for example 64, or rate_per_ip, for example \"10/s\"; \"off\" for either says \
                    that no limit is wanted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_public_unless_it_is_this_machines_or_a_private_networks() {
        for public in ["0.0.0.0", "::", "203.0.113.7", "8.8.8.8", "2a00:1450::1", "100.128.0.1", "172.32.0.1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.0.1",
            "100.64.0.1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }
}
