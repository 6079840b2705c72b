//! A player: a TCP client that greets, and reads who answers.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use crate::net::socket;

/// The slowest game server takes 3 s, and a proxy under test may add to that.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers are a greeting and an address.
const ANSWER_MAX: u64 = 256;

/// Someone who is connected.
#[derive(Debug)]
pub(super) struct Player {
    name: String,
    stream: BufReader<TcpStream>,
}

/// What came back, and how soon.
#[derive(Debug)]
pub(super) struct Answer {
    /// The address that the game server gave as its own.
    pub(super) served_by: String,
    /// From the greeting to its answer.
    pub(super) took: Duration,
}

impl Player {
    /// Connects.
    pub(super) async fn join(name: String, address: SocketAddr) -> Result<Self, Failure> {
        let failed = |why: &dyn Display| Failure::new(format_args!("{name} cannot connect: {why}"));
        match timeout(PATIENCE, socket::connect(address)).await {
            Ok(Ok(stream)) => Ok(Self { name, stream: BufReader::new(stream) }),
            Ok(Err(error)) => Err(failed(&error)),
            Err(elapsed) => Err(failed(&elapsed)),
        }
    }

    /// The name in the story.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Greets, and waits for the answer.
    pub(super) async fn talk(&mut self) -> Result<Answer, Failure> {
        let greeting = format!("hello from {}\n", self.name);
        let began_at = Instant::now();
        let outcome = timeout(PATIENCE, self.exchange(&greeting)).await;
        let took = began_at.elapsed();
        let name = &self.name;
        match outcome {
            Ok(Ok(answer)) => match served_by(&answer, &greeting) {
                Some(address) => Ok(Answer { served_by: address.to_owned(), took }),
                None => Err(Failure::new(format_args!("{name} said {greeting:?} and was answered {answer:?}"))),
            },
            Ok(Err(error)) => Err(Failure::new(format_args!("{name} was not answered: {error}"))),
            Err(_) => Err(Failure::new(format_args!("{name} was not answered within {PATIENCE:?}"))),
        }
    }

    async fn exchange(&mut self, greeting: &str) -> io::Result<String> {
        self.stream.get_mut().write_all(greeting.as_bytes()).await?;
        let mut answer = String::new();
        (&mut self.stream).take(ANSWER_MAX).read_line(&mut answer).await?;
        if answer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        Ok(answer)
    }
}

/// The game server's name for itself, if the answer is one to this greeting.
fn served_by<'a>(answer: &'a str, greeting: &str) -> Option<&'a str> {
    answer.strip_suffix(greeting)?.strip_suffix(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_server_and_repeats_the_greeting() {
        assert_eq!(served_by("127.0.0.1:25571: hello\n", "hello\n"), Some("127.0.0.1:25571"));
        assert_eq!(served_by("127.0.0.1:25571: hell\n", "hello\n"), None);
        assert_eq!(served_by("hello\n", "hello\n"), None);
        assert_eq!(served_by("", "hello\n"), None);
    }
}
