//! Who somebody is by TLS, and whom to believe: certificates, keys and authorities as files hold them (PEM, RFC 7468).

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::SectionKind;
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

mod key;
mod pem;

use self::pem::Block;
use crate::config::scalar::canonical_host;

/// A certificate with those that sign it, and the key that belongs to it. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    names: Arc<[String]>,
    not_after: i64,
}

/// Authorities whose certificates are believed. Cheap to clone.
#[derive(Clone)]
pub struct Authorities(Arc<RootCertStore>);

/// Why files do not make an [`Identity`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// It lies at the file of the certificate.
    Certificate(String),
    /// It lies at the file of the key.
    Key(String),
    /// Each is well, but they do not belong together.
    Mismatch,
}

impl Identity {
    /// Reads what two files hold: the certificate first, then those that sign it, one after the other; and the key.
    ///
    /// # Errors
    /// One of them is not what it should be, or they do not belong together.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = certificates(certificate).map_err(IdentityError::Certificate)?;
        for (line, certificate) in &chain {
            if let Err(error) = X509Certificate::from_der(certificate) {
                let what = format!("line {line}: the certificate that begins here is malformed: {error}");
                return Err(IdentityError::Certificate(what));
            }
        }
        let chain: Vec<_> = chain.into_iter().map(|(_, certificate)| certificate).collect();
        let keys = key::read(key).map_err(IdentityError::Key)?;
        let facts = Facts::of(&chain[0]).map_err(IdentityError::Certificate)?;
        // Of several keys in the file, the one that is the certificate's.
        let mut certified = keys.iter().map(|key| {
            let certified = CertifiedKey::new(chain.clone(), key::signing(key, &chain[0])?);
            match certified.keys_match() {
                Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                    Err(IdentityError::Mismatch)
                }
                // A key that cannot tell is no mismatch; none of those that can be read is such a key.
                _ => Ok(certified),
            }
        });
        let fits = |result: &Result<_, _>| !matches!(result, Err(IdentityError::Mismatch));
        let certified = certified.find(fits).unwrap_or(Err(IdentityError::Mismatch))?;
        Ok(Self { certified: Arc::new(certified), names: facts.names.into(), not_after: facts.not_after })
    }

    /// What is shown, and what proves that it may be.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The host names that it is for, in lower case; `*.` at the front stands for one part of a name.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// When it ends, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }
}

/// The key belongs to the certificate.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    /// Without its key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.names).field("not_after", &self.not_after).finish()
    }
}

impl fmt::Display for Identity {
    /// Whom it is for and until when, and a number that tells two of them apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.names.first().map_or("no name", String::as_str);
        let more = if self.names.len() > 1 { ", ..." } else { "" };
        write!(f, "{first}{more} until {}, {:08x}", Day(self.not_after), short_hash(&self.certified.cert))
    }
}

/// A time in seconds since 1970; displays as its day (UTC).
#[derive(Debug, Clone, Copy)]
pub struct Day(pub i64);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_1970 = Duration::from_secs(self.0.max(0).unsigned_abs());
        let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970).to_string();
        f.write_str(time.split('T').next().unwrap_or_default())
    }
}

fn short_hash(content: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish() >> 32
}

impl Authorities {
    /// Reads what a file holds.
    ///
    /// # Errors
    /// There is no certificate in it, or one that is none.
    pub fn from_pem(text: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for (line, certificate) in certificates(text)? {
            let cannot = |error| format!("line {line}: the certificate that begins here cannot be used: {error}");
            roots.add(certificate).map_err(cannot)?;
        }
        Ok(Self(Arc::new(roots)))
    }

    /// The same of a list that is not the operator's: those that cannot be used are left out.
    ///
    /// # Errors
    /// None can be.
    pub fn from_system(list: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let (usable, _others) = roots.add_parsable_certificates(list);
        if usable == 0 { Err("there is no certificate".to_owned()) } else { Ok(Self(Arc::new(roots))) }
    }

    /// For rustls.
    pub fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0)
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.0.roots == other.0.roots
    }
}

impl Eq for Authorities {}

impl fmt::Display for Authorities {
    /// How many there are, and a number that tells two lists apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subjects: Vec<_> = self.0.roots.iter().map(|root| &*root.subject_public_key_info).collect();
        write!(f, "{} certificates, {:08x}", self.0.len(), short_hash(&subjects))
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

/// What a certificate says of itself.
struct Facts {
    names: Vec<String>,
    not_after: i64,
}

impl Facts {
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let malformed = |error: &dyn fmt::Display| format!("the first certificate is malformed: {error}");
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| malformed(&error))?;
        let alternatives = parsed.subject_alternative_name().map_err(|error| malformed(&error))?;
        let names = alternatives.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(canonical_host(name)),
            _ => None,
        });
        Ok(Self { names: names.collect(), not_after: parsed.validity().not_after.timestamp() })
    }
}

/// The common name in a certificate, if it has one that is text.
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

/// All certificates of a file, at least one, each with the line that it begins in.
fn certificates(file: &[u8]) -> Result<Vec<(usize, CertificateDer<'static>)>, String> {
    let mut found = Vec::new();
    for block in pem::blocks(file).map_err(|error| error.to_string())? {
        if let Some(why) = unusable(&block) {
            return Err(format!("line {}: {why}", block.line));
        }
        match block.decode().map_err(|error| error.to_string())? {
            Some((SectionKind::Certificate, content)) => found.push((block.line, content.into())),
            _other => {}
        }
    }
    if found.is_empty() {
        return Err("there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(found)
}

/// Why a block that holds certificates is of no use as it is, and how to mend it.
fn unusable(block: &Block) -> Option<&'static str> {
    match block.label.as_str() {
        "TRUSTED CERTIFICATE" => {
            Some("this is a certificate with words of OpenSSL's behind it: convert it (openssl x509 -in OLD -out NEW)")
        }
        "PKCS7" | "CMS" => {
            Some("this is a bundle of certificates: unpack it (openssl pkcs7 -print_certs -in OLD -out NEW)")
        }
        _ => None,
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(why) | Self::Key(why) => f.write_str(why),
            Self::Mismatch => f.write_str("the key is not that of the first certificate"),
        }
    }
}

impl std::error::Error for IdentityError {}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A certificate for these names that has signed itself, and its key.
    fn pair(names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 5, 6);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Alex");
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_says_whom_it_is_for_and_until_when() {
        let (certificate, key) = pair(&["EU.example.com", "*.example.com", "10.0.0.1"]);
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(identity.names(), ["eu.example.com", "*.example.com"]);
        assert_eq!(identity.not_after(), 1_935_792_000);
        assert_eq!(common_name(&identity.certified().cert[0]).as_deref(), Some("Alex"));
        assert!(!format!("{identity:?}").contains("key"));
        assert!(identity.to_string().starts_with("eu.example.com, ... until 2031-05-06, "), "{identity}");
        // Both in one file, with words between.
        let both = format!("for the gate\n{key}\n{certificate}");
        assert_eq!(Identity::from_pem(both.as_bytes(), both.as_bytes()), Ok(identity));
    }

    #[test]
    fn what_is_wrong_is_told_of_the_right_file() {
        let ((certificate, key), (_, other)) = (pair(&["a.example.com"]), pair(&["a.example.com"]));
        let read = |certificate: &str, key: &str| {
            Identity::from_pem(certificate.as_bytes(), key.as_bytes()).map(|_| ()).unwrap_err()
        };
        assert_eq!(read(&certificate, &other), IdentityError::Mismatch);
        let broken = certificate.replace("-----END CERTIFICATE-----", "");
        assert!(
            matches!(read(&broken, &key), IdentityError::Certificate(why) if why.contains("line 1: the CERTIFICATE that begins here has no"))
        );
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read(garbled, &key), IdentityError::Certificate(why) if why.contains("malformed")));
        assert!(matches!(read("", &key), IdentityError::Certificate(why) if why.contains("no certificate")));
        assert!(matches!(read(&certificate, &certificate), IdentityError::Key(why) if why.contains("no private key")));
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(matches!(read(&certificate, locked), IdentityError::Key(why) if why.contains("encrypted")));
        let garbled = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(read(&certificate, garbled), IdentityError::Key(why) if why.contains("cannot be used")));
    }

    #[test]
    fn nothing_of_a_chain_or_of_a_list_is_lost() {
        let ((leaf, key), (middle, _), (root, _)) = (pair(&["a"]), pair(&["b"]), pair(&["c"]));
        let all = [&leaf, &middle, &root];
        let plain = all.map(String::as_str).concat();
        let files = [
            all.map(|text| text.trim_end()).concat(),
            format!("\u{feff}{plain}"),
            plain.replace('\n', "\r"),
            plain.replace("-----BEGIN", "  -----BEGIN"),
            plain.replace("CERTIFICATE", "X509 CERTIFICATE"),
        ];
        for file in files {
            let identity = Identity::from_pem(file.as_bytes(), key.as_bytes()).unwrap();
            assert_eq!(identity.certified().cert.len(), 3, "{file}");
            assert_eq!(Authorities::from_pem(file.as_bytes()).unwrap().roots().len(), 3);
        }
        let refused = [
            (format!("{leaf}{}", middle.replace("MII", "AII")), "line 10: the certificate that begins here"),
            (format!("{leaf}-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), "is cut or damaged"),
            (plain.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "openssl x509 -in OLD -out NEW"),
            (plain.replace("CERTIFICATE", "PKCS7"), "openssl pkcs7 -print_certs"),
        ];
        for (file, why) in refused {
            let error = Identity::from_pem(file.as_bytes(), key.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            let error = Authorities::from_pem(file.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn of_several_keys_the_one_of_the_certificate_is_taken() {
        let ((certificate, key), (_, other)) = (pair(&["a"]), pair(&["b"]));
        let keys = format!("{other}{key}");
        assert!(Identity::from_pem(certificate.as_bytes(), keys.as_bytes()).is_ok());
        let keys = format!("{other}{other}");
        assert_eq!(Identity::from_pem(certificate.as_bytes(), keys.as_bytes()), Err(IdentityError::Mismatch));
    }

    #[test]
    fn authorities_are_read_and_compared() {
        let ((one, key), (other, _)) = (pair(&["a"]), pair(&["b"]));
        let read = |text: &str| Authorities::from_pem(text.as_bytes());
        assert_eq!(read(&one), read(&one));
        assert_ne!(read(&one), read(&format!("{one}{other}")));
        assert!(read(&key).unwrap_err().contains("no certificate"));
    }
}
