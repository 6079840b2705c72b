//! How the kernel notices that a peer has vanished: no FIN, no reset, only silence.
//!
//! Two options divide the work. While bytes wait for the peer's acknowledgement, `TCP_USER_TIMEOUT` bounds how long; keepalive does not
//! run then. While none do, keepalive asks, and `TCP_USER_TIMEOUT`, where it is set, also decides when the silence has lasted long enough
//! (tcp(7)): so probes have to begin well before that.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::{socket, tcp_info};
use crate::relay::{self, Liveness, Quality};

/// What the connections of a listener begin with: their pool, and what that says, is known only later. A player who lost the network
/// tries to come back within these two minutes.
pub const OF_LISTENERS: Liveness =
    Liveness { user_timeout: Some(Duration::from_secs(120)), keepalive: Some(Duration::from_secs(60)) };

/// Probes that a peer may leave unanswered, where `TCP_USER_TIMEOUT` does not decide.
const PROBES: u32 = 4;

/// The time between two probes, at the most.
const INTERVAL_MAX: Duration = Duration::from_secs(15);

/// The kernel counts probes in whole seconds, up to these (`MAX_TCP_KEEPIDLE`), and bytes' waits in milliseconds, up to 2^31.
const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);
const USER_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// Has the kernel give up the peer of a connection, or of those that are accepted from a listening socket, when it does not answer for
/// so long.
///
/// # Errors
/// The connection is gone.
pub fn set(socket: &SockRef<'_>, liveness: Liveness) -> io::Result<()> {
    let Liveness { user_timeout, keepalive } = liveness;
    socket.set_tcp_user_timeout(user_timeout.map(|timeout| timeout.min(USER_TIMEOUT_MAX)))?;
    match keepalive {
        None => socket.set_keepalive(false),
        Some(keepalive) => {
            let interval = whole_seconds(interval(keepalive, user_timeout));
            let keepalive = whole_seconds(keepalive.min(KEEPALIVE_MAX));
            socket.set_tcp_keepalive(
                &TcpKeepalive::new().with_time(keepalive).with_interval(interval).with_retries(PROBES),
            )
        }
    }
}

/// The time between two probes: so that several may get lost before the peer counts as gone.
fn interval(keepalive: Duration, user_timeout: Option<Duration>) -> Duration {
    let left = user_timeout.and_then(|timeout| timeout.checked_sub(keepalive)).filter(|left| !left.is_zero());
    left.map_or(INTERVAL_MAX, |left| INTERVAL_MAX.min(left / PROBES))
}

/// Rounded up, and one at least.
fn whole_seconds(duration: Duration) -> Duration {
    let up = u64::from(duration.subsec_nanos() > 0);
    Duration::from_secs((duration.as_secs() + up).max(1))
}

impl relay::Socket for TcpStream {
    const ENDS_WHEN_DROPPED: bool = true;

    fn is_broken(&self) -> bool {
        socket::is_broken(self)
    }

    fn has_ended(&self) -> bool {
        socket::has_left(self)
    }

    fn unacknowledged(&self) -> Option<Duration> {
        tcp_info::unacknowledged(self).ok().flatten()
    }

    /// Five system calls, which a session of a minute has no use for.
    fn settle(&self, liveness: Liveness) {
        // It fails only where the connection is gone, which the next read tells.
        let _gone = set(&SockRef::from(self), liveness);
    }

    fn break_off(&self) {
        // It fails only where there is no connection left to reset.
        let _gone = self.set_zero_linger();
    }

    fn is_delivered(&self) -> bool {
        // It fails only where there is no connection left.
        tcp_info::is_delivered(self).unwrap_or(true)
    }

    fn quality(&self) -> Option<Quality> {
        tcp_info::read(self).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What the kernel has: the timeout, and of keepalive the silence and the interval.
    fn found(socket: &SockRef<'_>) -> (Option<Duration>, Option<(Duration, Duration)>) {
        let probes = socket.keepalive().unwrap();
        let probes = probes.then(|| (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap()));
        (socket.tcp_user_timeout().unwrap(), probes)
    }

    #[test]
    fn probes_begin_before_the_peer_counts_as_gone_and_several_may_get_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = SockRef::from(&listener);
        for (user_timeout, keepalive, expected) in [
            (Some(120), Some(60), (Some(seconds(120)), Some((seconds(60), seconds(15))))),
            (Some(600), Some(60), (Some(seconds(600)), Some((seconds(60), seconds(15))))),
            (Some(3), Some(1), (Some(seconds(3)), Some((seconds(1), seconds(1))))),
            (None, Some(60), (None, Some((seconds(60), seconds(15))))),
            (Some(120), None, (Some(seconds(120)), None)),
            (None, None, (None, None)),
            // Against each other, and beyond what the kernel knows.
            (Some(60), Some(60), (Some(seconds(60)), Some((seconds(60), seconds(15))))),
            (Some(10_000_000), Some(10_000_000), (Some(USER_TIMEOUT_MAX), Some((KEEPALIVE_MAX, seconds(15))))),
        ] {
            let liveness = Liveness { user_timeout: user_timeout.map(seconds), keepalive: keepalive.map(seconds) };
            set(&socket, liveness).unwrap();
            assert_eq!(found(&socket), expected, "{liveness:?}");
        }
    }

    #[test]
    fn parts_of_seconds_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), seconds(1));
        assert_eq!(whole_seconds(Duration::from_millis(1001)), seconds(2));
        assert_eq!(whole_seconds(seconds(2)), seconds(2));
    }
}
