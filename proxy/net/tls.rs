//! TLS: who is who, and connections that are encrypted here.
//!
//! rustls does the work, with ring's ciphers. What is decided here is which certificate is shown to whom, and whom to believe.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{SupportedProtocolVersion, version};

pub mod client;
pub mod facts;
pub mod handshake;
pub mod identity;
pub mod server;
mod stream;

pub use self::stream::{Connection, FromClient, ToBackend};

/// Made once: it is a table of functions.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::LazyLock<Arc<CryptoProvider>> =
        std::sync::LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

/// From 1.2 on.
const ALL_VERSIONS: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const NEWEST_VERSION: &[&SupportedProtocolVersion] = &[&version::TLS13];
