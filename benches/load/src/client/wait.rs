//! Waits until an address serves: until then a proxy is still starting.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::idle;
use crate::channel::Channel;
use crate::{http, net, web_socket};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Which of the backend's ports is behind the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Port {
    Echo,
    Source,
    Sink,
    Http,
    WebSocket,
}

/// How long one handshake may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tries until something has come from the backend, or, since a sink never answers, a connection is there.
pub(super) fn run(target: (SocketAddrV4, bool), port: Port, patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    loop {
        match probe(target, port) {
            Ok(_stream) => return writeln!(io::stdout(), "{{}}"),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_not_yet) => thread::sleep(PAUSE),
        }
    }
}

fn probe((target, tls): (SocketAddrV4, bool), port: Port) -> io::Result<TcpStream> {
    if tls {
        // That it answers at all: whether the backend does shows at once.
        let stream = net::connect(target, 0)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut channel = Channel::new(stream.try_clone()?, true)?;
        return if channel.shake_hands()? { Ok(stream) } else { Err(io::ErrorKind::TimedOut.into()) };
    }
    match port {
        Port::Echo => idle::round_trip(target, 0, b"?"),
        Port::Source => {
            let mut stream = net::connect(target, 0)?;
            stream.read_exact(&mut [0])?;
            Ok(stream)
        }
        Port::Sink => net::connect(target, 0),
        Port::Http => request(target),
        Port::WebSocket => exchange(target),
    }
}

/// Sees the backend's own answer to a request.
fn request(target: SocketAddrV4) -> io::Result<TcpStream> {
    let mut stream = net::connect(target, 0)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let body = http::head_length(http::ANSWER).unwrap_or_default();
    if answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(&http::ANSWER[body..]) {
        return Ok(stream);
    }
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    Err(io::Error::other(format!("not the backend's answer: {line}")))
}

/// Sees a message come back by WebSocket.
fn exchange(target: SocketAddrV4) -> io::Result<TcpStream> {
    let mut stream = net::connect(target, 0)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    web_socket::open(&mut stream, target)?;
    stream.write_all(&web_socket::from_client(b"?"))?;
    let expected = web_socket::from_server(b"?");
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply)?;
    if reply == expected { Ok(stream) } else { Err(io::ErrorKind::InvalidData.into()) }
}
