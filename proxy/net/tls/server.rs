//! This proxy's side of its clients' TLS.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::identity::Identity;
use super::{ALL_VERSIONS, NEWEST_VERSION, provider};
use crate::config::model::{ClientAuth, Termination, TlsVersion, Trust};
use crate::config::scalar::canonical_host;

/// How clients are spoken to.
///
/// # Errors
/// Authorities that nobody can be verified with, or no random numbers to make tickets with.
pub fn config(termination: &Termination) -> Result<Arc<ServerConfig>, rustls::Error> {
    let versions = match termination.min_version {
        TlsVersion::V1_2 => ALL_VERSIONS,
        TlsVersion::V1_3 => NEWEST_VERSION,
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
    let builder = match &termination.client_auth {
        ClientAuth::Off => builder.with_no_client_auth(),
        ClientAuth::Optional(trust) => {
            builder.with_client_cert_verifier(verifier(trust).allow_unauthenticated().build().map_err(no_verifier)?)
        }
        ClientAuth::Required(trust) => builder.with_client_cert_verifier(verifier(trust).build().map_err(no_verifier)?),
    };
    let identities = termination.certificates.iter().filter_map(|certificate| certificate.identity.content.as_deref());
    let mut config = builder.with_cert_resolver(Arc::new(ByName::new(identities)));
    config.alpn_protocols = termination.protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    // Clients keep what they need to go on later, so that nothing is kept for them here.
    config.ticketer = Ticketer::new()?;
    Ok(Arc::new(config))
}

fn verifier(trust: &Trust) -> rustls::server::ClientCertVerifierBuilder {
    WebPkiClientVerifier::builder_with_provider(trust.roots(), provider())
}

fn no_verifier(error: impl std::fmt::Display) -> rustls::Error {
    rustls::Error::General(error.to_string())
}

/// Chooses the certificate by the host that is asked for; of several for it, the first whose key the client can check.
#[derive(Debug)]
struct ByName {
    /// By host, and by `*.` with what comes behind.
    named: HashMap<String, Vec<Arc<CertifiedKey>>>,
    all: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    fn new<'a>(identities: impl Iterator<Item = &'a Identity>) -> Self {
        let mut found = Self { named: HashMap::new(), all: Vec::new() };
        for identity in identities {
            for name in identity.names() {
                found.named.entry(name.clone()).or_default().push(Arc::clone(identity.certified()));
            }
            found.all.push(Arc::clone(identity.certified()));
        }
        found
    }

    /// Those for a host, or all of them.
    fn candidates(&self, host: Option<&str>) -> &[Arc<CertifiedKey>] {
        let by_name = |host: &str| {
            let host = canonical_host(host);
            // RFC 6125, 6.4.3: an asterisk stands for the first part alone.
            let above = host.split_once('.').map(|(_, above)| format!("*.{above}"));
            self.named.get(&host).or_else(|| self.named.get(&above?))
        };
        host.and_then(by_name).unwrap_or(&self.all)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name());
        let fits = |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        candidates.iter().find(fits).or_else(|| candidates.first()).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn identity(names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    #[test]
    fn the_certificate_goes_by_the_host_and_the_first_is_for_all_others() {
        let all = [
            identity(&["example.com", "www.example.com"]),
            identity(&["*.example.com"]),
            identity(&["eu.example.com"]),
            identity(&["eu.example.com"]),
        ];
        let resolver = ByName::new(all.iter());
        let chosen = |host: Option<&str>| -> Vec<usize> {
            let position = |found: &Arc<CertifiedKey>| all.iter().position(|one| Arc::ptr_eq(one.certified(), found));
            resolver.candidates(host).iter().map(|found| position(found).unwrap()).collect()
        };
        assert_eq!(chosen(Some("WWW.example.com.")), [0]);
        assert_eq!(chosen(Some("us.example.com")), [1]);
        assert_eq!(chosen(Some("eu.example.com")), [2, 3]);
        assert_eq!(chosen(Some("a.us.example.com")), [0, 1, 2, 3], "an asterisk is one part");
        assert_eq!(chosen(None), [0, 1, 2, 3]);
    }
}
