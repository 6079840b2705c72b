//! Which addresses lead to this machine itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Where a connect to this address ends up: Linux takes `0.0.0.0` and `::` for the loopback address, and IPv4 in the form of IPv6 for
/// IPv4.
pub fn target(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether a connect to `address` reaches who listens on `bound`, if that is on this machine.
pub fn reaches(address: SocketAddr, bound: SocketAddr, is_local: impl FnOnce(IpAddr) -> bool) -> bool {
    let address = target(address);
    if address.port() != bound.port() || address.is_ipv4() != bound.is_ipv4() {
        return false;
    }
    address.ip() == bound.ip() || (bound.ip().is_unspecified() && is_local(address.ip()))
}

/// Whether an address is one of this machine's: what is sent there would be sent from there, too. Sends nothing.
pub fn is_local(ip: IpAddr) -> bool {
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((ip, 9))?;
        socket.local_addr()
    };
    ip.is_loopback() || source().is_ok_and(|source| source.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn a_listener_is_reached_by_its_address_or_any_of_the_machine_and_by_none_at_all() {
        let ours = |ip: IpAddr| ip.is_loopback() || ip == IpAddr::from([10, 0, 0, 5]);
        for (address, bound, expected) in [
            ("10.0.0.5:1", "10.0.0.5:1", true),
            ("10.0.0.5:2", "10.0.0.5:1", false),
            ("10.0.0.5:1", "0.0.0.0:1", true),
            ("10.0.0.6:1", "0.0.0.0:1", false),
            ("127.0.0.1:1", "10.0.0.5:1", false),
            ("127.0.0.9:1", "0.0.0.0:1", true),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "0.0.0.0:1", true),
            ("[::]:1", "[::]:1", true),
            ("[::]:1", "[::1]:1", true),
            ("[::1]:1", "0.0.0.0:1", false),
            ("[::ffff:127.0.0.1]:1", "0.0.0.0:1", true),
            ("[::ffff:0.0.0.0]:1", "127.0.0.1:1", true),
        ] {
            assert_eq!(reaches(at(address), at(bound), ours), expected, "{address} {bound}");
        }
    }

    #[test]
    fn addresses_of_documentation_are_nobodys() {
        assert!(is_local([127, 0, 0, 1].into()) && is_local([127, 1, 2, 3].into()));
        assert!(!is_local([192, 0, 2, 1].into()) && !is_local("2001:db8::1".parse().unwrap()));
    }
}
