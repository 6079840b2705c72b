//! Closed loop: each connection has one message under way at any time. Latency is that of a round trip.

use std::io;
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use super::{TURN, connect_all};
use crate::channel::Channel;
use crate::net::Poller;
use crate::record::{Plan, Recorder};
use crate::web_socket;

/// What goes to and fro.
struct Exchange {
    message: Vec<u8>,
    /// How long the reply is.
    reply: usize,
}

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
    // A handshake is a few milliseconds; it is not what is measured here.
    let open = |stream| {
        let mut channel = Channel::new(stream, tls)?;
        while !channel.shake_hands()? {
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(channel)
    };
    let channels = connect_all(target, connections)?.into_iter().map(open).collect::<io::Result<_>>()?;
    play(channels, plan, &Exchange { message: vec![b'p'; size], reply: size })
}

/// The same by WebSocket: `size` bytes are the payload.
pub(super) fn run_by_web_socket(
    target: SocketAddrV4,
    plan: &Plan,
    connections: usize,
    size: usize,
) -> io::Result<Recorder> {
    let open = |mut stream: TcpStream| {
        stream.set_nonblocking(false)?;
        web_socket::open(&mut stream, target)?;
        stream.set_nonblocking(true)?;
        Channel::new(stream, false)
    };
    let channels = connect_all(target, connections)?.into_iter().map(open).collect::<io::Result<_>>()?;
    let payload = vec![b'p'; size];
    let reply = web_socket::from_server(&payload).len();
    play(channels, plan, &Exchange { message: web_socket::from_client(&payload), reply })
}

fn play(channels: Vec<Channel>, plan: &Plan, exchange: &Exchange) -> io::Result<Recorder> {
    let mut poller = Poller::new()?;
    let mut buffer = vec![0; exchange.reply];
    let mut players = Vec::new();
    for (key, channel) in channels.into_iter().enumerate() {
        poller.add(channel.stream(), key, EventFlags::IN)?;
        players.push(Connection { channel, sent_at: Instant::now(), missing: 0 });
    }
    let mut recorder = Recorder::start(plan)?;
    for player in &mut players {
        player.send(exchange)?;
    }
    while recorder.goes_on()? {
        for (key, _) in poller.wait(Some(TURN))? {
            players[key].receive(exchange, &mut buffer, &mut recorder)?;
        }
    }
    Ok(recorder)
}

impl Connection {
    fn send(&mut self, exchange: &Exchange) -> io::Result<()> {
        // Nothing else is under way, so the message fits in the send buffer whole.
        match self.channel.write(&exchange.message)? {
            Some(count) if count == exchange.message.len() => {}
            _ => return Err(io::Error::other("a message did not fit in an empty send buffer")),
        }
        self.missing = exchange.reply;
        Ok(())
    }

    /// Reads; when the reply is whole, counts it and sends the next message. A session that breaks ends the run: a closed
    /// loop with fewer connections is another workload.
    fn receive(&mut self, exchange: &Exchange, buffer: &mut [u8], recorder: &mut Recorder) -> io::Result<()> {
        match self.channel.read(&mut buffer[..self.missing])? {
            None => return Ok(()),
            Some(0) => return Err(io::Error::other("a session was closed")),
            Some(count) => self.missing -= count,
        }
        if self.missing == 0 {
            let now = Instant::now();
            recorder.op(self.sent_at, now, now, exchange.reply);
            self.sent_at = now;
            self.send(exchange)?;
        }
        Ok(())
    }
}
