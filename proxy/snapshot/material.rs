//! What was read from the files of certificates, for those who look after them.

use super::Snapshot;
use crate::config::model::Certificate;

/// A certificate that is shown, and by whom: one of both is empty.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The listener that shows it to its clients.
    pub listener: &'a str,
    /// The pool whose backends it is shown to.
    pub pool: &'a str,
    /// The certificate.
    pub certificate: &'a Certificate,
}

impl Snapshot {
    /// All certificates that are shown.
    pub fn certificates(&self) -> impl Iterator<Item = Shown<'_>> {
        let of_listeners = self.listeners.iter().flat_map(|(name, listener)| {
            let tls = listener.edge.iter().filter_map(|edge| edge.tls.as_ref());
            let certificates = tls.flat_map(|tls| &tls.termination.certificates);
            certificates.map(|certificate| Shown { listener: name.as_str(), pool: "", certificate })
        });
        let of_pools = self.pools.iter().filter_map(|(name, pool)| {
            let certificate = pool.encryption()?.certificate.as_ref()?;
            Some(Shown { listener: "", pool: name.as_str(), certificate })
        });
        of_listeners.chain(of_pools)
    }

    /// Authorities whose files cannot be used, so that those that were read before stand: a name for each, and what is wrong.
    pub fn stale_trusts(&self) -> impl Iterator<Item = (String, &str)> {
        let of_listeners = self.listeners.iter().filter_map(|(name, listener)| {
            let trust = listener.edge.as_ref()?.tls.as_ref()?.termination.client_auth.trust()?;
            Some((format!("client_ca:{name}"), trust))
        });
        let of_pools = self
            .pools
            .iter()
            .filter_map(|(name, pool)| Some((format!("ca:{name}"), pool.encryption()?.trust.as_ref()?)));
        of_listeners.chain(of_pools).filter_map(|(name, trust)| Some((name, trust.authorities.stale.as_deref()?)))
    }
}

impl Shown<'_> {
    /// `certificate:web:example.com.pem`.
    pub fn name(&self) -> String {
        format!("certificate:{}{}:{}", self.listener, self.pool, self.certificate.cert.display())
    }
}
