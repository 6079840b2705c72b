//! Waits until an address serves: until then a proxy is still starting.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::idle;
use crate::channel::Channel;
use crate::net;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Which of the backend's ports is behind the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Port {
    Echo,
    Source,
    Sink,
}

/// How long one handshake may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tries until a byte has come from the backend, or, since a sink never answers, a connection is there.
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
    }
}
