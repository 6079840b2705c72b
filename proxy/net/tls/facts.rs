//! What a handshake has settled, in the words of logs and of the PROXY protocol.

use rustls::{CipherSuite, ProtocolVersion, ServerConnection};

use super::identity;

/// What is known of a client's encrypted connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The protocol that was agreed on (ALPN).
    pub protocol: Option<Vec<u8>>,
    /// As OpenSSL writes it, such as `TLSv1.3`.
    pub version: &'static str,
    /// As OpenSSL writes it, such as `ECDHE-ECDSA-AES128-GCM-SHA256`.
    pub cipher: &'static str,
    /// The common name of the client's certificate, which has been verified.
    pub common_name: Option<String>,
}

impl Facts {
    /// Those of a connection whose handshake is over.
    pub fn of(connection: &ServerConnection) -> Self {
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        Self {
            protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            cipher: connection.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite())),
            // An empty one still tells that there was a certificate.
            common_name: certificate
                .map(|certificate| shortened(identity::common_name(certificate).unwrap_or_default())),
        }
    }
}

/// Names are at most 64 characters long (RFC 5280, appendix A.1: ub-common-name); what is longer would make a header that nobody
/// takes.
fn shortened(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(NAME_MAX));
    name
}

const NAME_MAX: usize = 256;

/// All that ring has.
fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::provider;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(shortened("Alex".to_owned()), "Alex");
        assert_eq!(shortened("ä".repeat(200)).len(), 256);
        assert_eq!(shortened(format!("a{}", "ä".repeat(200))).len(), 255);
    }

    #[test]
    fn every_cipher_has_its_name() {
        let suites = &provider().cipher_suites;
        assert_eq!(suites.len(), 9);
        assert!(suites.iter().all(|suite| !cipher(suite.suite()).is_empty()));
    }
}
