//! Tells whoever supervises the process how it goes: systemd, or what else sets `NOTIFY_SOCKET` (sd_notify(3)).
//!
//! The protocol is a datagram of text, so it is written here. The socket stays open and never blocks: a supervisor that does
//! not read must not hold the control thread.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::rc::Rc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::state::State;
use crate::drain::Phase;
use crate::worker::{Command, Mailbox};

/// How often the status line is looked at; it is sent when it says something new.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// What a drain may take beyond its timeouts: to cut what is left, and to send the last spans.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// The supervisor, if there is one. Without it, telling does nothing.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    /// It takes the process for hung when it has heard nothing for so long.
    watchdog: Option<Duration>,
}

/// A reload that the supervisor knows of. Dropped, it is over.
#[derive(Debug)]
pub struct Reloading(Rc<Supervisor>, Rc<State>);

impl Supervisor {
    /// The one that has started this process.
    pub fn of_this_process() -> Self {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        match connect(path.as_bytes()) {
            Ok(socket) => {
                let var = |name| env::var(name).ok();
                let watchdog = watchdog(var("WATCHDOG_USEC").as_deref(), var("WATCHDOG_PID").as_deref(), process::id());
                Self { socket: Some(socket), watchdog }
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "NOTIFY_SOCKET leads nowhere: nobody is told how the proxy goes");
                Self::default()
            }
        }
    }

    /// Everything is bound. From now on it hears of sessions, and of workers that answer.
    pub fn ready(self: &Rc<Self>, state: &Rc<State>, workers: Vec<Mailbox>) {
        if self.socket.is_none() {
            return;
        }
        self.tell(&format!("READY=1\nSTATUS={}", line(state)));
        tokio::task::spawn_local(Rc::clone(self).keep_status(Rc::clone(state)));
        if let Some(patience) = self.watchdog {
            tokio::task::spawn_local(Rc::clone(self).keep_watch(patience / 2, workers));
        }
    }

    /// The config file is being applied, until what this returns is dropped.
    pub fn reloading(this: &Rc<Self>, state: &Rc<State>) -> Reloading {
        // The time tells this reload's end from that of one before.
        let now = clock_gettime(ClockId::Monotonic);
        this.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}{:06}", now.tv_sec, now.tv_nsec / 1000));
        Reloading(Rc::clone(this), Rc::clone(state))
    }

    /// A drain begins, and may take so long: what the supervisor grants by itself may be less.
    pub fn stopping(&self, at_most: Duration, sessions: usize) {
        let usec = (at_most + LAST_STEPS).as_micros();
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={usec}\nSTATUS=draining: {sessions} sessions left"));
    }

    fn tell(&self, what: &str) {
        if let Some(socket) = &self.socket {
            // It has gone, or does not read; neither is a reason to stop serving players.
            let _unheard = socket.send(what.as_bytes());
        }
    }

    async fn keep_status(self: Rc<Self>, state: Rc<State>) {
        let mut told = line(&state);
        loop {
            tokio::time::sleep(STATUS_EVERY).await;
            let now = line(&state);
            if now != told {
                self.tell(&format!("STATUS={now}"));
                told = now;
            }
        }
    }

    /// Tells that all is well, as long as every worker answers.
    async fn keep_watch(self: Rc<Self>, every: Duration, workers: Vec<Mailbox>) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut answers = Box::pin(all_answer(&workers));
            while timeout(every, &mut answers).await.is_err() {
                tracing::error!("a worker does not answer, so the watchdog is not told that all is well");
            }
            self.tell("WATCHDOG=1");
        }
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        self.0.tell(&format!("READY=1\nSTATUS={}", line(&self.1)));
    }
}

fn connect(path: &[u8]) -> io::Result<UnixDatagram> {
    // A name that begins with @ lies in no folder: the kernel writes it with a zero.
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How long the supervisor waits for a sign of life, if it waits for one of the process `own`.
fn watchdog(usec: Option<&str>, of: Option<&str>, own: u32) -> Option<Duration> {
    let is_ours = of.is_none_or(|of| of.parse() == Ok(own));
    let usec: u64 = usec?.parse().ok()?;
    // Half of it must be a time that can be waited for.
    (is_ours && usec >= 2000).then(|| Duration::from_micros(usec))
}

/// Resolves when every worker has come around to its mailbox. One that has ended has nothing to answer for.
async fn all_answer(workers: &[Mailbox]) {
    for worker in workers {
        let (answer, answered) = oneshot::channel();
        worker.send(Command::Answer(answer)).await;
        let _ended = answered.await;
    }
}

/// What `systemctl status` shows.
fn line(state: &State) -> String {
    let (sessions, level) = (state.admission().active(), state.admission().level().as_str());
    if state.phase() != Phase::Running {
        return format!("draining: {sessions} sessions left");
    }
    let refused =
        if state.loads().last.error.is_some() { "; the config file was refused, what ran before goes on" } else { "" };
    let (snapshot, now) = (state.snapshot(), Instant::now());
    let dead: Vec<_> =
        snapshot.pools.values().filter(|pool| !pool.has_eligible(now)).map(|pool| pool.name().as_str()).collect();
    let dead = if dead.is_empty() { String::new() } else { format!("; no backend eligible: {}", dead.join(", ")) };
    format!("sessions: {sessions}, level: {level}{dead}{refused}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_for_one_process_and_has_a_time() {
        let second = Some(Duration::from_secs(1));
        let cases = [
            (Some("1000000"), None, second),
            (Some("1000000"), Some("7"), second),
            (Some("1000000"), Some("8"), None),
            (Some("1000000"), Some("seven"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, Some("7"), None),
        ];
        for (usec, of, expected) in cases {
            assert_eq!(watchdog(usec, of, 7), expected, "{usec:?} {of:?}");
        }
    }

    #[test]
    fn a_supervisor_is_heard_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("portti-test-{}", process::id());
        let by_name = SocketAddr::from_abstract_name(&name).unwrap();
        let listeners = [UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind_addr(&by_name).unwrap()];
        let addresses = [path.as_os_str().as_bytes().to_owned(), format!("@{name}").into_bytes()];
        for (listener, address) in listeners.iter().zip(addresses) {
            let supervisor = Supervisor { socket: Some(connect(&address).unwrap()), watchdog: None };
            supervisor.stopping(Duration::from_secs(30), 2);
            let mut heard = [0; 128];
            let length = listener.recv(&mut heard).unwrap();
            let expected = "STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000\nSTATUS=draining: 2 sessions left";
            assert_eq!(std::str::from_utf8(&heard[..length]).unwrap(), expected);
        }
    }

    #[test]
    fn a_supervisor_that_does_not_read_holds_nobody() {
        let (ours, _theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let supervisor = Supervisor { socket: Some(ours), watchdog: None };
        for _ in 0..10_000 {
            supervisor.tell("WATCHDOG=1");
        }
    }
}
