//! What the tests stand on: a proxy in this process, a proxy as a process of its own, backends, peers on either side of
//! a session, and a reader of the admin address.
//!
//! Sockets and time are real: with a paused clock, timeouts would fire while the kernel still carries bytes. No test
//! waits for a fixed time and then looks; what is to come is waited for with [`eventually`] and [`soon`], and what must
//! not come is looked for over a time that the test names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

pub(crate) mod admin;
pub(crate) mod backend;
pub(crate) mod pattern;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod tls;

pub(crate) use self::admin::Metrics;
pub(crate) use self::backend::Backend;
pub(crate) use self::pattern::Pattern;
pub(crate) use self::peer::{Ending, Peer};
pub(crate) use self::process::Process;
pub(crate) use self::proxy::Proxy;

/// The pause between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a test waits for what should come at once before it gives up. A machine that is slower than slow can be
/// given more, in seconds, by `PORTTI_TEST_PATIENCE`.
pub(crate) fn patience() -> Duration {
    let seconds = std::env::var("PORTTI_TEST_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

/// Waits until the condition holds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {:?}: {what}", patience());
        sleep(LOOK_EVERY).await;
    }
}

/// The future's result, which must come before patience ends.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(patience(), future).await {
        Ok(result) => result,
        Err(_elapsed) => panic!("not within {:?}: {what}", patience()),
    }
}

/// Looks again and again for `time`: the condition must hold at each look.
pub(crate) async fn always_for(time: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(condition().await, "{what}");
        sleep(LOOK_EVERY).await;
    }
}

/// Checks how long something took. A busy machine makes things late, never early: `late` is what it may add.
pub(crate) fn assert_took(took: Duration, at_least: Duration, late: Duration) {
    assert!(took >= at_least, "took {took:?}, less than {at_least:?}");
    assert!(took <= at_least + late, "took {took:?}, more than {at_least:?} and {late:?}");
}

/// An address of this machine that nothing else listens on or connects from, with port 0. Every port of it belongs to
/// the caller, so a port that was free stays free, whatever other tests do.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // 127.1.0.0 to 127.254.255.255 are all loopback; runs at the same time start far from each other.
    let number = std::process::id().wrapping_mul(977).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let number = number % (254 << 16);
    let [_, a, b, c] = (number + (1 << 16)).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, a, b, c)), 0)
}

/// An address on which nobody listens, nor will.
pub(crate) fn free_address() -> SocketAddr {
    let probe = std::net::TcpListener::bind(own_address()).unwrap();
    probe.local_addr().unwrap()
}
