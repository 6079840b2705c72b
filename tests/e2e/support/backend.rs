//! Game servers of many kinds, on tasks of the test's runtime and addresses of their own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Peer, own_address, soon};

/// One game server. Its listening socket can be closed and opened again on the same port; its sessions go on.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    serve: Serve,
    listening: Mutex<Option<JoinHandle<()>>>,
}

type Serve = Arc<dyn Fn(TcpStream) + Send + Sync>;

/// A game server that hands its side of every session to the test.
pub(crate) struct ByHand {
    pub(crate) backend: Backend,
    sessions: mpsc::UnboundedReceiver<TcpStream>,
}

impl Backend {
    /// Does with each accepted connection what `serve` does.
    pub(crate) fn serving<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::at(own_address(), serve)
    }

    /// The same, on an address of the caller's choice.
    pub(crate) fn at<F>(address: SocketAddr, serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let socket = listen(address);
        let serve: Serve = Arc::new(move |stream| {
            tokio::spawn(serve(stream));
        });
        let address = socket.local_addr().unwrap();
        let backend = Self { address, accepted: Arc::default(), serve, listening: Mutex::default() };
        backend.accept_on(socket);
        backend
    }

    /// Sends back what it gets.
    pub(crate) fn echo() -> Self {
        Self::serving(echo)
    }

    /// Sends these bytes to each new client, then what it gets.
    pub(crate) fn greeting(text: &'static [u8]) -> Self {
        Self::serving(async move |mut stream| {
            if stream.write_all(text).await.is_ok() {
                echo(stream).await;
            }
        })
    }

    /// Reads and never answers.
    pub(crate) fn mute() -> Self {
        Self::serving(async |mut stream| {
            let mut buffer = vec![0; 16 * 1024];
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        })
    }

    /// Resets every connection as soon as it has a byte of it.
    pub(crate) fn resetting() -> Self {
        Self::serving(async |mut stream| {
            let _byte = stream.read_u8().await;
            stream.set_zero_linger().unwrap();
        })
    }

    /// Hands every accepted connection to the test.
    pub(crate) fn by_hand() -> ByHand {
        let (sender, sessions) = mpsc::unbounded_channel();
        let backend = Self::serving(move |stream| {
            stream.set_nodelay(true).unwrap();
            let _test_over = sender.send(stream);
            async {}
        });
        ByHand { backend, sessions }
    }

    /// Connections accepted so far. One through which a byte came back has been accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Closes the listening socket: connects are refused from now on.
    pub(crate) async fn close(&self) {
        let listening = self.listening.lock().unwrap().take();
        let listening = listening.expect("closed already");
        listening.abort();
        let _aborted = listening.await;
    }

    /// Listens on the same address again.
    pub(crate) fn open_again(&self) {
        self.accept_on(listen(self.address));
    }

    fn accept_on(&self, socket: TcpListener) {
        let (serve, accepted) = (Arc::clone(&self.serve), Arc::clone(&self.accepted));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                serve(stream);
            }
        });
        *self.listening.lock().unwrap() = Some(task);
    }
}

impl ByHand {
    /// The backend's side of the next session.
    pub(crate) async fn next(&mut self) -> Peer {
        Peer(soon("a session for the backend", self.sessions.recv()).await.expect("the backend accepts"))
    }
}

async fn echo(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    // Whoever reset the connection meant to.
    let _reset = tokio::io::copy(&mut from, &mut to).await;
    let _reset = to.shutdown().await;
}

/// Has room for every connect that a test makes at once. A port that has connections left from before can be had again.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(4096).unwrap();
    TcpListener::from_std(socket.into()).unwrap()
}

/// An address that answers no connect, in either way: its queue is full and nobody accepts. Black while this lives.
pub(crate) struct BlackHole {
    pub(crate) address: SocketAddr,
    _full: (Socket, Vec<Socket>),
}

impl BlackHole {
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&own_address().into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap();
        // A queue of length 0 holds one, and the kernel drops the handshakes of those that come after.
        let waiting: Vec<_> = std::iter::repeat_with(|| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            let _in_progress = client.connect(&address);
            client
        })
        .take(4)
        .collect();
        Self { address: address.as_socket().unwrap(), _full: (socket, waiting) }
    }
}
