//! `portti status`: what a running portti says of itself, for a person, a script or a health check.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

mod table;

/// How long it may take to connect, and to answer. Health checks give up after some seconds anyway.
const PATIENCE: Duration = Duration::from_secs(2);
/// The status of thousands of backends; a bound on what is read.
const ANSWER_MAX: u64 = 16 << 20;

/// What to ask, and how to tell.
#[derive(Debug, Args)]
pub struct Ask {
    /// The admin address of the portti to ask.
    #[arg(long, value_name = "ADDRESS", env = "PORTTI_ADMIN", default_value = "127.0.0.1:9900")]
    admin: String,
    /// Print nothing: the exit code is 0 when it is ready (/readyz), else 1.
    #[arg(long, short)]
    quiet: bool,
    /// Print /api/v1/status as it comes.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Ask only whether it lives (/healthz): for checks that end what fails them. A full house or a drain is no reason to.
    #[arg(long, conflicts_with = "json")]
    live: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nobody was reached, or the connection broke.
    Io(io::Error),
    /// Something else answered.
    Strange,
}

/// An answer of the admin server.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP.
    pub code: u16,
    /// What follows the head.
    pub body: String,
}

/// `GET path`, as the admin server is asked for it. The connection ends behind the answer.
pub fn request(admin: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")
}

/// Asks, and tells.
pub fn run(ask: &Ask) -> ExitCode {
    match ask.told() {
        Ok((good, words)) => {
            // Whoever could read it may have gone.
            let _gone = if ask.quiet { Ok(()) } else { io::stdout().write_all(words.as_bytes()) };
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(no_answer) => {
            if !ask.quiet {
                let _gone = writeln!(io::stderr(), "portti: no answer from {}: {no_answer}", ask.admin);
            }
            ExitCode::FAILURE
        }
    }
}

impl Ask {
    /// Whether all is well, and what to print.
    fn told(&self) -> Result<(bool, String), NoAnswer> {
        let verdict = get(&self.admin, if self.live { "/healthz" } else { "/readyz" })?;
        let good = verdict.code == 200;
        if self.quiet || self.live {
            return Ok((good, verdict.body));
        }
        let status = get(&self.admin, "/api/v1/status")?;
        if self.json {
            return Ok((good, format!("{}\n", status.body.trim_end())));
        }
        let status: Value = serde_json::from_str(&status.body).map_err(|_not_json| NoAnswer::Strange)?;
        Ok((good, table::of(&status, verdict.body.trim_end())))
    }
}

/// `GET path`.
fn get(admin: &str, path: &str) -> Result<Answer, NoAnswer> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for address in admin.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return exchange(stream, admin, path),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

fn exchange(mut stream: TcpStream, admin: &str, path: &str) -> Result<Answer, NoAnswer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request(admin, path).as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Answer::read(&answer).ok_or(NoAnswer::Strange)
}

impl Answer {
    /// All that has come on a connection; `None` if that is no answer.
    pub fn read(answer: &str) -> Option<Self> {
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let code = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
        Some(Self { code, body: body.to_owned() })
    }
}

/// A read that has waited long enough; systems have two names for it.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if is_silence(error) => write!(f, "nothing came within {} s", PATIENCE.as_secs()),
            Self::Io(error) => write!(f, "{error} (is `[admin] bind` another address, or \"off\"?)"),
            Self::Strange => write!(f, "what listens there is not portti's admin server"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_code_and_a_body() {
        let answer = |code, body: &str| Some(Answer { code, body: body.to_owned() });
        assert_eq!(Answer::read("HTTP/1.1 200 OK\r\na: b\r\n\r\nready\n"), answer(200, "ready\n"));
        assert_eq!(Answer::read("HTTP/1.1 503 Service Unavailable\r\n\r\n"), answer(503, ""));
        for strange in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n"] {
            assert_eq!(Answer::read(strange), None, "{strange:?}");
        }
    }
}
