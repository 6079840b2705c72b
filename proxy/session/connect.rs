//! The one place that dials, and retries.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::record::Record;
use super::{CloseReason, NoConnection, Upstream, waiting};
use crate::admission::Permit;
use crate::net::client::ClientKey;
use crate::net::proxy_protocol::{self, Ssl, Version};
use crate::pool::{Lease, Request, Timeouts};

/// Connects to a backend of the pool, and on failure to the next: as often as the pool allows, and no longer than
/// `connect_timeout` for each try, waits included. Waits in the pool's queue first where it has to. No byte of the client's
/// has been read, so none is ever sent twice.
pub(super) async fn dial_any(
    record: &mut Record,
    permit: &Permit,
    downstream: &TcpStream,
) -> Result<(Upstream, Lease), CloseReason> {
    let Some(pool) = record.pool().map(Arc::clone) else { return Err(CloseReason::NoBackend) };
    let client = ClientKey::of(record.client());
    let mut grant = match pool.lease_first(client, Instant::now()) {
        Some(grant) => grant,
        None => {
            let class = permit.class(record.tally().memory(), record.client());
            waiting::for_place(&pool, (class, client), downstream).await?
        }
    };
    let timeouts = pool.timeouts();
    let give_up_at = Instant::now() + timeouts.connect * (timeouts.retries + 1);
    let (mut request, mut reason) = (Request::new(client), CloseReason::ConnectFailed);
    for retry in 1.. {
        let (giver, lease) = grant;
        record.attempt(&giver, lease.backend());
        let version = giver.send_proxy();
        let introduction = version.map(|version| introduction(record, version, downstream)).transpose();
        // Where the client connected to is not known: there is no connection any more.
        let Ok(introduction) = introduction else { return Err(CloseReason::ClientReset) };
        let deadline = (Instant::now() + giver.timeouts().connect).min(give_up_at);
        match Upstream::dial(&giver, &lease, introduction.as_deref(), deadline).await {
            Ok((upstream, took)) => {
                record.note_connect(took);
                return Ok((upstream, lease));
            }
            Err(NoConnection::Failed) => reason = CloseReason::ConnectFailed,
            Err(NoConnection::NoSourcePort) => reason = CloseReason::NoSourcePort,
        }
        request.failed_by(lease.backend());
        // Another session may have its place during the wait.
        drop(lease);
        if retry > timeouts.retries {
            break;
        }
        sleep_until((Instant::now() + backoff(timeouts, retry)).min(give_up_at)).await;
        let Some(next) = pool.lease(&request, Instant::now()) else { break };
        next.0.count_retry();
        grant = next;
    }
    Err(reason)
}

/// The PROXY header for the session's client.
fn introduction(record: &Record, version: Version, downstream: &TcpStream) -> io::Result<Vec<u8>> {
    let destination = record.destination().map_or_else(|| downstream.local_addr(), Ok)?;
    let id = record.id().to_string();
    let known = record.known();
    let tls = known.and_then(|known| known.tls.as_ref());
    let connection = proxy_protocol::Connection {
        source: record.source(),
        destination,
        unique_id: id.as_bytes(),
        authority: known.and_then(|known| known.server_name.as_deref()).map(str::as_bytes),
        alpn: tls.and_then(|tls| tls.protocol.as_deref()),
        ssl: tls.map(|tls| Ssl {
            version: tls.version,
            cipher: Some(tls.cipher),
            common_name: tls.common_name.as_deref(),
        }),
    };
    Ok(proxy_protocol::header(version, &connection))
}

/// The wait before the `retry`-th retry (from 1): doubles each time, less up to half of it by chance, so that sessions
/// that failed together do not come back together.
fn backoff(timeouts: &Timeouts, retry: u32) -> Duration {
    let doubled = timeouts.retry_backoff.saturating_mul(1_u32.checked_shl(retry - 1).unwrap_or(u32::MAX));
    doubled.min(timeouts.connect).mul_f64(1.0 - fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Limits;

    #[test]
    fn backoff_doubles_within_its_jitter_and_is_bounded() {
        let timeouts = Timeouts {
            connect: Duration::from_secs(5),
            session: Limits::default(),
            retries: 100,
            retry_backoff: Duration::from_millis(50),
        };
        for (retry, full) in [(1, 50), (2, 100), (3, 200), (7, 3200), (8, 5000), (40, 5000), (100, 5000)] {
            for _ in 0..100 {
                let wait = backoff(&timeouts, retry);
                assert!(wait <= Duration::from_millis(full), "retry {retry}: {wait:?}");
                assert!(wait >= Duration::from_millis(full / 2), "retry {retry}: {wait:?}");
            }
        }
    }
}
