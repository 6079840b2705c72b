//! What the operating system asks of the process.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT.
    Shutdown,
    /// SIGHUP.
    Reload,
}

/// The signals that the process listens to. SIGPIPE is ignored by the runtime of the language, SIGQUIT leaves a core dump.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
    /// Other servers open their logs anew or hand over on these; unhandled, they would end the process.
    user_1: Stream,
    user_2: Stream,
    /// A file has reached the limit on its size. Unhandled, a log that is too long would end the process; so the write fails.
    _file_size: Stream,
}

impl Signals {
    /// Listens from now on: what would end the process is reported instead. A signal that comes before anybody waits for it is
    /// remembered. To be called in a runtime, which need not be the one that waits.
    ///
    /// # Errors
    /// The operating system did not allow it.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
            _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// The next one. Cancel safe.
    pub async fn next(&mut self) -> Signal {
        loop {
            let signal = tokio::select! {
                _ = self.terminate.recv() => return Signal::Shutdown,
                _ = self.interrupt.recv() => return Signal::Shutdown,
                _ = self.hangup.recv() => return Signal::Reload,
                _ = self.user_1.recv() => "SIGUSR1",
                _ = self.user_2.recv() => "SIGUSR2",
            };
            tracing::warn!("{signal} is ignored: SIGHUP reloads, SIGTERM drains");
        }
    }

    /// Resolves when the process is asked to end. All other signals stay for [`Self::next`]. Cancel safe.
    pub async fn shutdown(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
