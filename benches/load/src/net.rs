//! Sockets and epoll, as both ends use them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As long as Linux allows by default (`net.core.somaxconn`): the backend must never be what a burst waits for.
const BACKLOG: i32 = 4096;
/// Events taken from the kernel at a time.
const BATCH: usize = 512;

/// An epoll instance and the events it has reported last.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    /// A poller that watches nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(BATCH) })
    }

    /// Watches `socket`; its events carry `key`. It is forgotten when it is closed.
    pub(crate) fn add(&self, socket: impl AsFd, key: usize, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(key as u64), interest)?)
    }

    /// Changes what `socket` is watched for.
    pub(crate) fn modify(&self, socket: impl AsFd, key: usize, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(key as u64), interest)?)
    }

    /// Waits for events, at most for `limit`, and returns the keys and what happened to them.
    pub(crate) fn wait(&mut self, limit: Option<Duration>) -> io::Result<impl Iterator<Item = (usize, EventFlags)>> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| {
            let key = { event.data }.u64();
            (usize::try_from(key).unwrap_or(usize::MAX), event.flags)
        }))
    }
}

/// A listening socket whose connections inherit `TCP_NODELAY`.
pub(crate) fn listen(address: SocketAddrV4) -> io::Result<TcpListener> {
    let socket = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// The next connection that waits, or nothing.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(socket) => Ok(Some(socket.into())),
        // The client has gone already; the next may not have.
        Err(Errno::CONNABORTED) => accept(listener),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Begins a connection and does not wait for it: it is there once the socket is writable and has no error.
pub(crate) fn begin_connect(target: SocketAddrV4, number: u32) -> io::Result<TcpStream> {
    begin_connect_from(source(number), target)
}

/// The same, from this address.
pub(crate) fn begin_connect_from(source: Ipv4Addr, target: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(source, 0))?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// Makes a connection; reads and writes block until it is told otherwise.
pub(crate) fn connect(target: SocketAddrV4, number: u32) -> io::Result<TcpStream> {
    let socket = new_socket(SocketFlags::CLOEXEC)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(source(number), 0))?;
    rustix::net::connect(&socket, &target)?;
    Ok(socket.into())
}

/// The address that connection `number` comes from. All of 127.64.0.0/10 in turn, so that no address runs out of ports,
/// however many closed connections the kernel still remembers.
fn source(number: u32) -> Ipv4Addr {
    const FIRST: u32 = u32::from_be_bytes([127, 64, 0, 1]);
    const COUNT: u32 = (1 << 22) - 2;
    Ipv4Addr::from(FIRST + number % COUNT)
}

fn new_socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}

/// Reads what is there: `None` when nothing is, `Some(0)` at the end.
pub(crate) fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    none_if_it_would_block(stream.read(buffer))
}

/// Writes what fits: `None` when nothing does.
pub(crate) fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    none_if_it_would_block(stream.write(bytes))
}

fn none_if_it_would_block(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Allows this process as many descriptors as it may have.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_loopback_addresses_and_differ() {
        assert_eq!(source(0), Ipv4Addr::new(127, 64, 0, 1));
        assert_eq!(source(255), Ipv4Addr::new(127, 64, 1, 0));
        assert!([0, 1, 4_000_000, u32::MAX].iter().all(|&number| source(number).octets()[0] == 127));
    }
}
