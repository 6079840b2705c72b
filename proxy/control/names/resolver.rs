//! The resolver: hickory, as the config asks for it.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{TokioResolver, lookup::Lookup as Records};
use tokio::time::Instant;

use super::{Answer, Lookup};
use crate::config::model::Dns;
use crate::config::scalar::Address;
use crate::pool::discovery::Found;

/// A resolver is made anew this often, so that it follows `/etc/resolv.conf` and `/etc/hosts`.
const LIFE: Duration = Duration::from_secs(30);

/// One packet may be lost.
const ATTEMPTS: usize = 2;

/// Looks names up as this section says.
pub(super) fn lookup(dns: &Dns) -> Lookup {
    let source = Rc::new(Source { dns: dns.clone(), current: RefCell::default() });
    Rc::new(move |name| {
        let source = Rc::clone(&source);
        Box::pin(async move {
            let resolver = source.resolver().map_err(|error| error.to_string())?;
            match name {
                Address::Socket(address) => Ok(Answer { found: vec![plain(address)], ttl: Duration::MAX }),
                Address::Host { host, port } => by_host(&resolver, &host, port).await,
                Address::Srv { name } => by_service(&resolver, &name).await,
            }
        })
    })
}

struct Source {
    dns: Dns,
    current: RefCell<Option<(Instant, TokioResolver)>>,
}

impl Source {
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut current = self.current.borrow_mut();
        if let Some((made, resolver)) = &*current
            && made.elapsed() < LIFE
        {
            return Ok(resolver.clone());
        }
        let resolver = self.make()?;
        *current = Some((Instant::now(), resolver.clone()));
        Ok(resolver)
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
        options.attempts = ATTEMPTS;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
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
async fn by_host(resolver: &TokioResolver, host: &str, port: u16) -> Result<Answer, String> {
    let (addresses, ttl) = addresses(resolver, host).await?;
    let found: Vec<_> = addresses.into_iter().map(|address| plain(SocketAddr::new(address, port))).collect();
    Ok(Answer { found, ttl })
}

/// The targets of a service (RFC 2782).
async fn by_service(resolver: &TokioResolver, name: &str) -> Result<Answer, String> {
    let records = resolver.srv_lookup(name).await.map_err(|error| why(&error))?;
    let services = || {
        records.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(service) => Some(service),
            _ => None,
        })
    };
    let first = services().map(|service| service.priority).min();
    let mut answer = Answer { found: Vec::new(), ttl: left(&records) };
    let mut failure = "no records".to_owned();
    for service in services() {
        match addresses(resolver, &service.target.to_string()).await {
            Ok((addresses, ttl)) => {
                answer.ttl = answer.ttl.min(ttl);
                answer.found.extend(addresses.into_iter().map(|address| Found {
                    address: SocketAddr::new(address, service.port),
                    weight: Some(service.weight.max(1)),
                    backup: Some(service.priority) != first,
                }));
            }
            Err(error) => failure = format!("{}: {error}", service.target),
        }
    }
    if answer.found.is_empty() { Err(failure) } else { Ok(answer) }
}

async fn addresses(resolver: &TokioResolver, host: &str) -> Result<(Vec<IpAddr>, Duration), String> {
    let records = resolver.lookup_ip(host).await.map_err(|error| why(&error))?;
    let addresses: Vec<_> = records.iter().collect();
    if addresses.is_empty() { Err("no address".to_owned()) } else { Ok((addresses, left(records.as_lookup()))) }
}

fn left(records: &Records) -> Duration {
    Instant::from_std(records.valid_until()).saturating_duration_since(Instant::now())
}

fn plain(address: SocketAddr) -> Found {
    Found { address, weight: None, backup: false }
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
