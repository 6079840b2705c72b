//! What a lookup of a name has found, and what is remembered of those before. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::pool::discovery::Found;

/// The address families, each of which is asked for on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

/// What the lookup of one host for one family has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Addresses {
    /// At least one.
    Found(Vec<IpAddr>),
    /// The name server says that there is none.
    Denied(Denial),
    /// Nothing is known of it: SERVFAIL, REFUSED, silence.
    Failed(String),
}

/// How a name server says that there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Denial {
    /// The name exists, but has no such record.
    NoRecords,
    /// The name does not exist.
    NoName,
}

/// What a lookup has found.
#[derive(Debug)]
pub(super) struct Answer {
    /// A host is one server; a service has one for each of its records.
    pub(super) servers: Vec<Server>,
    /// The addresses of their hosts.
    pub(super) hosts: BTreeMap<(Arc<str>, Family), Addresses>,
    /// How long it holds.
    pub(super) ttl: Duration,
}

/// A server that a name stands for.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    /// `None` where it is not of an SRV record.
    pub(super) weight: Option<u16>,
    pub(super) backup: bool,
}

/// Why a lookup has found nothing at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::control) struct Failure {
    /// In the words of operators.
    pub(in crate::control) why: String,
    /// The name servers say so, so that trying again would find the same.
    pub(in crate::control) is_denial: bool,
}

/// The last good answer for each host of a name and each family.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<(Arc<str>, Family), Vec<IpAddr>>);

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// At least one; those of earlier answers that stand are among them.
    pub(super) found: Vec<Found>,
    /// What could not be found out, and why. The earlier answer stands for it.
    pub(super) missing: Option<String>,
}

impl Memory {
    /// Takes an answer in. What could not be looked up keeps what was found before.
    ///
    /// # Errors
    /// It has no address. What is remembered stays as it is.
    pub(super) fn take(&mut self, answer: &Answer) -> Result<Taken, Failure> {
        if !answer.hosts.values().any(|addresses| matches!(addresses, Addresses::Found(_))) {
            return Err(answer.failure());
        }
        let mut before = std::mem::take(&mut self.0);
        for (key, addresses) in &answer.hosts {
            let known = match addresses {
                Addresses::Found(found) => Some(found.clone()),
                Addresses::Denied(_) => None,
                Addresses::Failed(_) => before.remove(key),
            };
            if let Some(known) = known {
                self.0.insert(key.clone(), known);
            }
        }
        let found = answer.servers.iter().flat_map(|server| {
            let addresses = Family::ALL.map(|family| self.0.get(&(Arc::clone(&server.host), family)));
            let at = |&address| Found {
                address: SocketAddr::new(address, server.port),
                weight: server.weight,
                backup: server.backup,
            };
            addresses.into_iter().flatten().flatten().map(at)
        });
        Ok(Taken { found: found.collect(), missing: answer.missing() })
    }
}

impl Answer {
    /// Of a host that stands for itself.
    pub(super) fn of_host((host, port): (&str, u16), addresses: BTreeMap<Family, Addresses>, ttl: Duration) -> Self {
        let host: Arc<str> = host.into();
        let hosts = addresses.into_iter().map(|(family, addresses)| ((Arc::clone(&host), family), addresses)).collect();
        Self { servers: vec![Server { host, port, weight: None, backup: false }], hosts, ttl }
    }

    /// What could not be found out, and why: of the first host of which that is so.
    fn missing(&self) -> Option<String> {
        self.servers.iter().find_map(|server| {
            let failure = |family| match self.hosts.get(&(Arc::clone(&server.host), family)) {
                Some(Addresses::Failed(why)) => Some(why.as_str()),
                _ => None,
            };
            let why = match (failure(Family::V4), failure(Family::V6)) {
                (None, None) => return None,
                (Some(v4), Some(v6)) if v4 == v6 => v4.to_owned(),
                (Some(v4), Some(v6)) => format!("A: {v4}, AAAA: {v6}"),
                (Some(v4), None) => format!("A: {v4}"),
                (None, Some(v6)) => format!("AAAA: {v6}"),
            };
            let of_service = server.weight.is_some();
            Some(if of_service { format!("{}: {why}", server.host) } else { why })
        })
    }

    /// Why there is no address.
    fn failure(&self) -> Failure {
        if let Some(why) = self.missing() {
            return Failure { why, is_denial: false };
        }
        let denials = self.hosts.values().filter_map(|addresses| match addresses {
            Addresses::Denied(denial) => Some(*denial),
            _ => None,
        });
        denials.max().unwrap_or(Denial::NoRecords).into()
    }
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        let why = match denial {
            Denial::NoName => "NXDOMAIN",
            Denial::NoRecords => "no records",
        };
        Self { why: why.to_owned(), is_denial: true }
    }
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVFAIL: &str = "Server Failure";

    fn found(last: u8) -> Addresses {
        Addresses::Found(vec![IpAddr::from([192, 0, 2, last])])
    }

    fn found_v6(last: u16) -> Addresses {
        Addresses::Found(vec![IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])])
    }

    fn failed() -> Addresses {
        Addresses::Failed(SERVFAIL.to_owned())
    }

    fn host(v4: Addresses, v6: Addresses) -> Answer {
        Answer::of_host(("game.test", 1), [(Family::V4, v4), (Family::V6, v6)].into(), Duration::ZERO)
    }

    /// A service with a record for each of these hosts, on the port that is told.
    fn service(port: u16, hosts: Vec<(&str, Addresses)>) -> Answer {
        let server = |(host, _): &(&str, _)| Server { host: (*host).into(), port, weight: Some(1), backup: false };
        let servers = hosts.iter().map(server).collect();
        let hosts = hosts.into_iter().map(|(host, addresses)| ((host.into(), Family::V4), addresses)).collect();
        Answer { servers, hosts, ttl: Duration::ZERO }
    }

    fn told(memory: &mut Memory, answer: &Answer) -> (Vec<String>, Option<String>) {
        let Taken { found, missing } = memory.take(answer).unwrap();
        (found.iter().map(|found| found.address.to_string()).collect(), missing)
    }

    #[test]
    fn a_family_that_fails_keeps_its_last_addresses_and_one_that_is_denied_does_not() {
        let mut memory = Memory::default();
        let both = ["192.0.2.1:1", "[2001:db8::1]:1"];
        assert_eq!(told(&mut memory, &host(found(1), found_v6(1))), (both.map(str::to_owned).into(), None));
        for _ in 0..3 {
            let (addresses, missing) = told(&mut memory, &host(failed(), found_v6(2)));
            assert_eq!(addresses, ["192.0.2.1:1", "[2001:db8::2]:1"]);
            assert_eq!(missing.unwrap(), format!("A: {SERVFAIL}"));
        }
        let (addresses, missing) = told(&mut memory, &host(found(3), Addresses::Denied(Denial::NoRecords)));
        assert_eq!((addresses, missing), (vec!["192.0.2.3:1".to_owned()], None));
        let (addresses, _) = told(&mut memory, &host(found(3), failed()));
        assert_eq!(addresses, ["192.0.2.3:1"], "there was none of it any more");
    }

    #[test]
    fn without_any_address_the_last_answer_stands() {
        let mut memory = Memory::default();
        memory.take(&host(found(1), found_v6(1))).unwrap();
        let none = |v4, v6| Memory::default().take(&host(v4, v6)).unwrap_err();
        let (no_name, no_records) = (Addresses::Denied(Denial::NoName), Addresses::Denied(Denial::NoRecords));
        for (v4, v6) in [(failed(), no_name.clone()), (no_records.clone(), no_name.clone()), (failed(), failed())] {
            memory.take(&host(v4, v6)).unwrap_err();
            assert_eq!(told(&mut memory, &host(failed(), found_v6(2))).0, ["192.0.2.1:1", "[2001:db8::2]:1"]);
        }
        assert_eq!(none(failed(), failed()), Failure { why: SERVFAIL.to_owned(), is_denial: false });
        assert_eq!(none(no_records.clone(), no_name), Failure { why: "NXDOMAIN".to_owned(), is_denial: true });
        assert_eq!(none(no_records.clone(), no_records).why, "no records");
    }

    #[test]
    fn a_target_that_fails_keeps_its_addresses_and_has_what_its_record_says_now() {
        let mut memory = Memory::default();
        memory
            .take(&service(1, vec![("one.test.", found(1)), ("two.test.", found(2)), ("old.test.", found(9))]))
            .unwrap();
        let (addresses, missing) =
            told(&mut memory, &service(7, vec![("one.test.", failed()), ("two.test.", found(3))]));
        assert_eq!(addresses, ["192.0.2.1:7", "192.0.2.3:7"]);
        assert_eq!(missing.unwrap(), format!("one.test.: A: {SERVFAIL}"));
        let (addresses, _) = told(&mut memory, &service(7, vec![("old.test.", failed()), ("two.test.", found(3))]));
        assert_eq!(addresses, ["192.0.2.3:7"], "whose record was removed is forgotten");
    }
}
