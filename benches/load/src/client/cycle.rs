//! The life of a short connection: connect, one round trip, and, where asked for, an orderly close.

use std::io;
use std::net::SocketAddrV4;
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use crate::channel::Channel;
use crate::net::{self, Poller};

/// A connection on its way through its life.
pub(super) struct Cycle {
    channel: Channel,
    /// When its connect began.
    pub(super) began_at: Instant,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// In the middle of the TLS handshake.
    Greeting,
    /// Waits for so many bytes of the reply.
    Waiting(usize),
    /// Has had its reply.
    Answered,
    /// Has told the peer that it is done, and waits for the peer to be.
    Closing,
}

/// What an event has brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not done yet.
    Pending,
    /// The round trip is done.
    Answered,
    /// Both sides have closed, in order.
    Closed,
}

impl Cycle {
    /// Begins connection `number`; its events carry `key`. Edge-triggered, so that it is registered only once.
    pub(super) fn begin(
        (target, tls): (SocketAddrV4, bool),
        number: u32,
        poller: &Poller,
        key: usize,
    ) -> io::Result<Self> {
        let began_at = Instant::now();
        let stream = net::begin_connect(target, number)?;
        poller.add(&stream, key, EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET)?;
        Ok(Self { channel: Channel::new(stream, tls)?, began_at, stage: Stage::Connecting })
    }

    /// Goes as far as it can.
    ///
    /// # Errors
    /// The connection was refused, or ended before its time.
    pub(super) fn advance(&mut self, happened: EventFlags, message: &[u8]) -> io::Result<Progress> {
        if self.stage == Stage::Connecting && happened.intersects(EventFlags::OUT | EventFlags::ERR) {
            if let Some(error) = self.channel.stream().take_error()? {
                return Err(error);
            }
            self.stage = Stage::Greeting;
        }
        if self.stage == Stage::Greeting && self.channel.shake_hands()? {
            self.send(message)?;
        }
        if !happened.contains(EventFlags::IN) || self.stage == Stage::Greeting {
            return Ok(Progress::Pending);
        }
        loop {
            let mut buffer = [0; 4096];
            match (self.channel.read(&mut buffer)?, self.stage) {
                (None, _) => return Ok(Progress::Pending),
                (Some(0), Stage::Closing) => return Ok(Progress::Closed),
                (Some(count), Stage::Waiting(missing)) if count > 0 && count <= missing => {
                    if count == missing {
                        self.stage = Stage::Answered;
                        return Ok(Progress::Answered);
                    }
                    self.stage = Stage::Waiting(missing - count);
                }
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Says that it sends no more. The close is in order once the peer has said so too.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.stage = Stage::Closing;
        self.channel.end()
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        // Next to nothing was sent before, so the message fits in the send buffer whole.
        self.channel.write(message)?;
        self.stage = Stage::Waiting(message.len());
        Ok(())
    }
}
