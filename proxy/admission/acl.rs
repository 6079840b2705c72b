//! Lists of networks. Pure.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses, as networks that do not overlap: looked up in the logarithm of their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// All addresses of these networks.
    pub fn new(networks: &[IpNet]) -> Self {
        let mut networks = IpNet::aggregate(&networks.to_vec());
        networks.sort_unstable_by_key(IpNet::network);
        Self(networks)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the address is among them. An IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let after = self.0.partition_point(|network| network.network() <= address);
        after > 0 && self.0[after - 1].contains(&address)
    }
}

/// A network, or one address. What lies beyond the prefix does not matter, and an IPv4 address mapped into IPv6 is one of
/// IPv4, as clients' addresses are.
pub fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_no_prefix| address()).map(|network| canonical(network).trunc()).ok()
}

fn canonical(network: IpNet) -> IpNet {
    let of_ipv4 = || {
        let IpNet::V6(network) = network else { return None };
        let length = network.prefix_len().checked_sub(MAPPED)?;
        IpNet::new(network.addr().to_ipv4_mapped()?.into(), length).ok()
    };
    of_ipv4().unwrap_or(network)
}

/// Bits of an IPv6 address before the IPv4 address that is mapped into it.
const MAPPED: u8 = 96;

/// Whether a network has so many addresses that denying it is rather a slip, or a line that was cut off, than meant.
pub fn is_wide(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 16,
    }
}

/// Whether the address is one of the network. An IPv4 address mapped into IPv6 is the IPv4 address.
pub fn is_of(address: IpAddr, network: &IpNet) -> bool {
    network.contains(&address.to_canonical())
}

impl fmt::Display for Networks {
    /// How many there are, and a number that tells two lists apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        write!(f, "{} networks, {:08x}", self.0.len(), hasher.finish() >> 32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::new(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_inside_is_found_and_what_is_beside_is_not() {
        let list = networks(&["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32", "0.0.0.0/32"]);
        for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:ffff::1", "::ffff:10.2.3.4", "0.0.0.0"] {
            assert!(list.contain(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "2001:db9::", "::1", "::ffff:11.0.0.0"] {
            assert!(!list.contain(outside.parse().unwrap()), "{outside}");
        }
        assert!(!Networks::default().contain("10.0.0.1".parse().unwrap()) && Networks::default().is_empty());
        assert!(networks(&["0.0.0.0/0"]).contain("255.255.255.255".parse().unwrap()));
    }

    #[test]
    fn a_prefix_that_was_cut_off_is_wide() {
        for wide in ["0.0.0.0/0", "112.0.0.0/1", "10.0.0.0/7", "::/0", "2000::/3", "2001::/15", "::ffff:0.0.0.0/96"] {
            assert!(is_wide(&network(wide).unwrap()), "{wide}");
        }
        for narrow in ["10.0.0.0/8", "112.0.0.0/16", "192.0.2.7", "2001::/16", "2001:db8::/32", "::1"] {
            assert!(!is_wide(&network(narrow).unwrap()), "{narrow}");
        }
    }

    #[test]
    fn networks_are_written_in_many_ways() {
        let net = |text| network(text).unwrap();
        assert_eq!(net("192.0.2.7").to_string(), "192.0.2.7/32");
        assert_eq!(net("::ffff:192.0.2.7").to_string(), "192.0.2.7/32");
        assert_eq!(net("::ffff:192.0.2.7/128").to_string(), "192.0.2.7/32");
        assert_eq!(net("::ffff:192.0.2.7/120").to_string(), "192.0.2.0/24");
        assert_eq!(net("::ffff:0.0.0.0/96").to_string(), "0.0.0.0/0");
        assert_eq!(net("::/0").to_string(), "::/0");
        assert_eq!(net("2001:db8::1/32").to_string(), "2001:db8::/32");
        for wrong in ["", "192.0.2", "192.0.2.1/33", "example.com", "192.0.2.1:80"] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
        assert!(is_of("::ffff:192.0.2.7".parse().unwrap(), &net("192.0.2.0/24")));
        assert!(!is_of("192.0.3.7".parse().unwrap(), &net("192.0.2.0/24")));
    }

    proptest! {
        #[test]
        fn it_is_the_same_as_asking_each(
            list in prop::collection::vec((any::<u32>(), 0..=32_u8), 0..40), asked in prop::collection::vec(any::<u32>(), 40),
        ) {
            let list: Vec<IpNet> = list
                .into_iter()
                .map(|(address, length)| IpNet::new(IpAddr::V4(address.into()), length).unwrap().trunc())
                .collect();
            let found = Networks::new(&list);
            // Of the networks themselves too: chance alone would seldom hit one.
            let edges = list.iter().flat_map(|network| [network.network(), network.broadcast()]);
            for address in asked.into_iter().map(|address| IpAddr::V4(address.into())).chain(edges) {
                prop_assert_eq!(found.contain(address), list.iter().any(|network| network.contains(&address)));
            }
        }
    }
}
