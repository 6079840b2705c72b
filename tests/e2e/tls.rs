//! Clients' TLS ends here.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::proxy::pool;
use crate::support::tls::{AUTHORITY, Identity, Secure, client, connect};
use crate::support::{Backend, Proxy};

mod backends;
mod certificates;
mod clients;
mod pace;
mod refused;
mod relay;

const LATE: Duration = Duration::from_millis(700);

const HOST: &str = "game.example.com";

/// A folder with `game.pem` and `game.key`, for [`HOST`].
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    identity().write(folder.path(), "game");
    folder
}

fn identity() -> Identity {
    AUTHORITY.issue(&[HOST])
}

/// Listener `game` with a certificate, and further keys of its own and of its `tls` section.
fn listener(keys: &str, tls: &str) -> String {
    format!(
        "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n{keys}\n\
         [listeners.game.tls]\ncertificates = [{{ cert = \"game.pem\", key = \"game.key\" }}]\n{tls}\n"
    )
}

/// A proxy with such a listener in front of a backend.
fn proxy(backend: &Backend, keys: &str, tls: &str) -> Proxy {
    Proxy::in_folder(folder(), &(listener(keys, tls) + &pool(&[backend], ""))).unwrap()
}

/// A client that believes the proxy.
async fn secure(proxy: &Proxy) -> Secure {
    connect(proxy.address(), HOST, &client(&[])).await.unwrap()
}

/// The number in the certificate that is shown to who asks for a host.
async fn shown(proxy: &Proxy, host: &str) -> Vec<u8> {
    let client = connect(proxy.address(), host, &client(&[])).await.unwrap();
    client.0.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// What `/health/deep` says of something whose name begins like this; empty if nothing.
async fn deep(proxy: &Proxy, begins: &str) -> String {
    let deep = proxy.get("/health/deep").await.json();
    let checks = deep["checks"].as_object().unwrap();
    let found = checks.iter().find(|(name, _)| name.starts_with(begins));
    found.map(|(_, said)| said.as_str().unwrap().to_owned()).unwrap_or_default()
}

/// Replaces a file of the proxy's folder as a whole.
fn replace(proxy: &Proxy, name: &str, content: &str) {
    let new = proxy.folder().join("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, proxy.folder().join(name)).unwrap();
}

fn since(asked: Instant) -> Duration {
    asked.elapsed()
}
