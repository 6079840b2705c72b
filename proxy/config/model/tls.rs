//! What is encrypted, and where it goes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;

use super::Config;
use crate::config::scalar::{Hosts, Name};
use crate::net::tls::identity::{Authorities, Identity};

/// One of `[[listeners.NAME.sni]]`: where clients go that ask for one of these hosts by one of these protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The host that the client asks for is among these; empty is any, or none.
    pub hosts: Vec<Hosts>,
    /// The client offers one of these protocols (ALPN); empty is any, or none. Never both empty.
    pub protocols: Vec<String>,
    /// Where they go: one of [`Config::pools`].
    pub pool: Name,
}

/// `[listeners.NAME.tls]`: clients speak TLS, and it ends here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// At least one. The first is shown where no other is for the host that is asked for.
    pub certificates: Vec<Certificate>,
    /// Whether clients show certificates, too.
    pub client_auth: ClientAuth,
    /// Protocols to agree on, the best first; empty is without agreement.
    pub protocols: Vec<String>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// How long a client's handshake may take.
    pub handshake_timeout: Duration,
}

/// Whether clients show certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked to.
    Off,
    /// They may; one that is shown must be signed by these.
    Optional(Trust),
    /// They must.
    Required(Trust),
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// `[pools.NAME.tls]`: backends are spoken to by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// Who signs their certificates; `None` is that they are not looked at.
    pub trust: Option<Trust>,
    /// What they are called in their certificates, and asked for; `None` is as the file names each.
    pub server_name: Option<String>,
    /// What is shown to them, if they ask.
    pub certificate: Option<Certificate>,
}

/// A certificate and its key, by their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The file of the certificate, and of those that sign it.
    pub cert: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
    /// What they hold.
    pub identity: Material<Identity>,
}

/// Whom to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The file of their certificates; `None` is those that the system believes.
    pub file: Option<PathBuf>,
    /// What it holds.
    pub authorities: Material<Authorities>,
}

/// What files hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material<T> {
    /// `None` until they are read.
    pub content: Option<Arc<T>>,
    /// Why what they hold now cannot be used: then `content` is what they held before.
    pub stale: Option<String>,
}

impl Config {
    /// All certificates that are shown, each with the path of its key.
    pub fn certificates(&self) -> impl Iterator<Item = (String, &Certificate)> {
        let of_listeners = self.listeners.iter().flat_map(|listener| {
            let certificates = listener.tls.iter().flat_map(|tls| &tls.certificates).enumerate();
            certificates.map(|(index, found)| (format!("listeners.{}.tls.certificates[{index}]", listener.name), found))
        });
        let of_pools = self.pools.iter().filter_map(|pool| {
            let certificate = pool.tls.as_ref()?.certificate.as_ref()?;
            Some((format!("pools.{}.tls.client_cert", pool.name), certificate))
        });
        of_listeners.chain(of_pools)
    }

    /// The same, to be filled.
    pub(in crate::config) fn certificates_mut(&mut self) -> impl Iterator<Item = (String, &mut Certificate)> {
        let of_listeners = self.listeners.iter_mut().flat_map(|listener| {
            let name = &listener.name;
            let certificates = listener.tls.iter_mut().flat_map(|tls| &mut tls.certificates).enumerate();
            certificates.map(move |(index, found)| (format!("listeners.{name}.tls.certificates[{index}]"), found))
        });
        let of_pools = self.pools.iter_mut().filter_map(|pool| {
            let certificate = pool.tls.as_mut()?.certificate.as_mut()?;
            Some((format!("pools.{}.tls.client_cert", pool.name), certificate))
        });
        of_listeners.chain(of_pools)
    }

    /// All who are believed, each with the path of its key.
    pub fn trusts(&self) -> impl Iterator<Item = (String, &Trust)> {
        let of_listeners = self.listeners.iter().filter_map(|listener| {
            let trust = listener.tls.as_ref()?.client_auth.trust()?;
            Some((format!("listeners.{}.tls.client_ca", listener.name), trust))
        });
        let of_pools = self
            .pools
            .iter()
            .filter_map(|pool| Some((format!("pools.{}.tls.ca", pool.name), pool.tls.as_ref()?.trust.as_ref()?)));
        of_listeners.chain(of_pools)
    }

    /// The same, to be filled.
    pub(in crate::config) fn trusts_mut(&mut self) -> impl Iterator<Item = (String, &mut Trust)> {
        let of_listeners = self.listeners.iter_mut().filter_map(|listener| {
            let trust = listener.tls.as_mut()?.client_auth.trust_mut()?;
            Some((format!("listeners.{}.tls.client_ca", listener.name), trust))
        });
        let of_pools = self
            .pools
            .iter_mut()
            .filter_map(|pool| Some((format!("pools.{}.tls.ca", pool.name), pool.tls.as_mut()?.trust.as_mut()?)));
        of_listeners.chain(of_pools)
    }

    /// What files hold that cannot be used, each with the path of its key: what they held before stands.
    pub fn stale(&self) -> impl Iterator<Item = (String, &str)> {
        let certificates = self.certificates().filter_map(|(key, found)| Some((key, found.identity.stale.as_deref()?)));
        let trusts = self.trusts().filter_map(|(key, found)| Some((key, found.authorities.stale.as_deref()?)));
        certificates.chain(trusts)
    }
}

impl Route {
    /// Whether a client that asks for this goes there.
    pub fn takes(&self, host: Option<&str>, offered: &[&[u8]]) -> bool {
        let is_asked_for = |hosts: &Hosts| host.is_some_and(|host| hosts.contain(host));
        let is_offered = |ours: &String| offered.contains(&ours.as_bytes());
        (self.hosts.is_empty() || self.hosts.iter().any(is_asked_for))
            && (self.protocols.is_empty() || self.protocols.iter().any(is_offered))
    }
}

impl ClientAuth {
    /// Who signs clients' certificates.
    pub fn trust(&self) -> Option<&Trust> {
        match self {
            Self::Off => None,
            Self::Optional(trust) | Self::Required(trust) => Some(trust),
        }
    }

    /// The same, to be filled.
    pub(in crate::config) fn trust_mut(&mut self) -> Option<&mut Trust> {
        match self {
            Self::Off => None,
            Self::Optional(trust) | Self::Required(trust) => Some(trust),
        }
    }
}

impl Certificate {
    /// Not read yet.
    pub(in crate::config) fn unread(cert: PathBuf, key: PathBuf) -> Self {
        Self { cert, key, identity: Material::default() }
    }
}

impl Trust {
    /// Not read yet.
    pub(in crate::config) fn unread(file: Option<PathBuf>) -> Self {
        Self { file, authorities: Material::default() }
    }

    /// For rustls; empty, so that nobody is believed, until they are read.
    pub fn roots(&self) -> Arc<RootCertStore> {
        self.authorities.content.as_ref().map_or_else(|| Arc::new(RootCertStore::empty()), |read| read.roots())
    }
}

impl<T> Default for Material<T> {
    fn default() -> Self {
        Self { content: None, stale: None }
    }
}
