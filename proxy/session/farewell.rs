//! The last words to a client that may not stay, and a close in order behind them, so that they arrive.
//!
//! A connection that is closed while bytes of its client wait unread is reset, and a reset overtakes what was said before.
//! So this side closes first, and then waits for the client to go, for a moment.

use std::net;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::edge::Terminator;
use super::{CloseReason, Local};
use crate::admission::Refusal;
use crate::config::model::{Language, Messages, Occasion};

mod minecraft;

/// How long a client may take to say what it wants to hear: a handshake takes two packets.
const HEAR: Duration = Duration::from_secs(5);

/// How long a client may take to go once it has been told: a lost packet and a slow line are made up for.
const LINGER: Duration = Duration::from_secs(1);

/// What a client may still send meanwhile. More than that is no farewell.
const LINGER_BYTES: u64 = 256 * 1024;

/// What is to be said, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Farewell {
    language: Language,
    /// May be empty: then this is only a close in order.
    text: String,
}

impl Farewell {
    /// What a listener says on this occasion, if anything.
    pub(super) fn on(occasion: Occasion, messages: Option<&Messages>) -> Option<Self> {
        let messages = messages?;
        let text = messages.on(occasion)?.filled(messages.retry_after, Duration::ZERO);
        Some(Self { language: messages.language, text })
    }

    /// A close in order of a client that has been told already, where clients are told.
    pub(super) fn silent(messages: Option<&Messages>) -> Option<Self> {
        let language = messages.filter(|messages| messages.on(Occasion::Drain).is_some())?.language;
        (language == Language::Text).then(Self::wordless)
    }

    /// Nothing but a close in order.
    pub(super) fn wordless() -> Self {
        Self { language: Language::Text, text: String::new() }
    }

    /// The alert of TLS (RFC 6066, section 3) for a client that asks for a host which is not here. Its few bytes are text, too.
    pub(super) fn unrecognized_name() -> Self {
        Self { language: Language::Text, text: "\x15\x03\x03\x00\x02\x02\x70".to_owned() }
    }

    /// Says it, and closes. However the client takes it, this is over within seconds.
    pub(super) async fn say<S: AsyncRead + AsyncWrite + Unpin>(self, mut stream: S) {
        match self.language {
            Language::Text => speak(&mut stream, self.text.as_bytes()).await,
            Language::Minecraft => {
                if let Ok(Ok(())) = timeout(HEAR, minecraft::answer(&mut stream, &self.text)).await {
                    let _took_too_long = timeout(LINGER, close(stream)).await;
                }
            }
        }
    }
}

/// Says something, and closes. However the client takes it, this is over within seconds.
pub(super) async fn speak<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, words: &[u8]) {
    if let Ok(Ok(())) = timeout(HEAR, stream.write_all(words)).await {
        let _took_too_long = timeout(LINGER, close(stream)).await;
    }
}

/// Says on a task of its own what there is to say, unless too many are being spoken to, or it `may` not. What the listener encrypts is encrypted.
pub(super) fn begin(
    downstream: net::TcpStream,
    (occasion, may): (Occasion, impl FnOnce() -> bool),
    (messages, tls): (Option<&Messages>, Option<Arc<Terminator>>),
    local: &Rc<Local>,
) {
    // Asked in the order of cost: a flood gets no further than the second.
    if messages.is_some_and(|messages| messages.on(occasion).is_some())
        && let Some(counted) = local.farewell()
        && may()
        && let Some(farewell) = Farewell::on(occasion, messages)
        // What cannot be watched cannot be told anything either.
        && let Ok(downstream) = TcpStream::from_std(downstream)
    {
        let local = Rc::clone(local);
        spawn_local(async move {
            match tls {
                None => farewell.say(downstream).await,
                Some(tls) => {
                    let accepted = async {
                        tls.hear(&downstream).await?;
                        tls.accept(downstream, local.handshakes()).await
                    };
                    if let Ok(Ok(stream)) = timeout(HEAR, accepted).await {
                        farewell.say(stream).await;
                    }
                }
            }
            drop(counted);
        });
    }
}

/// Closes this side, and waits for the other.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.shutdown().await.is_ok() {
        // Whatever it still sends is for nobody.
        let _gone = tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await;
    }
}

/// What there is to say about the end of a session, if anything.
pub(super) fn occasion(reason: CloseReason) -> Option<Occasion> {
    match reason {
        CloseReason::QueueFull => Some(Occasion::QueueFull),
        CloseReason::QueueTimeout => Some(Occasion::QueueTimeout),
        CloseReason::NoBackend => Some(Occasion::NoBackend),
        CloseReason::ConnectFailed | CloseReason::NoSourcePort => Some(Occasion::ConnectFailed),
        CloseReason::Drained => Some(Occasion::Drain),
        _ => None,
    }
}

impl From<Refusal> for Occasion {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied => Self::Denied,
            Refusal::Maintenance => Self::Maintenance,
            Refusal::RateLimited => Self::RateLimited,
            Refusal::PerIpLimit => Self::PerIpLimit,
            Refusal::Shed => Self::Shed,
            Refusal::AtCapacity => Self::AtCapacity,
            Refusal::QueueFull => Self::QueueFull,
        }
    }
}

#[cfg(test)]
mod tests;
