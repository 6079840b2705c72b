//! One health check of a backend: a connection of its own, and a dialogue on it.
//!
//! Nothing that a backend says can hold a check for longer than its time, or cost more than a bounded amount of memory.
//! A failure tells in which step of the dialogue it happened, and how.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncWrite};

use self::line::{Deadline, Line};
use crate::config::model::Check;
use crate::net::proxy_protocol::{self, Version};
use crate::net::socket;
use crate::net::tls::client::Encrypter;

mod exchange;
mod http;
mod line;
mod minecraft;
#[cfg(test)]
mod tests;

/// What a check that passed has found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Players on the server, where the check can read it.
    pub players: Option<u32>,
}

/// Why a check failed. Displays as the step and how it went: `connect: refused`, `status: 503`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    step: Step,
    how: String,
    own_fault: bool,
}

/// A step of a dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The connection comes to stand.
    Connect,
    /// The server's TLS is the right one.
    Tls,
    /// The file's bytes go out.
    Send,
    /// The answer is compared with the file's.
    Expect,
    /// A request goes out, and the head of its answer comes in.
    Request,
    /// The answer's status is compared with the file's.
    Status,
    /// A game's client introduces itself.
    Handshake,
    /// The game's server answers.
    Reply,
}

/// How a server is spoken to, beside the dialogue itself.
#[derive(Debug, Clone, Default)]
pub struct Approach {
    /// It expects a PROXY header of this version first.
    pub introduced: Option<Version>,
    /// It speaks TLS, and is known by this name if not by its address alone.
    pub encrypted: Option<(Arc<Encrypter>, Option<String>)>,
}

/// Does one check: connects to `address` and has the dialogue. All of it together takes no longer than `timeout`.
///
/// # Errors
/// The server cannot be reached, or is too slow, or does not say what it should.
pub async fn run(
    check: &Check,
    address: SocketAddr,
    approach: &Approach,
    timeout: Duration,
) -> Result<Finding, Failure> {
    let deadline = Deadline::after(timeout);
    let stream = deadline.bound(Step::Connect, socket::connect(address)).await?;
    if let Some(version) = approach.introduced {
        let header = proxy_protocol::local(version);
        socket::send_first(&stream, &header).map_err(|error| Failure::from_io(Step::Connect, &error))?;
    }
    match &approach.encrypted {
        None => talk(check, stream, deadline, address).await,
        Some((tls, name)) => {
            let encrypted = tls.encrypt(stream, name.as_deref(), address.ip());
            let stream = deadline.bound(Step::Tls, Box::pin(encrypted)).await?;
            talk(check, stream, deadline, address).await
        }
    }
}

async fn talk<S>(check: &Check, stream: S, deadline: Deadline, address: SocketAddr) -> Result<Finding, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    match check {
        Check::Tcp => Ok(Finding::NOTHING),
        Check::Exchange { send, expect } => exchange::run(Line::new(stream, deadline), send, expect).await,
        Check::Http { path, status } => http::run(stream, &deadline, address, path, status).await,
        Check::Minecraft => minecraft::run(Line::new(stream, deadline), address).await,
    }
}

impl Finding {
    /// The server is well; more is not known.
    const NOTHING: Self = Self { players: None };
}

impl Failure {
    /// Whether it says nothing about the backend: this process or machine has run out of what connections need.
    pub fn is_own_fault(&self) -> bool {
        self.own_fault
    }

    fn new(step: Step, how: impl Into<String>) -> Self {
        Self { step, how: how.into(), own_fault: false }
    }

    fn from_io(step: Step, error: &io::Error) -> Self {
        Self { step, how: words(error), own_fault: socket::is_own_fault(error) }
    }

    /// The server has closed the connection, after so many bytes of an answer.
    fn closed(step: Step, received: usize) -> Self {
        let how = match received {
            0 => "the connection was closed without an answer".to_owned(),
            1 => "the connection was closed after 1 byte".to_owned(),
            more => format!("the connection was closed after {more} bytes"),
        };
        Self::new(step, how)
    }
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::Expect => "expect",
            Self::Request => "request",
            Self::Status => "status",
            Self::Handshake => "handshake",
            Self::Reply => "reply",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step.as_str(), self.how)
    }
}

impl std::error::Error for Failure {}

/// What went wrong with a connection, as a person would say it.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => "reset".to_owned(),
        io::ErrorKind::BrokenPipe => "the connection was closed".to_owned(),
        io::ErrorKind::TimedOut => "timed out".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no local port left".to_owned(),
        _ => error.to_string(),
    }
}
