//! The resolver: hickory, as the config asks for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver, lookup::Lookup as Records};
use tokio::time::{Instant, timeout_at};

#[cfg(test)]
mod tests;

use super::{Answer, Lookup};
use crate::config::model::Dns;
use crate::config::scalar::Address;
use crate::pool::discovery::Found;

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
                Address::Socket(address) => Ok(Answer::new(vec![plain(address)], Duration::MAX)),
                Address::Host { host, port } => by_host(&ways, &host, port).await,
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
    resolver: Result<TokioResolver, NetError>,
}

impl Source {
    fn ways(&self) -> Ways {
        let mut current = self.current.borrow_mut();
        if let Some((made, ways)) = &*current
            && made.elapsed() < LIFE
        {
            return ways.clone();
        }
        let ways = Ways { hosts: Rc::new((self.read_hosts)()), resolver: self.make() };
        // Without a resolver, the next lookup looks for one again.
        *current = ways.resolver.is_ok().then(|| (Instant::now(), ways.clone()));
        ways
    }

    fn make(&self) -> Result<TokioResolver, NetError> {
        let mut builder = if self.dns.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = self.dns.servers.iter().map(name_server).collect();
            TokioResolver::builder_with_config(
                ResolverConfig::from_parts(None, Vec::new(), servers),
                TokioRuntimeProvider::default(),
            )
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = self.dns.timeout;
        options.attempts = RETRIES;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // Read here, see `in_hosts`.
        options.use_hosts_file = ResolveHosts::Never;
        // Names are asked for when their TTL is over: an answer from memory would only be late.
        options.cache_size = 0;
        builder.build()
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

/// All addresses of a host, of both families; a failure of one family only is none.
async fn by_host(ways: &Ways, host: &str, port: u16) -> Result<Answer, String> {
    let (addresses, ttl) = addresses(ways, host).await.map_err(|error| why(&error))?;
    let found = addresses.into_iter().map(|address| plain(SocketAddr::new(address, port))).collect();
    Ok(Answer::new(found, ttl))
}

/// The targets of a service (RFC 2782).
async fn by_service(ways: &Ways, name: &str) -> Result<Answer, String> {
    let resolver = ways.resolver.as_ref().map_err(why)?;
    let records = resolver.srv_lookup(name).await.map_err(|error| why(&error))?;
    let services = records.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(service) => Some(service),
        _ => None,
    });
    let mut services: Vec<&SRV> = services.collect();
    services.sort_by_key(|service| service.priority);
    services.truncate(SERVICES_MAX);
    let first = services.first().map(|service| service.priority);
    let targets = targets(ways, &services).await;
    let mut answer = Answer::new(Vec::new(), left(&records).min(targets.ttl));
    for service in services {
        let addresses = targets.addresses.get(&service.target).into_iter().flatten();
        answer.found.extend(addresses.map(|address| Found {
            address: SocketAddr::new(*address, service.port),
            weight: Some(service.weight.max(1)),
            backup: Some(service.priority) != first,
        }));
    }
    match targets.missing {
        missing if !answer.found.is_empty() => Ok(Answer { missing, ..answer }),
        missing => Err(missing.unwrap_or_else(|| "no records".to_owned())),
    }
}

/// What is known of the targets of a service.
struct Targets<'a> {
    /// Targets that are said not to exist are here with no address.
    addresses: BTreeMap<&'a Name, Vec<IpAddr>>,
    ttl: Duration,
    /// A target about which nothing is known, and why.
    missing: Option<String>,
}

/// Looks each target up once, one after the other.
async fn targets<'a>(ways: &Ways, services: &[&'a SRV]) -> Targets<'a> {
    let deadline = Instant::now() + TARGETS_PATIENCE;
    let mut targets = Targets { addresses: BTreeMap::new(), ttl: Duration::MAX, missing: None };
    for service in services {
        let target = &service.target;
        if targets.addresses.contains_key(target) {
            continue;
        }
        let result = timeout_at(deadline, addresses(ways, &target.to_string())).await;
        let known = match result.unwrap_or(Err(NetError::Timeout)) {
            Ok((addresses, ttl)) => {
                targets.ttl = targets.ttl.min(ttl);
                addresses
            }
            Err(error) => {
                if !is_denial(&error) {
                    targets.missing = Some(format!("{target}: {}", why(&error)));
                }
                Vec::new()
            }
        };
        targets.addresses.insert(target, known);
    }
    targets
}

async fn addresses(ways: &Ways, host: &str) -> Result<(Vec<IpAddr>, Duration), NetError> {
    if let Some(addresses) = in_hosts(&ways.hosts, host) {
        return Ok((addresses, LIFE));
    }
    let records = ways.resolver.clone()?.lookup_ip(host).await?;
    let addresses: Vec<_> = records.iter().collect();
    if addresses.is_empty() { Err("no address".into()) } else { Ok((addresses, left(records.as_lookup()))) }
}

/// What the hosts file says of a host. A name that is in it is not asked for, as with getaddrinfo. Hickory would ask for the
/// family that the file does not have: the backend would get a twin, from whoever has the name out there.
fn in_hosts(hosts: &Hosts, host: &str) -> Option<Vec<IpAddr>> {
    let name = Name::from_str(host).ok()?;
    let of = |family| hosts.lookup_static_host(&Query::query(name.clone(), family));
    let records = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of);
    let addresses = records
        .flat_map(|records| records.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>());
    Some(addresses.collect::<Vec<_>>()).filter(|addresses| !addresses.is_empty())
}

fn left(records: &Records) -> Duration {
    Instant::from_std(records.valid_until()).saturating_duration_since(Instant::now())
}

fn plain(address: SocketAddr) -> Found {
    Found { address, weight: None, backup: false }
}

/// Whether it is an answer: there is no such thing.
fn is_denial(error: &NetError) -> bool {
    error.is_nx_domain() || error.is_no_records_found()
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
