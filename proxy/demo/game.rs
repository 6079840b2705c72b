//! A small game server: answers each message with its own address, a colon, and the message.

use std::io;
use std::net::{self, SocketAddr};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::time::sleep;

/// Players that the kernel keeps waiting.
const BACKLOG: i32 = 1024;
/// The longest message that is answered in one piece.
const MESSAGE_MAX: usize = 4096;
/// The wait after an accept that failed: for want of a descriptor, most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// A server that has its address and is down: whoever connects is refused.
#[derive(Debug)]
pub(super) struct GameServer {
    pub(super) address: SocketAddr,
    /// Bound and not listening, so that nobody else can take the port while the server is down.
    socket: Socket,
    answers_after: Duration,
}

impl GameServer {
    /// Takes the address; with port 0, the kernel chooses the port.
    pub(super) fn new(address: SocketAddr, answers_after: Duration) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Without SO_REUSEADDR, by which two servers that are down could have the same address.
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self { address, socket, answers_after })
    }

    /// Brings it up, on a thread of its own, for as long as the process lives.
    pub(super) fn start(self) -> io::Result<()> {
        let Self { address, socket, answers_after } = self;
        socket.listen(BACKLOG)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _runtime = runtime.enter();
            TcpListener::from_std(net::TcpListener::from(socket))?
        };
        let run = move || runtime.block_on(serve(listener, address, answers_after));
        thread::Builder::new().name(format!("game {}", address.port())).spawn(run)?;
        Ok(())
    }
}

async fn serve(listener: TcpListener, address: SocketAddr, answers_after: Duration) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A player who breaks off ends nothing but their own session.
                tokio::spawn(async move { answer(stream, address, answers_after).await.ok() });
            }
            Err(_) => sleep(ACCEPT_AGAIN).await,
        }
    }
}

/// Answers until the player leaves.
async fn answer(mut stream: TcpStream, address: SocketAddr, answers_after: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let name = format!("{address}: ");
    let mut message = vec![0; MESSAGE_MAX];
    loop {
        let length = stream.read(&mut message).await?;
        if length == 0 {
            return Ok(());
        }
        if !answers_after.is_zero() {
            sleep(answers_after).await;
        }
        stream.write_all(&[name.as_bytes(), &message[..length]].concat()).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::player::Player;
    use super::*;

    /// A server on a port that the kernel chose.
    fn server() -> GameServer {
        GameServer::new(SocketAddr::from(([127, 0, 0, 1], 0)), Duration::ZERO).unwrap()
    }

    #[tokio::test]
    async fn it_refuses_while_it_is_down_and_answers_with_its_name_when_it_is_up() {
        let server = server();
        let address = server.address;
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        server.start().unwrap();
        let mut player = Player::join("player".to_owned(), address).await.unwrap();
        assert_eq!(player.talk().await.unwrap().served_by, address.to_string());
    }

    #[test]
    fn a_taken_address_is_an_error() {
        let server = server();
        let address = server.address;
        server.start().unwrap();
        let second = GameServer::new(address, Duration::ZERO);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
