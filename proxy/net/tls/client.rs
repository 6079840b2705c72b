//! This proxy's side of TLS to backends.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::VerifierBuilderError;
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{ALL_VERSIONS, ToBackend, provider};
use crate::config::model::{Encryption, Protocol};

/// How the backends of a pool are spoken to. Remembers what they gave it to go on later.
#[derive(Debug)]
pub struct Encrypter {
    /// Or why every handshake fails: never seen with files that could be read.
    config: Result<Arc<ClientConfig>, String>,
    server_name: Option<ServerName<'static>>,
}

impl Encrypter {
    /// What the pool's config says.
    pub fn new(encryption: &Encryption, protocol: Protocol) -> Self {
        // Checked when it was read.
        let server_name = encryption.server_name.clone().and_then(|name| ServerName::try_from(name).ok());
        let config = config(encryption).map(|mut config| {
            if protocol == Protocol::Http2 {
                config.alpn_protocols = vec![b"h2".to_vec()];
            }
            config
        });
        Self { config: config.map(Arc::new).map_err(|error| error.to_string()), server_name }
    }

    /// Does the handshake with a backend, which is known by this name if not by its address alone. The caller bounds the time.
    ///
    /// # Errors
    /// The backend is another, or does not speak as it should, or has gone. The text says what.
    pub async fn encrypt(&self, stream: TcpStream, name: Option<&str>, address: IpAddr) -> io::Result<ToBackend> {
        let named = || name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let server = self.server_name.clone().or_else(named).unwrap_or_else(|| ServerName::from(address));
        let config = self.config.as_ref().map_err(|why| io::Error::other(why.clone()))?;
        TlsConnector::from(Arc::clone(config)).connect(server, stream).await.map(Box::new)
    }
}

fn config(encryption: &Encryption) -> Result<ClientConfig, Error> {
    let verifier: Arc<dyn ServerCertVerifier> = match &encryption.trust {
        Some(trust) => {
            WebPkiServerVerifier::builder_with_provider(trust.roots(), provider()).build().map_err(no_verifier)?
        }
        None => Arc::new(Anybody(provider())),
    };
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(ALL_VERSIONS)?;
    // "Dangerous" is that the verifier may be one that believes anybody: what the operator has asked for.
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let identity = encryption.certificate.as_ref().and_then(|certificate| certificate.identity.content.as_deref());
    Ok(match identity {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from((**identity.certified()).clone())))
        }
        None => builder.with_no_client_auth(),
    })
}

fn no_verifier(error: VerifierBuilderError) -> Error {
    Error::General(error.to_string())
}

/// Believes whoever answers, as long as it has the key of the certificate that it shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
