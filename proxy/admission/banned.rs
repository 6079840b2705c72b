//! Networks that were banned by hand, until a time of day or until that is lifted. Pure, and bounded.

use std::collections::BTreeMap;
use std::time::SystemTime;

use ipnet::IpNet;

use super::acl::Networks;

/// All bans by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Banned(BTreeMap<IpNet, Ban>);

/// What was said with one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ban {
    /// When it ends; `None` is when it is lifted. A time of day, as it outlives the process.
    pub until: Option<SystemTime>,
    /// Why, for people.
    pub why: Option<String>,
}

/// As many networks are banned as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// Networks banned at once. Who has more has a list for them: `deny_file`.
pub const NETWORKS_MAX: usize = 10_000;

impl Banned {
    /// Bans a network, or bans it anew.
    ///
    /// # Errors
    /// It would be one too many.
    pub fn ban(&mut self, network: IpNet, ban: Ban) -> Result<(), TooMany> {
        if self.0.len() >= NETWORKS_MAX && !self.0.contains_key(&network) {
            return Err(TooMany);
        }
        self.0.insert(network.trunc(), ban);
        Ok(())
    }

    /// Lifts the ban of exactly this network; whether there was one.
    pub fn lift(&mut self, network: IpNet) -> bool {
        self.0.remove(&network.trunc()).is_some()
    }

    /// Forgets those that are over; whether there were any.
    pub fn forget(&mut self, now: SystemTime) -> bool {
        let before = self.0.len();
        self.0.retain(|_, ban| !ban.is_over(now));
        self.0.len() < before
    }

    /// Whether exactly this network is banned.
    pub fn has(&self, network: IpNet) -> bool {
        self.0.contains_key(&network.trunc())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &Ban)> {
        self.0.iter().map(|(network, ban)| (*network, ban))
    }

    /// All their addresses.
    pub fn networks(&self) -> Networks {
        Networks::new(&self.0.keys().copied().collect::<Vec<_>>())
    }
}

impl Ban {
    /// Whether it is over.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;
    use crate::admission::acl::network;

    fn net(text: &str) -> IpNet {
        network(text).unwrap()
    }

    #[test]
    fn a_ban_lasts_until_its_end_or_until_it_is_lifted() {
        let (mut banned, now) = (Banned::default(), SystemTime::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let until = |seconds| Ban { until: Some(at(seconds)), why: None };
        banned.ban(net("192.0.2.1"), until(60)).unwrap();
        banned.ban(net("10.0.0.0/8"), Ban::default()).unwrap();
        assert!(banned.networks().contain([10, 1, 2, 3].into()) && banned.networks().contain([192, 0, 2, 1].into()));
        assert!(!banned.forget(at(59)) && banned.forget(at(60)) && !banned.forget(at(60)));
        assert_eq!(banned.iter().map(|(network, _)| network).collect::<Vec<_>>(), [net("10.0.0.0/8")]);
        banned.ban("10.0.0.7/8".parse().unwrap(), until(90)).unwrap();
        assert_eq!(banned.count(), 1, "the same network, banned anew");
        assert!(
            !banned.lift(net("10.0.0.0/9"))
                && banned.lift("10.9.9.9/8".parse().unwrap())
                && !banned.lift(net("10.0.0.0/8"))
        );
        assert!(banned.networks().is_empty());
    }

    #[test]
    fn there_is_a_most() {
        let mut banned = Banned::default();
        for number in 0..u32::try_from(NETWORKS_MAX).unwrap() {
            banned.ban(IpNet::from(IpAddr::from(number.to_be_bytes())), Ban::default()).unwrap();
        }
        assert_eq!(banned.ban(net("192.0.2.1"), Ban::default()), Err(TooMany));
        assert_eq!(banned.ban(net("0.0.0.1"), Ban::default()), Ok(()), "it is there already");
    }
}
