//! The check that sends bytes and compares the answer with what the file expects.

use tokio::io::{AsyncRead, AsyncWrite};

use super::line::Line;
use super::{Failure, Finding, Step};
use crate::config::scalar::Expect;

/// Bytes of an answer that are looked at, at most: a server that has not said the right thing by then will not.
const ANSWER_MAX: usize = 16 * 1024;

/// Bytes of an answer that a failure shows.
const SHOWN_MAX: usize = 60;

/// Sends, and reads on until the answer is known to be good or bad.
pub(super) async fn run<S>(mut line: Line<S>, send: &[u8], expect: &Expect) -> Result<Finding, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    line.send(Step::Send, send).await?;
    loop {
        match line.hear(Step::Expect, ANSWER_MAX).await {
            Ok(true) => {}
            Ok(false) => return Err(ended(line.answer())),
            Err(failure) => return Err(having_got(failure, line.answer())),
        }
        match expect.matches(line.answer()) {
            Some(true) => return Ok(Finding::NOTHING),
            Some(false) => return Err(Failure::new(Step::Expect, format!("got {}", shown(line.answer())))),
            None => {}
        }
    }
}

/// There is no more to read, and what there was is not enough.
fn ended(answer: &[u8]) -> Failure {
    if answer.len() < ANSWER_MAX {
        return having_got(Failure::closed(Step::Expect, answer.len()), answer);
    }
    let how = format!("not within the first {ANSWER_MAX} bytes");
    having_got(Failure::new(Step::Expect, how), answer)
}

/// The failure, and what the server had said by then.
fn having_got(failure: Failure, answer: &[u8]) -> Failure {
    if answer.is_empty() {
        return failure;
    }
    Failure { how: format!("{}, got {}", failure.how, shown(answer)), ..failure }
}

/// The beginning of an answer, in quotes and without anything that could disturb a terminal or a log.
fn shown(answer: &[u8]) -> String {
    let beginning = &answer[..answer.len().min(SHOWN_MAX)];
    let more = if answer.len() > SHOWN_MAX { "..." } else { "" };
    format!("\"{}\"{more}", beginning.escape_ascii())
}

#[cfg(test)]
mod tests;
