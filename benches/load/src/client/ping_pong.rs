//! Closed loop: each connection has one message under way at any time. Latency is that of a round trip.

use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use super::{TURN, connect_all};
use crate::channel::Channel;
use crate::net::Poller;
use crate::record::{Plan, Recorder};

struct Connection {
    channel: Channel,
    sent_at: Instant,
    /// Bytes of the reply that have not come yet.
    missing: usize,
}

/// Plays ping-pong with messages of `size` bytes.
pub(super) fn run(
    (target, tls): (SocketAddrV4, bool),
    plan: &Plan,
    connections: usize,
    size: usize,
) -> io::Result<Recorder> {
    let mut poller = Poller::new()?;
    let message = vec![b'p'; size];
    let mut buffer = vec![0; size];
    let mut players = Vec::new();
    for (key, stream) in connect_all(target, connections)?.into_iter().enumerate() {
        poller.add(&stream, key, EventFlags::IN)?;
        players.push(Connection { channel: Channel::new(stream, tls)?, sent_at: Instant::now(), missing: 0 });
    }
    for player in &mut players {
        // A handshake is a few milliseconds; it is not what is measured here.
        while !player.channel.shake_hands()? {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    let mut recorder = Recorder::start(plan)?;
    for player in &mut players {
        player.send(&message)?;
    }
    while recorder.goes_on()? {
        for (key, _) in poller.wait(Some(TURN))? {
            players[key].receive(&message, &mut buffer, &mut recorder)?;
        }
    }
    Ok(recorder)
}

impl Connection {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        // Nothing else is under way, so the message fits in the send buffer whole.
        match self.channel.write(message)? {
            Some(count) if count == message.len() => {}
            _ => return Err(io::Error::other("a message did not fit in an empty send buffer")),
        }
        self.missing = message.len();
        Ok(())
    }

    /// Reads; when the reply is whole, counts it and sends the next message. A session that breaks ends the run: a closed
    /// loop with fewer connections is another workload.
    fn receive(&mut self, message: &[u8], buffer: &mut [u8], recorder: &mut Recorder) -> io::Result<()> {
        match self.channel.read(&mut buffer[..self.missing])? {
            None => return Ok(()),
            Some(0) => return Err(io::Error::other("a session was closed")),
            Some(count) => self.missing -= count,
        }
        if self.missing == 0 {
            let now = Instant::now();
            recorder.op(self.sent_at, now, now, message.len());
            self.sent_at = now;
            self.send(message)?;
        }
        Ok(())
    }
}
