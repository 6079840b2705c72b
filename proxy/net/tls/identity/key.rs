//! Private keys as files hold them, and as they can be used.

use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::SectionKind;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivateSec1KeyDer};
use rustls::sign::SigningKey;
use x509_parser::asn1_rs::Any;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::IdentityError;
use super::pem::{self, Block};

/// All keys of a file, at least one.
///
/// # Errors
/// There is none, or one that cannot be read.
pub(super) fn read(file: &[u8]) -> Result<Vec<PrivateKeyDer<'static>>, String> {
    let mut keys = Vec::new();
    for block in pem::blocks(file).map_err(|error| error.to_string())? {
        if let Some(why) = unusable(&block) {
            return Err(format!("line {}: {why}", block.line));
        }
        let decoded = block.decode().map_err(|error| error.to_string())?;
        keys.extend(decoded.and_then(|(kind, content)| match kind {
            SectionKind::PrivateKey => Some(PrivateKeyDer::Pkcs8(content.into())),
            SectionKind::RsaPrivateKey => Some(PrivateKeyDer::Pkcs1(content.into())),
            SectionKind::EcPrivateKey => Some(PrivateKeyDer::Sec1(content.into())),
            _ => None,
        }));
    }
    if keys.is_empty() {
        return Err("there is no private key in it (PEM: -----BEGIN PRIVATE KEY-----)".to_owned());
    }
    Ok(keys)
}

/// Why a block that holds a key is of no use as it is, and how to mend it.
fn unusable(block: &Block) -> Option<&'static str> {
    const ENCRYPTED: &str = "the key is encrypted, and nobody is there to type the password: store it without \
                             (openssl pkey -in OLD -out NEW)";
    match block.label.as_str() {
        "ENCRYPTED PRIVATE KEY" => Some(ENCRYPTED),
        label if label.ends_with("PRIVATE KEY") && block.is_encrypted => Some(ENCRYPTED),
        "OPENSSH PRIVATE KEY" => Some("this is a key of OpenSSH: convert it (ssh-keygen -p -m PKCS8 -f FILE)"),
        "DSA PRIVATE KEY" => {
            Some("TLS has no DSA keys any more: use one on P-256 (openssl ecparam -genkey -name prime256v1)")
        }
        _ => None,
    }
}

/// A key that signs. One on a curve may lack its public part, which stands in the certificate that it is for.
///
/// # Errors
/// It is of a kind that is not known here, or not that of the certificate.
pub(super) fn signing(
    key: &PrivateKeyDer<'static>,
    certificate: &CertificateDer<'_>,
) -> Result<Arc<dyn SigningKey>, IdentityError> {
    let load = |key: PrivateKeyDer<'static>| default_provider().key_provider.load_private_key(key).ok();
    if let Some(key) = load(key.clone_key()) {
        return Ok(key);
    }
    match completed(key, certificate) {
        // ring looks whether the two parts belong together.
        Some(completed) => load(PrivateKeyDer::Sec1(completed)).ok_or(IdentityError::Mismatch),
        None => Err(IdentityError::Key(UNKNOWN.to_owned())),
    }
}

const UNKNOWN: &str = "the key cannot be used: it must be one on P-256 or P-384 (ECDSA), an RSA key of 2048 to 4096 bits, or one of \
                       Ed25519; if it is, write it anew (openssl pkey -in OLD -out NEW)";

/// A key on a curve that says nothing of its public part (RFC 5915 leaves that open), with that of the certificate.
fn completed(key: &PrivateKeyDer<'_>, certificate: &CertificateDer<'_>) -> Option<PrivateSec1KeyDer<'static>> {
    let inner = match key {
        PrivateKeyDer::Sec1(key) => key.secret_sec1_der(),
        // RFC 5958: a version, an algorithm, and then the same in an octet string.
        PrivateKeyDer::Pkcs8(key) => {
            let [_version, _algorithm, inner, ..] = elements(content(key.secret_pkcs8_der(), SEQUENCE)?)[..] else {
                return None;
            };
            content(inner, OCTETS)?
        }
        _ => return None,
    };
    let [version, secret, ..] = elements(content(inner, SEQUENCE)?)[..] else { return None };
    let secret = content(secret, OCTETS).filter(|_| version == VERSION)?;
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let point = &*certificate.public_key().subject_public_key.data;
    // Both coordinates, behind a byte that says so (SEC 1, 2.3.3). The secret is as long as one of them; zeros at its front may
    // have been left out.
    let size = point.split_first().filter(|(form, _)| **form == 0x04)?.1.len() / 2;
    let padding = vec![0; size.checked_sub(secret.len())?];
    let secret = element(OCTETS, &[&padding, secret]);
    let public = element(PUBLIC, &[&element(BITS, &[&[0], point])]);
    Some(PrivateSec1KeyDer::from(element(SEQUENCE, &[VERSION, &secret, &public])))
}

/// Tags of ASN.1.
const OCTETS: u8 = 0x04;
const BITS: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// The optional field 1.
const PUBLIC: u8 = 0xa1;

/// The whole number 1.
const VERSION: &[u8] = &[0x02, 1, 1];

/// What an element with this tag holds.
fn content(element: &[u8], tag: u8) -> Option<&[u8]> {
    let (_, found) = Any::from_der(element).ok()?;
    (element.first() == Some(&tag)).then_some(found.data)
}

/// The elements of a sequence, up to the first that is none.
fn elements(mut content: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Ok((rest, _)) = Any::from_der(content) {
        found.push(&content[..content.len() - rest.len()]);
        content = rest;
    }
    found
}

/// An element of less than 64 KiB: keys have some hundred bytes.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let head = match (high, low) {
        (0, 0..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, content].concat()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
    use rustls::sign::CertifiedKey;

    use super::*;

    /// A key and its certificate.
    fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (KeyPair, CertificateDer<'static>) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
        (key, certificate.der().clone())
    }

    /// The same key without its public part, in both forms.
    fn bare(key: &KeyPair) -> [PrivateKeyDer<'static>; 2] {
        let whole = key.serialize_der();
        let [version, algorithm, inner, ..] = elements(content(&whole, SEQUENCE).unwrap())[..] else { panic!() };
        let inner = content(content(inner, OCTETS).unwrap(), SEQUENCE).unwrap();
        let secret = content(elements(inner)[1], OCTETS).unwrap();
        // As some write it, without the zeros at the front.
        let zeros = secret.iter().take_while(|byte| **byte == 0).count();
        let bare = element(SEQUENCE, &[VERSION, &element(OCTETS, &[&secret[zeros..]])]);
        let wrapped = element(SEQUENCE, &[version, algorithm, &element(OCTETS, &[&bare])]);
        [PrivateKeyDer::Sec1(bare.into()), PrivateKeyDer::Pkcs8(wrapped.into())]
    }

    #[test]
    fn a_key_without_its_public_part_has_that_of_its_certificate() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
            let ((key, certificate), (_, other)) = (pair(algorithm), pair(algorithm));
            for bare in bare(&key) {
                assert!(default_provider().key_provider.load_private_key(bare.clone_key()).is_err());
                let with = |certificate| signing(&bare, certificate);
                let whole = CertifiedKey::new(vec![certificate.clone()], with(&certificate).unwrap());
                assert_eq!(whole.keys_match(), Ok(()));
                assert_eq!(with(&other).unwrap_err(), IdentityError::Mismatch);
            }
        }
    }

    #[test]
    fn a_key_without_its_public_part_beside_a_certificate_of_another_kind_is_told() {
        let ((key, _), (_, longer)) = (pair(&PKCS_ECDSA_P256_SHA256), pair(&PKCS_ECDSA_P384_SHA384));
        let ((long_key, _), (_, shorter)) = (pair(&PKCS_ECDSA_P384_SHA384), pair(&PKCS_ECDSA_P256_SHA256));
        for (key, certificate) in [(key, longer), (long_key, shorter)] {
            for bare in bare(&key) {
                assert!(signing(&bare, &certificate).is_err());
            }
        }
        for garbled in [&[][..], &[0x30, 0], &[0x30, 3, 2, 1, 1], &[0x30, 0x80], &[0x30, 4, 0x30, 2, 4, 0]] {
            let key = PrivateKeyDer::Pkcs8(garbled.to_vec().into());
            assert!(matches!(signing(&key, &pair(&PKCS_ECDSA_P256_SHA256).1), Err(IdentityError::Key(_))));
            let key = PrivateKeyDer::Sec1(garbled.to_vec().into());
            assert!(matches!(signing(&key, &pair(&PKCS_ECDSA_P256_SHA256).1), Err(IdentityError::Key(_))));
        }
    }

    #[test]
    fn what_is_of_no_use_is_told_with_how_to_mend_it() {
        let block = |label: &str, headers: &str| {
            let file = format!("\n-----BEGIN {label}-----\n{headers}AQID\n-----END {label}-----\n");
            read(file.as_bytes()).map(|_| ()).unwrap_err()
        };
        let headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00FF\n\n";
        for (label, headers, why) in [
            ("ENCRYPTED PRIVATE KEY", "", "line 2: the key is encrypted"),
            ("RSA PRIVATE KEY", headers, "line 2: the key is encrypted"),
            ("EC PRIVATE KEY", headers, "(openssl pkey -in OLD -out NEW)"),
            ("OPENSSH PRIVATE KEY", "", "ssh-keygen -p -m PKCS8"),
            ("DSA PRIVATE KEY", "", "no DSA keys"),
            ("EC PARAMETERS", "", "there is no private key in it"),
            ("PUBLIC KEY", "", "there is no private key in it"),
        ] {
            assert!(block(label, headers).contains(why), "{label}: {}", block(label, headers));
        }
    }
}
