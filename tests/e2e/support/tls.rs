//! Peers that speak TLS, and the authority that all of them believe.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use super::{Backend, Peer, own_address, soon};

/// A client's side of an encrypted connection.
pub(crate) type Secure = Peer<client::TlsStream<TcpStream>>;

/// A certificate and its key, as files hold them.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Who signs certificates.
pub(crate) struct Authority {
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// The one that tests believe.
pub(crate) static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "tests");
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| ())
    }

    /// The same, changed before it is signed.
    pub(crate) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.distinguished_name.push(DnType::CommonName, names[0].as_str());
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    /// What trusts this authority alone.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()).unwrap();
        roots
    }
}

impl Identity {
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<_, _>>().unwrap()
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    /// Writes both files: `name.pem` and `name.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.pem")), &self.certificate).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), &self.key).unwrap();
    }
}

/// A client that believes [`AUTHORITY`], offers these protocols, and has no certificate.
pub(crate) fn client(protocols: &[&str]) -> ClientConfig {
    let mut config = ClientConfig::builder().with_root_certificates(AUTHORITY.roots()).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// Connects, and asks for a host.
pub(crate) async fn connect(address: SocketAddr, host: &str, config: &ClientConfig) -> io::Result<Secure> {
    let peer = Peer::connect(address).await;
    Box::pin(secure(peer, host, config)).await
}

/// The same, on a connection that stands.
pub(crate) async fn secure(peer: Peer<TcpStream>, host: &str, config: &ClientConfig) -> io::Result<Secure> {
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(config.clone()));
    soon("a TLS handshake", connector.connect(host, peer.0)).await.map(Peer)
}

/// The first message of a client that asks for a host.
pub(crate) fn client_hello(host: &str, protocols: &[&str]) -> Vec<u8> {
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(client(protocols)), host).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

/// A server that greets with `text`, then sends back what it gets.
pub(crate) fn server(identity: &Identity, text: &'static [u8]) -> Backend {
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(identity.chain(), identity.private_key());
    server_with(config.unwrap(), text)
}

/// The same, with a config of the caller's.
pub(crate) fn server_with(config: ServerConfig, text: &'static [u8]) -> Backend {
    server_at(own_address(), config, text)
}

/// The same, on an address of the caller's choice.
pub(crate) fn server_at(address: SocketAddr, config: ServerConfig, text: &'static [u8]) -> Backend {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Backend::at(address, move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.write_all(text).await.is_ok() {
                let (mut from, mut to) = tokio::io::split(stream);
                let _broken = tokio::io::copy(&mut from, &mut to).await;
                let _broken = to.shutdown().await;
            }
        }
    })
}
