//! The backend: echoes on one port, sends without end on another, reads and drops on a third; answers requests on a fourth, and
//! echoes what comes by WebSocket on a fifth.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use clap::Args;
use rustix::event::epoll::EventFlags;
use serde_json::json;

use crate::net::{self, Poller};
use crate::{http, web_socket};

/// Bytes read or sent at a time: enough that bulk transfers are not about this program.
const CHUNK: usize = 256 * 1024;

/// How the backend is to run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Echo on this many addresses (127.1.0.1, 127.1.0.2, ... with one port), as so many backends would.
    #[arg(long, default_value_t = 1)]
    addresses: u32,
}

/// What a port does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Echo,
    Source,
    Sink,
    /// Has an answer to each request.
    Http,
    /// Waits for the request that asks for a WebSocket; then there are messages.
    WebSocket,
    Messages,
}

/// A connection, what has come of a request or message that is not whole, and what it has yet to send back.
struct Connection {
    stream: TcpStream,
    kind: Kind,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

enum Socket {
    Listener(TcpListener, Kind),
    Connection(Connection),
    /// Standard input: its end is the end of whoever started this program.
    Leash,
}

/// Serves until standard input ends.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    net::raise_descriptor_limit()?;
    let mut backend = Backend { poller: Poller::new()?, sockets: HashMap::new(), buffer: vec![0; CHUNK] };
    let echo = backend.listen(address(0, 0), Kind::Echo)?;
    for index in 1..options.addresses {
        backend.listen(address(index, echo.port()), Kind::Echo)?;
    }
    let source = backend.listen(address(0, 0), Kind::Source)?;
    let sink = backend.listen(address(0, 0), Kind::Sink)?;
    let http = backend.listen(address(0, 0), Kind::Http)?;
    let web_socket = backend.listen(address(0, 0), Kind::WebSocket)?;
    backend.watch_leash();
    let ports = json!({
        "echo": echo.to_string(), "source": source.to_string(), "sink": sink.to_string(), "http": http.to_string(),
        "web-socket": web_socket.to_string(), "addresses": options.addresses,
    });
    writeln!(io::stdout(), "{ports}")?;
    backend.serve()
}

/// The address of echo server `index`: 250 to each third octet, none of which ends in 0 or 255.
fn address(index: u32, port: u16) -> SocketAddrV4 {
    let low = u8::try_from(index % 250).unwrap_or_default() + 1;
    let high = u8::try_from(index / 250).unwrap_or(u8::MAX);
    SocketAddrV4::new(Ipv4Addr::new(127, 1, high, low), port)
}

struct Backend {
    poller: Poller,
    sockets: HashMap<RawFd, Socket>,
    buffer: Vec<u8>,
}

impl Backend {
    fn listen(&mut self, address: SocketAddrV4, kind: Kind) -> io::Result<SocketAddrV4> {
        let listener = net::listen(address)?;
        let fd = listener.as_raw_fd();
        self.poller.add(&listener, key(fd), EventFlags::IN)?;
        let bound = listener.local_addr()?;
        self.sockets.insert(fd, Socket::Listener(listener, kind));
        Ok(SocketAddrV4::new(*address.ip(), bound.port()))
    }

    fn watch_leash(&mut self) {
        let stdin = io::stdin();
        // A file or /dev/null cannot be watched, and has no end to wait for.
        if self.poller.add(&stdin, key(stdin.as_raw_fd()), EventFlags::IN).is_ok() {
            self.sockets.insert(stdin.as_raw_fd(), Socket::Leash);
        }
    }

    fn serve(mut self) -> io::Result<()> {
        loop {
            let ready: Vec<usize> = self.poller.wait(None)?.map(|(key, _)| key).collect();
            for key in ready {
                let fd = RawFd::try_from(key).unwrap_or(-1);
                match self.sockets.get_mut(&fd) {
                    Some(Socket::Listener(..)) => self.accept_all(fd)?,
                    Some(Socket::Connection(_)) => self.serve_connection(fd),
                    Some(Socket::Leash) => return Ok(()),
                    // Closed earlier in this batch of events.
                    None => {}
                }
            }
        }
    }

    fn serve_connection(&mut self, fd: RawFd) {
        let Some(Socket::Connection(connection)) = self.sockets.get_mut(&fd) else { return };
        // A connection that fails is one that a client has ended in its way.
        if !connection.serve(&self.poller, &mut self.buffer).unwrap_or(false) {
            self.sockets.remove(&fd);
        }
    }

    fn accept_all(&mut self, fd: RawFd) -> io::Result<()> {
        while let Some(Socket::Listener(listener, kind)) = self.sockets.get(&fd) {
            let Some(stream) = net::accept(listener)? else { break };
            let kind = *kind;
            let interest = if kind == Kind::Source { EventFlags::OUT | EventFlags::RDHUP } else { EventFlags::IN };
            self.poller.add(&stream, key(stream.as_raw_fd()), interest)?;
            let connection = Connection { stream, kind, unread: Vec::new(), unsent: Vec::new() };
            self.sockets.insert(connection.stream.as_raw_fd(), Socket::Connection(connection));
        }
        Ok(())
    }
}

impl Connection {
    /// Does what can be done now. False when the client has ended.
    fn serve(&mut self, poller: &Poller, buffer: &mut [u8]) -> io::Result<bool> {
        match self.kind {
            Kind::Echo | Kind::Http | Kind::WebSocket | Kind::Messages if !self.unsent.is_empty() => {
                self.send_rest(poller)
            }
            Kind::Echo => self.echo(poller, buffer),
            Kind::Http | Kind::WebSocket | Kind::Messages => self.converse(poller, buffer),
            Kind::Sink => Ok(net::read(&self.stream, buffer)? != Some(0)),
            Kind::Source => {
                net::write(&self.stream, buffer)?;
                // The client says nothing: whatever there is to read is its end.
                Ok(net::read(&self.stream, &mut [0])?.is_none())
            }
        }
    }

    fn echo(&mut self, poller: &Poller, buffer: &mut [u8]) -> io::Result<bool> {
        let count = match net::read(&self.stream, buffer)? {
            None => return Ok(true),
            Some(0) => return Ok(false),
            Some(count) => count,
        };
        let sent = net::write(&self.stream, &buffer[..count])?.unwrap_or(0);
        if sent < count {
            // Reads no more until the rest has gone, so that a slow reader cannot fill the memory.
            self.unsent.extend_from_slice(&buffer[sent..count]);
            poller.modify(&self.stream, key(self.stream.as_raw_fd()), EventFlags::OUT)?;
        }
        Ok(true)
    }

    fn converse(&mut self, poller: &Poller, buffer: &mut [u8]) -> io::Result<bool> {
        match net::read(&self.stream, buffer)? {
            None => return Ok(true),
            Some(0) => return Ok(false),
            Some(count) => self.unread.extend_from_slice(&buffer[..count]),
        }
        let mut done = 0;
        while let Some(length) = self.answer(done)? {
            done += length;
        }
        self.unread.drain(..done);
        let sent = net::write(&self.stream, &self.unsent)?.unwrap_or(0);
        self.unsent.drain(..sent);
        if !self.unsent.is_empty() {
            poller.modify(&self.stream, key(self.stream.as_raw_fd()), EventFlags::OUT)?;
        }
        Ok(true)
    }

    /// Answers the request or message that begins at `at`. Returns how long it was; `None` if it is not whole.
    fn answer(&mut self, at: usize) -> io::Result<Option<usize>> {
        let input = &self.unread[at..];
        if self.kind == Kind::Messages {
            return web_socket::echo(input, &mut self.unsent);
        }
        let Some(length) = http::head_length(input) else { return Ok(None) };
        if self.kind == Kind::WebSocket {
            web_socket::welcome(&input[..length], &mut self.unsent)?;
            self.kind = Kind::Messages;
        } else {
            self.unsent.extend_from_slice(http::ANSWER);
        }
        Ok(Some(length))
    }

    fn send_rest(&mut self, poller: &Poller) -> io::Result<bool> {
        let sent = net::write(&self.stream, &self.unsent)?.unwrap_or(0);
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            poller.modify(&self.stream, key(self.stream.as_raw_fd()), EventFlags::IN)?;
        }
        Ok(true)
    }
}

fn key(fd: RawFd) -> usize {
    usize::try_from(fd).unwrap_or(usize::MAX)
}
