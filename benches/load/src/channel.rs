//! The client's end of a connection, plain or by TLS.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use crate::net;

/// A connection that does not block.
pub(crate) struct Channel {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Channel {
    /// With `tls`, the handshake begins with the first [`Channel::shake_hands`], [`Channel::read`] or [`Channel::write`].
    pub(crate) fn new(stream: TcpStream, tls: bool) -> io::Result<Self> {
        let connection = || {
            let host = ServerName::try_from("localhost").map_err(io::Error::other)?;
            ClientConnection::new(Arc::clone(&CONFIG), host).map_err(io::Error::other)
        };
        Ok(Self { stream, tls: tls.then(connection).transpose()?.map(Box::new) })
    }

    /// What the kernel knows.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Goes on with the handshake as far as it goes. Whether it is over.
    pub(crate) fn shake_hands(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        flush(tls, &self.stream)?;
        while tls.is_handshaking() && take_in(tls, &self.stream)? == Some(true) {
            flush(tls, &self.stream)?;
        }
        Ok(!tls.is_handshaking())
    }

    /// Reads what is there: `None` when nothing is, `Some(0)` at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else { return net::read(&self.stream, buffer) };
        loop {
            match io::Read::read(&mut tls.reader(), buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(Some),
            }
            match take_in(tls, &self.stream)? {
                None => return Ok(None),
                // Not all peers say that they end before they do.
                Some(false) => return Ok(Some(0)),
                Some(true) => {}
            }
        }
    }

    /// Writes what fits: `None` when nothing does. A message of a few KiB fits whole where nothing else is under way.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else { return net::write(&self.stream, bytes) };
        let written = io::Write::write(&mut tls.writer(), bytes)?;
        flush(tls, &self.stream)?;
        Ok(Some(written))
    }

    /// Says that nothing more comes.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            flush(tls, &self.stream)?;
        }
        self.stream.shutdown(Shutdown::Write)
    }
}

/// Takes what the kernel has: `None` if nothing, `Some(false)` at the end.
fn take_in(tls: &mut ClientConnection, mut stream: &TcpStream) -> io::Result<Option<bool>> {
    match tls.read_tls(&mut stream) {
        Ok(0) => Ok(Some(false)),
        Ok(_) => {
            tls.process_new_packets().map_err(io::Error::other)?;
            Ok(Some(true))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the kernel what is to be sent: a few KiB, which fit.
fn flush(tls: &mut ClientConnection, mut stream: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut stream)?;
    }
    Ok(())
}

/// Every connection does the whole handshake, and believes whoever answers: what is measured is the other side.
static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let builder = builder.expect("ring has the default versions").dangerous();
    let mut config = builder.with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
});

#[derive(Debug)]
struct Anybody;

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
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ED25519]
    }
}
