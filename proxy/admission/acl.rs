//! Lists of networks. Pure.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::scalar::Explain;

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

    /// One of the networks that share addresses with this one, if any does.
    pub fn overlapping(&self, network: &IpNet) -> Option<IpNet> {
        let after = self.0.partition_point(|listed| listed.network() <= network.network());
        let candidates = self.0[after.saturating_sub(1)..].iter().take(2);
        candidates.copied().find(|listed| overlap(listed, network))
    }
}

/// A text that names no network, or does not say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkError {
    /// It is neither a network nor an IP address.
    Malformed,
    /// An address with a prefix that does not cover all of its bits, such as `203.0.113.7/24`: the whole network may be meant, or the
    /// one address.
    HostBits {
        /// The network that the prefix makes of it.
        network: IpNet,
        /// The address alone.
        address: IpAddr,
    },
}

/// A network, or one address. An IPv4 address mapped into IPv6 is one of IPv4, as clients' addresses are.
///
/// # Errors
/// It is neither, or bits are set behind the prefix: then it does not say which of two things it means.
pub fn network(text: &str) -> Result<IpNet, NetworkError> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let written = text.parse::<IpNet>().or_else(|_no_prefix| address()).map_err(|_neither| NetworkError::Malformed)?;
    let (written, network) = (canonical(written), canonical(written).trunc());
    if written == network {
        return Ok(network);
    }
    Err(NetworkError::HostBits { network, address: written.addr() })
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("neither a network nor an IP address"),
            Self::HostBits { network, .. } => {
                write!(f, "bits are set behind the prefix of {}", network.prefix_len())
            }
        }
    }
}

impl Explain for NetworkError {
    fn hint(&self) -> String {
        match self {
            Self::Malformed => r#"for example "203.0.113.0/24", "2001:db8::/32" or "192.0.2.7""#.to_owned(),
            Self::HostBits { network, address } => {
                format!("write \"{network}\" for the whole network, or \"{address}\" for the one address")
            }
        }
    }
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

/// Whether any address is in both networks: one of them is then part of the other.
pub fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
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
        for wide in ["0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/7", "::/0", "2000::/3", "2000::/15", "::ffff:0.0.0.0/96"] {
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
        assert_eq!(net("::ffff:192.0.2.0/120").to_string(), "192.0.2.0/24");
        assert_eq!(net("::ffff:0.0.0.0/96").to_string(), "0.0.0.0/0");
        assert_eq!(net("::/0").to_string(), "::/0");
        assert_eq!(net("2001:db8::/32").to_string(), "2001:db8::/32");
        for wrong in ["", "192.0.2", "192.0.2.1/33", "example.com", "192.0.2.1:80"] {
            assert_eq!(network(wrong), Err(NetworkError::Malformed), "{wrong}");
        }
        assert!(is_of("::ffff:192.0.2.7".parse().unwrap(), &net("192.0.2.0/24")));
        assert!(!is_of("192.0.3.7".parse().unwrap(), &net("192.0.2.0/24")));
    }

    #[test]
    fn bits_behind_the_prefix_are_refused_with_both_spellings() {
        for (written, network, address) in [
            ("203.0.113.7/24", "203.0.113.0/24", "203.0.113.7"),
            ("10.0.0.1/8", "10.0.0.0/8", "10.0.0.1"),
            ("1.2.3.4/0", "0.0.0.0/0", "1.2.3.4"),
            ("2001:db8::1/32", "2001:db8::/32", "2001:db8::1"),
            ("::ffff:203.0.113.7/120", "203.0.113.0/24", "203.0.113.7"),
        ] {
            let error = super::network(written).unwrap_err();
            let spelled = (network.parse().unwrap(), address.parse().unwrap());
            assert_eq!(error, NetworkError::HostBits { network: spelled.0, address: spelled.1 }, "{written}");
            let hint = format!("write \"{network}\" for the whole network, or \"{address}\" for the one address");
            assert_eq!(error.hint(), hint);
        }
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
            for (address, length) in asked.iter().zip((0..=32_u8).cycle()) {
                let network = IpNet::new(IpAddr::V4((*address).into()), length).unwrap().trunc();
                let expected = list.iter().any(|listed| overlap(listed, &network));
                prop_assert_eq!(found.overlapping(&network).is_some(), expected);
            }
            for address in asked.into_iter().map(|address| IpAddr::V4(address.into())).chain(edges) {
                prop_assert_eq!(found.contain(address), list.iter().any(|network| network.contains(&address)));
            }
        }
    }
}
