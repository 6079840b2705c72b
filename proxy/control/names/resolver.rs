//! The resolver: hickory, as the config asks for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, TokioResolver, lookup::Lookup as Records};
use tokio::time::{Instant, timeout_at};

#[cfg(test)]
mod tests;

use super::Lookup;
use super::answer::{Addresses, Answer, Denial, Failure, Family, Server};
use crate::config::model::Dns;
use crate::config::scalar::Address;

/// A resolver is made anew this often, so that it follows `/etc/resolv.conf` and `/etc/hosts`.
const LIFE: Duration = Duration::from_secs(30);

/// Tries after the first: one packet may be lost.
const RETRIES: usize = 1;

/// Records of one service that count, those of the first priorities: an answer over TCP has room for thousands.
const SERVICES_MAX: usize = 64;

/// What all targets of one service may take together. A lookup holds one of few places.
const TARGETS_PATIENCE: Duration = Duration::from_secs(10);

/// Looks names up as this section says.
pub(super) fn lookup(dns: &Dns) -> Lookup {
    lookup_with(dns, || Hosts::from_system().unwrap_or_default())
}

fn lookup_with(dns: &Dns, read_hosts: fn() -> Hosts) -> Lookup {
    let source = Rc::new(Source { dns: dns.clone(), read_hosts, current: RefCell::default() });
    Rc::new(move |name| {
        let source = Rc::clone(&source);
        Box::pin(async move {
            let ways = source.ways();
            match name {
                // Nothing asks for it: an address needs no lookup.
                Address::Socket(_) => Err(Denial::NoRecords.into()),
                Address::Host { host, port } => Ok(by_host(&ways, &host, port).await),
                Address::Srv { name } => by_service(&ways, &name).await,
            }
        })
    })
}

struct Source {
    dns: Dns,
    read_hosts: fn() -> Hosts,
    current: RefCell<Option<(Instant, Ways)>>,
}

/// Where answers come from.
#[derive(Clone)]
struct Ways {
    hosts: Rc<Hosts>,
    /// Or why there is none: a machine without name servers still has its hosts file.
    way: Result<Way, NetError>,
}

/// A resolver, and what of `resolv.conf` is done here: which names stand for one that is not written in full.
#[derive(Clone)]
struct Way {
    resolver: TokioResolver,
    search: Rc<[Name]>,
    ndots: usize,
}

impl Source {
    fn ways(&self) -> Ways {
        let mut current = self.current.borrow_mut();
        if let Some((made, ways)) = &*current
            && made.elapsed() < LIFE
        {
            return ways.clone();
        }
        let ways = Ways { hosts: Rc::new((self.read_hosts)()), way: self.make() };
        // Without a resolver, the next lookup looks for one again.
        *current = ways.way.is_ok().then(|| (Instant::now(), ways.clone()));
        ways
    }

    fn make(&self) -> Result<Way, NetError> {
        let (config, mut options) = if self.dns.servers.is_empty() {
            read_system_conf()?
        } else {
            let servers = self.dns.servers.iter().map(name_server).collect();
            (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
        };
        options.timeout = self.dns.timeout;
        options.attempts = RETRIES;
        // Read here, see `in_hosts`.
        options.use_hosts_file = ResolveHosts::Never;
        // Names are asked for when their TTL is over: an answer from memory would only be late.
        options.cache_size = 0;
        let search = config.domain().into_iter().chain(config.search()).cloned().collect();
        let ndots = options.ndots;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Ok(Way { resolver: builder.with_options(options).build()?, search, ndots })
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections = connections.into();
    server
}

/// All addresses of a host, of both families.
async fn by_host(ways: &Ways, host: &str, port: u16) -> Answer {
    let (addresses, ttl) = addresses(ways, host).await;
    Answer::of_host((host, port), addresses, ttl)
}

/// The targets of a service (RFC 2782).
async fn by_service(ways: &Ways, name: &str) -> Result<Answer, Failure> {
    let way = ways.way.as_ref().map_err(failure)?;
    let records = way.resolver.srv_lookup(name).await.map_err(|error| failure(&error))?;
    let services = records.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(service) => Some(service),
        _ => None,
    });
    let mut services: Vec<&SRV> = services.collect();
    services.sort_by_key(|service| service.priority);
    services.truncate(SERVICES_MAX);
    let first = services.first().map(|service| service.priority);
    let server = |service: &&SRV| Server {
        host: service.target.to_string().into(),
        port: service.port,
        weight: Some(service.weight.max(1)),
        backup: Some(service.priority) != first,
    };
    let servers: Vec<_> = services.iter().map(server).collect();
    if servers.is_empty() {
        return Err(Denial::NoRecords.into());
    }
    let (hosts, ttl) = targets(ways, &servers).await;
    Ok(Answer { servers, hosts, ttl: ttl.min(left(&records)) })
}

/// Looks the host of each server up once, one after the other.
async fn targets(ways: &Ways, servers: &[Server]) -> (BTreeMap<(Arc<str>, Family), Addresses>, Duration) {
    let deadline = Instant::now() + TARGETS_PATIENCE;
    let (mut known, mut least) = (BTreeMap::new(), Duration::MAX);
    for host in servers.iter().map(|server| &server.host) {
        if known.contains_key(&(Arc::clone(host), Family::V4)) {
            continue;
        }
        let too_late =
            || (Family::ALL.map(|family| (family, Addresses::of(Err(NetError::Timeout)))).into(), Duration::MAX);
        let result = timeout_at(deadline, addresses(ways, host)).await;
        let (found, ttl) = result.unwrap_or_else(|_too_late| too_late());
        least = least.min(ttl);
        known.extend(found.into_iter().map(|(family, addresses)| ((Arc::clone(host), family), addresses)));
    }
    (known, least)
}

/// What is known of a host, and how long it holds.
type Host = (BTreeMap<Family, Addresses>, Duration);

/// The addresses of a host: of both families, so that the failure of one is not taken for an answer.
async fn addresses(ways: &Ways, host: &str) -> Host {
    if let Some(found) = in_hosts(&ways.hosts, host) {
        return (found, LIFE);
    }
    let names = ways.way.as_ref().map_err(Clone::clone).and_then(|way| Ok((way, way.names(host)?)));
    let (way, names) = match names {
        Ok(found) => found,
        Err(error) => {
            return (Family::ALL.map(|family| (family, Addresses::of(Err(error.clone())))).into(), Duration::MAX);
        }
    };
    let mut last = (BTreeMap::new(), Duration::MAX);
    for name in names {
        let both = tokio::join!(way.ask(&name, RecordType::A), way.ask(&name, RecordType::AAAA));
        let ((v4, v4_ttl), (v6, v6_ttl)) = both;
        let is_found = [&v4, &v6].into_iter().any(|addresses| matches!(addresses, Addresses::Found(_)));
        last = ([(Family::V4, v4), (Family::V6, v6)].into(), v4_ttl.min(v6_ttl));
        if is_found {
            break;
        }
    }
    last
}

impl Way {
    /// The names to ask for, in order: those of the search list before or after the name itself, as `resolv.conf` says.
    fn names(&self, host: &str) -> Result<Vec<Name>, NetError> {
        let name = Name::from_str(host)?;
        if name.is_fqdn() {
            return Ok(vec![name]);
        }
        let own = name.clone().append_domain(&Name::root())?;
        let in_domains = self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok());
        let own_first = usize::from(name.num_labels()) > self.ndots || name.is_localhost();
        let mut names: Vec<_> = if own_first {
            std::iter::once(own).chain(in_domains).collect()
        } else {
            in_domains.chain([own]).collect()
        };
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Ok(names)
    }

    async fn ask(&self, name: &Name, family: RecordType) -> (Addresses, Duration) {
        match self.resolver.lookup(name.clone(), family).await {
            Ok(records) => {
                let found: Vec<_> = records.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
                (Addresses::of(Ok(found)), left(&records))
            }
            Err(error) => (Addresses::of(Err(error)), Duration::MAX),
        }
    }
}

impl Addresses {
    fn of(result: Result<Vec<IpAddr>, NetError>) -> Self {
        match result {
            Ok(found) if found.is_empty() => Self::Denied(Denial::NoRecords),
            Ok(found) => Self::Found(found),
            Err(error) if error.is_nx_domain() => Self::Denied(Denial::NoName),
            Err(error) if error.is_no_records_found() => Self::Denied(Denial::NoRecords),
            Err(error) => Self::Failed(why(&error)),
        }
    }
}

/// What the hosts file says of a host. A name that is in it is not asked for, as with getaddrinfo. Hickory would ask for the
/// family that the file does not have: the backend would get a twin, from whoever has the name out there.
fn in_hosts(hosts: &Hosts, host: &str) -> Option<BTreeMap<Family, Addresses>> {
    let name = Name::from_str(host).ok()?;
    let of = |kind| {
        let records = hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let answers = records.as_ref().map(|records| records.answers()).unwrap_or_default();
        answers.iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>()
    };
    let (v4, v6) = (of(RecordType::A), of(RecordType::AAAA));
    let is_there = !(v4.is_empty() && v6.is_empty());
    is_there.then(|| [(Family::V4, Addresses::of(Ok(v4))), (Family::V6, Addresses::of(Ok(v6)))].into())
}

fn left(records: &Records) -> Duration {
    Instant::from_std(records.valid_until()).saturating_duration_since(Instant::now())
}

fn failure(error: &NetError) -> Failure {
    Failure { why: why(error), is_denial: error.is_nx_domain() || error.is_no_records_found() }
}

/// In the words of operators.
fn why(error: &NetError) -> String {
    match error {
        error if error.is_nx_domain() => "NXDOMAIN".to_owned(),
        error if error.is_no_records_found() => "no records".to_owned(),
        NetError::Timeout => "no answer".to_owned(),
        error => error.to_string(),
    }
}
