//! Who a client is, for balancing and limits.

use std::fmt;
use std::hash::Hasher as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use siphasher::sip::SipHasher13;

/// A client: an IPv4 address whole, an IPv6 address by its /64, which is what one household or host has of them. An IPv4
/// address mapped into IPv6 is the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientKey {
    /// All 32 bits.
    V4(Ipv4Addr),
    /// The upper 64 bits.
    V6(u64),
    /// Not by an address, but by a word of its own: the hash of that.
    Word(u64),
}

impl ClientKey {
    /// The client at an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }

    /// The client that has this word: a cookie, for one.
    pub fn of_word(word: &[u8]) -> Self {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        hasher.write(word);
        Self::Word(hasher.finish())
    }

    /// A number that is the same for this client and this salt in every process, on every machine and in every version:
    /// SipHash-1-3 (Aumasson and Bernstein, 2012) with a key of zeros over the salt, a zero byte and the address.
    pub fn hash(self, salt: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        hasher.write(salt.as_bytes());
        hasher.write(&[0]);
        match self {
            Self::V4(address) => hasher.write(&address.octets()),
            Self::V6(number) | Self::Word(number) => hasher.write(&number.to_be_bytes()),
        }
        hasher.finish()
    }
}

impl fmt::Display for ClientKey {
    /// An address, or `word:` and the hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(address) => address.fmt(f),
            Self::V6(prefix) => Ipv6Addr::from_bits(u128::from(prefix) << 64).fmt(f),
            Self::Word(hash) => write!(f, "{WORD}{hash:016x}"),
        }
    }
}

/// Tells those that are known by a word.
const WORD: &str = "word:";

/// A text that [`ClientKey`] does not display as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoClient;

impl fmt::Display for NoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no client")
    }
}

impl FromStr for ClientKey {
    type Err = NoClient;

    fn from_str(text: &str) -> Result<Self, NoClient> {
        match text.strip_prefix(WORD) {
            Some(hash) => u64::from_str_radix(hash, 16).map(Self::Word).map_err(|_no_number| NoClient),
            None => text.parse().map(Self::of).map_err(|_no_address| NoClient),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> ClientKey {
        ClientKey::of(address.parse().unwrap())
    }

    #[test]
    fn a_household_is_one_client() {
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        for text in ["192.0.2.1", "2001:db8:1:2::", "word:00ff00ff00ff00ff"] {
            assert_eq!(text.parse::<ClientKey>().unwrap().to_string(), text);
        }
        for wrong in ["", "word:", "word:x", "192.0.2", "example.com"] {
            assert_eq!(wrong.parse::<ClientKey>(), Err(NoClient), "{wrong}");
        }
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(
            key("192.0.2.1").hash("game"),
            2_752_258_161_069_143_564,
            "who is where would change with the next version"
        );
        assert_ne!(key("192.0.2.1").hash("game"), key("192.0.2.1").hash("lobby"));
        assert_ne!(key("192.0.2.1").hash("game"), key("192.0.2.2").hash("game"));
    }
}
