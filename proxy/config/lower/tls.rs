//! `[listeners.NAME.tls]` and `[pools.NAME.tls]`.

use std::time::Duration;

use rustls::pki_types::ServerName;

use super::{Problem, sni};
use crate::config::model::{Certificate, ClientAuth, Encryption, Termination, TlsVersion, Trust};
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::canonical_host;

/// `None` if it is not written, or lacks something.
pub(super) fn of_listener(section: &mut Section<'_>) -> Option<Termination> {
    let certificates = certificates(section);
    let client_auth = client_auth(section);
    let protocols = section.setting("alpn", Vec::new(), |value| sni::protocols(value));
    let min_version = section.setting("min_version", TlsVersion::V1_2, |value| value.word(&VERSIONS, &[]));
    let handshake_timeout = section.setting("handshake_timeout", HANDSHAKE_TIMEOUT, Value::duration);
    Some(Termination {
        certificates: certificates.filter(|list| !list.is_empty())?,
        client_auth,
        protocols: protocols.value,
        min_version: min_version.value,
        handshake_timeout: handshake_timeout.value,
    })
}

fn certificates(section: &mut Section<'_>) -> Option<Vec<Certificate>> {
    let value = section.required("certificates", CERTIFICATES)?;
    let list = value.list(CERTIFICATES)?;
    if list.is_empty() {
        let problem = Problem::error(&value.place, "a listener that speaks TLS needs a certificate");
        section.add(problem.hint(format!("for example {CERTIFICATES}")));
    }
    let found: Vec<_> = list.iter().map(|entry| section.entry("certificates", entry, certificate).flatten()).collect();
    found.into_iter().collect()
}

fn certificate(section: &mut Section<'_>) -> Option<Certificate> {
    let cert = section.required("cert", r#""example.com.pem""#).and_then(|value| value.file());
    let key = section.required("key", r#""example.com.key""#).and_then(|value| value.file());
    Some(Certificate::unread(cert?, key?))
}

fn client_auth(section: &mut Section<'_>) -> ClientAuth {
    let mode = section.setting("client_auth", Mode::Off, |value| value.word(&MODES, &[]));
    let authorities = section.setting("client_ca", None, |value| value.file().map(Some));
    match (mode.value, authorities.value.clone()) {
        (Mode::Optional, Some(file)) => ClientAuth::Optional(Trust::unread(Some(file))),
        (Mode::Required, Some(file)) => ClientAuth::Required(Trust::unread(Some(file))),
        (Mode::Off, None) => ClientAuth::Off,
        (Mode::Off, Some(_)) => {
            if !mode.is_refused() {
                let problem = Problem::warning(&authorities.place, "clients are not asked for certificates");
                section.add(problem.hint(r#"client_auth = "required", or "optional""#));
            }
            ClientAuth::Off
        }
        (_, None) => {
            if !authorities.is_refused() {
                let problem = Problem::error(&mode.place, "nobody is named who signs clients' certificates");
                section.add(problem.hint(r#"for example client_ca = "players-ca.pem""#));
            }
            ClientAuth::Off
        }
    }
}

/// `None` if it is not written, or off.
pub(super) fn of_pool(section: &mut Section<'_>) -> Option<Encryption> {
    let enabled = section.setting("enabled", true, Value::flag);
    let authorities = section.setting("ca", None, |value| value.file().map(Some));
    let verify = section.setting("verify", true, Value::flag);
    let server_name = section.setting("server_name", None, |value| name(value).map(Some));
    let certificate = client_certificate(section);
    if section.is_written() && enabled.value && !verify.value {
        let message = "whoever answers at a backend's address is believed to be it";
        section
            .add(Problem::warning(&verify.place, message).hint("name who signs the backends' certificates: ca = ..."));
    }
    let trust = verify.value.then(|| Trust::unread(authorities.value));
    enabled.value.then(|| Encryption { trust, server_name: server_name.value, certificate })
}

fn client_certificate(section: &mut Section<'_>) -> Option<Certificate> {
    let cert = section.setting("client_cert", None, |value| value.file().map(Some));
    let key = section.setting("client_key", None, |value| value.file().map(Some));
    match (&cert, &key) {
        (Setting { value: Some(cert), .. }, Setting { value: Some(key), .. }) => {
            Some(Certificate::unread(cert.clone(), key.clone()))
        }
        (given, missing) | (missing, given) if given.is_written() && !missing.is_written() => {
            if !missing.is_refused() {
                let message = "client_cert and client_key go together";
                section.add(Problem::error(&given.place, message).hint("write both, or none"));
            }
            None
        }
        _ => None,
    }
}

/// A host name, or an address.
fn name(value: &Value<'_>) -> Option<String> {
    let text = value.any_text()?;
    if ServerName::try_from(text).is_err() {
        let problem = Problem::error(&value.place, "this is neither a host name nor an IP address");
        value.report(problem.hint(r#"as the backends' certificates have it: "game.internal""#));
        return None;
    }
    Some(canonical_host(text))
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    Off,
    Optional,
    Required,
}

const MODES: [(&str, Mode); 3] = [("off", Mode::Off), ("optional", Mode::Optional), ("required", Mode::Required)];

const VERSIONS: [(&str, TlsVersion); 2] = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];

const CERTIFICATES: &str = r#"[{ cert = "example.com.pem", key = "example.com.key" }]"#;

/// Two lost packets are made up for, and a slow client has time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
