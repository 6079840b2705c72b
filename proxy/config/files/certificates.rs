//! Certificates with their keys, and whom to believe.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Problem, read_file};
use crate::config::model::{Certificate, Config, Material, Trust};
use crate::net::tls::identity::{Authorities, Identity, IdentityError};

/// Reads the certificates of a config, and of those who sign others'.
pub(super) fn read(config: &mut Config, folder: &Path, before: Option<&Config>, problems: &mut Vec<Problem>) {
    let known = before.into_iter().flat_map(Config::certificates);
    let known: BTreeMap<_, _> = known.map(|(_, old)| ((&old.cert, &old.key), &old.identity)).collect();
    for (key, certificate) in config.certificates_mut() {
        let old = known.get(&(&certificate.cert, &certificate.key)).copied();
        let found = identity(folder, certificate);
        fill(&mut certificate.identity, found, old).unwrap_or_else(|problem| problems.push((key, problem)));
    }
    let known = before.into_iter().flat_map(Config::trusts);
    let known: BTreeMap<_, _> = known.map(|(_, old)| (&old.file, &old.authorities)).collect();
    for (key, trust) in config.trusts_mut() {
        let old = known.get(&trust.file).copied();
        let found = authorities(folder, trust);
        fill(&mut trust.authorities, found, old).unwrap_or_else(|problem| problems.push((key, problem)));
    }
}

/// Takes what was found, or else what was there before.
fn fill<T: PartialEq>(
    material: &mut Material<T>,
    found: Result<T, String>,
    before: Option<&Material<T>>,
) -> Result<(), String> {
    let before = before.and_then(|before| before.content.as_ref());
    *material = match (found, before) {
        (Ok(found), Some(before)) if found == **before => Material { content: Some(Arc::clone(before)), stale: None },
        (Ok(found), _) => Material { content: Some(Arc::new(found)), stale: None },
        (Err(problem), Some(before)) => Material { content: Some(Arc::clone(before)), stale: Some(problem) },
        (Err(problem), None) => return Err(problem),
    };
    Ok(())
}

fn identity(folder: &Path, certificate: &Certificate) -> Result<Identity, String> {
    let Certificate { cert, key, identity: _ } = certificate;
    let read = |path: &Path| read_file(&folder.join(path)).map_err(|problem| format!("{}: {problem}", path.display()));
    Identity::from_pem(&read(cert)?, &read(key)?).map_err(|error| match error {
        IdentityError::Certificate(_) => format!("{}: {error}", cert.display()),
        IdentityError::Key(_) => format!("{}: {error}", key.display()),
        IdentityError::Mismatch => format!("{}: {error} in {}", key.display(), cert.display()),
    })
}

fn authorities(folder: &Path, trust: &Trust) -> Result<Authorities, String> {
    match &trust.file {
        Some(file) => {
            let found = read_file(&folder.join(file)).and_then(|text| Authorities::from_pem(&text));
            found.map_err(|problem| format!("{}: {problem}", file.display()))
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            let why = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
            Authorities::from_system(found.certs)
                .map_err(|_none| format!("this system believes no authority{why}; name a file of them: ca = ..."))
        }
    }
}
