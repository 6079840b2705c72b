//! Sockets as this proxy makes them: listening ones that workers share an address with, and connections to backends.

use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpStream, lookup_host};

use super::liveness;

/// Connections that the kernel keeps ready for one worker to accept. As long as Linux allows by default
/// (`net.core.somaxconn`), so that a full house that comes back at once finds room.
pub const BACKLOG: i32 = 4096;

/// Whether other processes may listen on an address too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Another listener on the address, in whatever process, is an error.
    Alone,
    /// Another listener that allows it too gets a part of the connections.
    Shared,
}

/// Makes `count` listening sockets on one address; the kernel spreads connections over them. With port 0 the kernel
/// chooses one port for all.
///
/// # Errors
/// The address is in use, or not this machine's, or the process may not have it (ports below 1024).
pub fn listen(address: SocketAddr, count: usize, sharing: Sharing) -> io::Result<Vec<net::TcpListener>> {
    let first = bound(address, sharing)?;
    // Bound alone, the first has proved that nobody else is there; from now on its siblings may join it.
    first.set_reuse_port(true)?;
    let address = first.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
    let mut sockets = vec![first];
    while sockets.len() < count {
        sockets.push(bound(address, Sharing::Shared)?);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(sockets.into_iter().map(Into::into).collect())
}

/// A bound socket with every option that the connections accepted from it are to inherit.
fn bound(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Sessions of an earlier process that are still closing must not keep the address.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Shared)?;
    if address.is_ipv6() {
        // `[::]` is IPv6 alone, so that a client's address has one form in logs, limits and bans.
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    liveness::set(&SockRef::from(&socket), liveness::OF_LISTENERS)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Makes a listening socket that was bound by somebody else ready to accept on, and returns a descriptor of it. Options are the
/// socket's own, so they hold for whoever else has it.
///
/// # Errors
/// It cannot be used as those are that are bound here.
pub fn adopt(socket: &net::TcpListener) -> io::Result<net::TcpListener> {
    let options = SockRef::from(socket);
    if socket.local_addr()?.is_ipv6() && !options.only_v6()? {
        let error = "it takes IPv4, too; bind it for IPv6 alone (BindIPv6Only=ipv6-only)";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    options.set_nonblocking(true)?;
    options.set_tcp_nodelay(true)?;
    liveness::set(&options, liveness::OF_LISTENERS)?;
    // It may have been told to refuse, and its queue may be short.
    options.listen(BACKLOG)?;
    socket.try_clone()
}

/// Has a listening socket refuse clients, whoever else has it open, until it is adopted again.
///
/// # Errors
/// What shutdown(2) says.
pub fn silence(socket: &net::TcpListener) -> io::Result<()> {
    match SockRef::from(socket).shutdown(net::Shutdown::Both) {
        // It does so already.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        outcome => outcome,
    }
}

/// Takes a connection that waits at a listening socket, ready for a runtime to take over.
///
/// # Errors
/// `WouldBlock` if none waits, or what accept(2) says.
pub fn accept(listener: &impl AsFd) -> io::Result<(net::TcpStream, SocketAddr)> {
    let (connection, peer) = acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    // A connection that was gone before it was accepted has no peer any more.
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((connection.into(), peer))
}

/// Opens a connection. The caller bounds the time.
///
/// # Errors
/// The server refused, or could not be reached, or this process has no descriptor or port left (see [`is_own_fault`]). A connection of
/// a socket to itself counts as refused: nobody listens there.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _under_way => {}
    }
    // Within a machine the handshake is over by now. Asking costs less than waiting for the runtime to say so.
    let stands = socket.peer_addr().is_ok();
    let stream = TcpStream::from_std(socket.into())?;
    if !stands {
        stream.writable().await?;
        stream.take_error()?.map_or(Ok(()), Err)?;
    }
    refuse_self_connect(stream, address.port())
}

/// The same for a host, by name or address, and a port: each of its addresses is tried.
///
/// # Errors
/// The name has no address, or those of the last address that was tried.
pub async fn connect_to(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host(authority).await? {
        match connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Where nobody listens on a port of this machine, the kernel may choose that very port to connect from; TCP then connects the socket to
/// itself, and whatever it says comes back as an answer. Closed in order, it would keep the port for a minute from the server that
/// belongs there.
fn refuse_self_connect(stream: TcpStream, port: u16) -> io::Result<TcpStream> {
    match stream.local_addr() {
        Ok(local) if local.port() == port && stream.peer_addr().is_ok_and(|peer| peer == local) => {
            stream.set_zero_linger()?;
            Err(io::ErrorKind::ConnectionRefused.into())
        }
        _other => Ok(stream),
    }
}

/// Sends a few bytes on a connection that has not sent any: they always fit.
///
/// # Errors
/// The connection is gone.
pub fn send_first(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    // Asked of the kernel itself: the runtime may not have heard yet that the connection can be written to.
    let sent = SockRef::from(stream).send(bytes)?;
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Whether the peer has closed its side, found out without reading what it may have sent before.
pub fn has_left(stream: &impl AsFd) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::RDHUP)];
    match rustix::event::poll(&mut asked, Some(&Timespec::default())) {
        Ok(found) => found > 0,
        // Out of memory, or interrupted: it will be asked again.
        Err(_unknown) => false,
    }
}

/// Whether the connection has broken. Takes the error away.
pub fn is_broken(stream: &impl AsFd) -> bool {
    // SO_ERROR tells of a reset even while unread bytes wait in front of it.
    !matches!(SockRef::from(stream).take_error(), Ok(None))
}

/// Resolves when the connection breaks, whatever its peer has sent or closed before.
pub async fn broken(stream: &TcpStream) {
    let is_broken = || if is_broken(stream) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) };
    // It fails only where the runtime ends.
    let _ended = stream.async_io(Interest::ERROR, is_broken).await;
}

/// Whether a socket is one that listens. Not any more, where whoever else has it open has shut it down.
pub fn is_listening(socket: &impl AsFd) -> bool {
    SockRef::from(socket).is_listener().unwrap_or(false)
}

/// Whether this process or machine has run out of something that connections need: descriptors or memory.
pub fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Whether a failed connect says nothing about the backend: exhaustion, or no free port to connect from.
pub fn is_own_fault(error: &io::Error) -> bool {
    is_exhaustion(error) || lacks_port(error)
}

/// Whether a connect failed because no port is free to connect to that address from.
pub fn lacks_port(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EADDRNOTAVAIL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Socket as _;

    const ANY: SocketAddr = SocketAddr::new(net::IpAddr::V4(net::Ipv4Addr::LOCALHOST), 0);

    fn port(sockets: &[net::TcpListener]) -> SocketAddr {
        sockets[0].local_addr().unwrap()
    }

    #[test]
    fn siblings_share_the_port_that_the_kernel_chose() {
        let sockets = listen(ANY, 3, Sharing::Alone).unwrap();
        assert_eq!(sockets.len(), 3);
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == port(&sockets)));
    }

    #[test]
    fn a_second_listener_on_the_address_is_an_error_unless_it_is_shared() {
        let first = listen(ANY, 2, Sharing::Alone).unwrap();
        let second = listen(port(&first), 2, Sharing::Alone);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let third = listen(port(&first), 2, Sharing::Shared);
        assert_eq!(third.unwrap().len(), 2);
    }

    #[test]
    fn a_socket_of_another_is_adopted_and_refuses_until_it_is_adopted_again() {
        // A port that the kernel chose would be given up with the first refusal.
        let address = port(&listen(ANY, 1, Sharing::Alone).unwrap());
        let theirs = net::TcpListener::bind(address).unwrap();
        for _ in 0..2 {
            let ours = adopt(&theirs).unwrap();
            let _client = net::TcpStream::connect(address).unwrap();
            let accepted = accept(&ours).unwrap().0;
            assert!(accepted.nodelay().unwrap() && SockRef::from(&accepted).keepalive().unwrap());
            drop(ours);
            let waits = net::TcpStream::connect(address);
            assert!(waits.is_ok(), "it is kept open by its owner");
            silence(&theirs).unwrap();
            silence(&theirs).unwrap();
            assert_eq!(net::TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn accepted_connections_inherit_nodelay_and_when_their_peers_count_as_gone() {
        let listener = listen(ANY, 1, Sharing::Alone).unwrap().remove(0);
        listener.set_nonblocking(false).unwrap();
        let _client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        let socket = SockRef::from(&accepted);
        assert!(socket.keepalive().unwrap());
        assert_eq!(Some(socket.tcp_keepalive_time().unwrap()), liveness::OF_LISTENERS.keepalive);
        assert_eq!(socket.tcp_user_timeout().unwrap(), liveness::OF_LISTENERS.user_timeout);
    }

    #[tokio::test]
    async fn connections_to_backends_have_nodelay_and_when_they_last_keepalive() {
        let listener = listen(ANY, 1, Sharing::Alone).unwrap().remove(0);
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(stream.nodelay().unwrap() && !SockRef::from(&stream).keepalive().unwrap());
        stream.settle(liveness::OF_LISTENERS);
        assert!(SockRef::from(&stream).keepalive().unwrap());
    }

    #[tokio::test]
    async fn a_connection_to_itself_is_none_and_leaves_the_port_to_its_server() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&ANY.into()).unwrap();
        let address = socket.local_addr().unwrap();
        let port = address.as_socket().unwrap().port();
        socket.connect(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let echo = TcpStream::from_std(socket.into()).unwrap();
        assert_eq!(refuse_self_connect(echo, port).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        // Without SO_REUSEADDR, which many a game server does not set.
        let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        server.bind(&address).unwrap();
        server.listen(1).unwrap();
        let stream = connect(address.as_socket().unwrap()).await;
        assert!(stream.is_ok(), "with a server there, it is a connection");
    }

    #[tokio::test]
    async fn each_address_of_a_name_is_tried() {
        let listener = listen(ANY, 1, Sharing::Alone).unwrap().remove(0);
        let port = listener.local_addr().unwrap().port();
        let stream = connect_to(&format!("localhost:{port}")).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        drop((stream, listener));
        assert_eq!(
            connect_to(&format!("127.0.0.1:{port}")).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }

    #[test]
    fn exhaustion_is_our_own_fault_and_a_refusal_is_not() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(is_own_fault(&io::Error::from_raw_os_error(code)));
        }
        assert!(is_own_fault(&io::Error::from_raw_os_error(libc::EADDRNOTAVAIL)));
        assert!(!is_exhaustion(&io::Error::from_raw_os_error(libc::EADDRNOTAVAIL)));
        assert!(!is_own_fault(&io::Error::from_raw_os_error(libc::ECONNREFUSED)));
    }
}
