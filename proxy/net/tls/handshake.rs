//! The server's side of a TLS handshake, with the public-key work off the worker.
//!
//! A signature by an RSA key of 4,096 bits takes milliseconds. On the worker's thread, each handshake would hold up every session for as
//! long. So the worker reads and writes the messages, and what there is to compute between them is done on a thread beside it
//! (the runtime's blocking pool, see `worker.rs`) that runs at a lower priority.

use std::io;
use std::sync::Arc;

use rustix::process::{getpriority_process, setpriority_process};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;

use super::FromClient;
use crate::net::socket;

/// Handshakes of one worker whose next step is with its handshake thread: one that it works on, and one that it finds next. More would
/// queue where a client that leaves cannot be taken out again.
pub const STEPS_AT_ONCE: usize = 2;

/// Does the handshake. `steps` has a permit for each handshake that may be computed at a time; `wait` is around every wait for the
/// client, and may end it. `verifies_clients` is whether clients are asked for certificates.
///
/// # Errors
/// The client broke off, or what it says cannot be agreed with, or `wait` has ended it.
pub async fn accept<W>(
    stream: TcpStream,
    (config, verifies_clients): (&Arc<ServerConfig>, bool),
    steps: &Semaphore,
    wait: impl Fn() -> W,
) -> io::Result<FromClient>
where
    W: Future<Output = io::Error>,
{
    let mut connection = Box::new(ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?);
    let mut is_first = true;
    while connection.is_handshaking() {
        tokio::select! {
            heard = hear(&stream, &mut connection) => heard?,
            why = wait() => return Err(why),
        }
        if is_cheap(&connection) && !verifies_clients {
            finish(&stream, &mut connection)?;
            continue;
        }
        // Never closed.
        let _permit = steps.acquire().await;
        if is_first && socket::has_left(&stream) {
            // Nobody is there to answer.
            return Err(broken_off());
        }
        is_first = false;
        connection = step(&stream, connection).await?;
    }
    // Takes the connection as it is, and sends what is left to be sent.
    TlsAcceptor::from(Arc::clone(config)).accept_with(stream, |fresh| *fresh = *connection).await.map(Box::new)
}

/// Sends what there is to send, and reads what comes next.
async fn hear(stream: &TcpStream, connection: &mut ServerConnection) -> io::Result<()> {
    while connection.wants_write() {
        stream.async_io(Interest::WRITABLE, || connection.write_tls(&mut &*SockRef::from(stream))).await?;
    }
    let read = stream.async_io(Interest::READABLE, || connection.read_tls(&mut &*SockRef::from(stream))).await?;
    if read == 0 { Err(broken_off()) } else { Ok(()) }
}

fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof")
}

/// Whether what is left is the client's last message of TLS 1.3, which takes no public-key work without a certificate of its own: less
/// than the way to another thread and back costs.
fn is_cheap(connection: &ServerConnection) -> bool {
    // After a request to say hello again, the next message is another hello.
    let has_answered = matches!(connection.handshake_kind(), Some(HandshakeKind::Full | HandshakeKind::Resumed));
    has_answered && connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
}

/// Computes what follows from what has come, on this thread.
fn finish(stream: &TcpStream, connection: &mut ServerConnection) -> io::Result<()> {
    let done = connection.process_new_packets().map(drop);
    done.map_err(|error| refuse(stream, connection, error))
}

/// Tells the client why, if there is room for that at once.
fn refuse(stream: &TcpStream, connection: &mut ServerConnection, error: rustls::Error) -> io::Error {
    let _gone = connection.write_tls(&mut &*SockRef::from(stream));
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Computes the answer to what has come, on another thread.
async fn step(stream: &TcpStream, mut connection: Box<ServerConnection>) -> io::Result<Box<ServerConnection>> {
    let computed = spawn_blocking(move || {
        let done = connection.process_new_packets().map(drop);
        (connection, done)
    });
    let (mut connection, done) = computed.await?;
    match done {
        Ok(()) => Ok(connection),
        Err(error) => Err(refuse(stream, &mut connection, error)),
    }
}

/// How much nicer to other threads handshake threads are than the rest of the process (see nice(2)): the scheduler gives a worker that
/// is woken by a packet the CPU at once, and about three quarters of one that both want all the time. Not more: beside other programs that
/// keep every CPU busy, handshakes would take longer than clients wait.
const NICER_BY: i32 = 5;

/// Lowers the priority of the current thread. To be called on threads that do [`accept`]'s public-key work.
pub fn lower_priority() {
    let thread = rustix::thread::gettid();
    let lowered = getpriority_process(Some(thread)).and_then(|nice| setpriority_process(Some(thread), nice + NICER_BY));
    if let Err(error) = lowered {
        // Handshakes then take their part of the CPU as everything else does.
        tracing::debug!(%error, "the priority of a handshake thread cannot be lowered");
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::ServerName;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::net::tls::identity::Identity;
    use crate::net::tls::{ALL_VERSIONS, provider};

    /// Notes which thread asks for the certificate, which is also the one that signs.
    #[derive(Debug)]
    struct Noting(Arc<CertifiedKey>, std::sync::Mutex<Option<ThreadId>>);

    impl ResolvesServerCert for Noting {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            *self.1.lock().unwrap() = Some(thread::current().id());
            Some(Arc::clone(&self.0))
        }
    }

    struct Ends {
        noting: Arc<Noting>,
        server: Arc<ServerConfig>,
        client: TlsConnector,
    }

    fn ends() -> Ends {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let identity = Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let noting = Arc::new(Noting(Arc::clone(identity.certified()), std::sync::Mutex::default()));
        let server = ServerConfig::builder_with_provider(provider()).with_protocol_versions(ALL_VERSIONS).unwrap();
        let server = Arc::new(server.with_no_client_auth().with_cert_resolver(Arc::clone(&noting) as _));
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider()).with_protocol_versions(ALL_VERSIONS).unwrap();
        let client = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
        Ends { noting, server, client }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(listener.accept(), TcpStream::connect(listener.local_addr().unwrap()));
        (near.unwrap().0, far.unwrap())
    }

    async fn accepted(near: TcpStream, server: &Arc<ServerConfig>) -> io::Result<FromClient> {
        accept(near, (server, false), &Semaphore::new(STEPS_AT_ONCE), std::future::pending::<io::Error>).await
    }

    #[tokio::test]
    async fn the_public_key_work_is_done_on_another_thread_and_bytes_pass() {
        let Ends { noting, server, client } = ends();
        let (near, far) = pair().await;
        let client = async {
            let mut client = client.connect(ServerName::try_from("localhost").unwrap(), far).await.unwrap();
            client.write_all(b"hello").await.unwrap();
            let mut heard = [0; 5];
            client.read_exact(&mut heard).await.unwrap();
            heard
        };
        let server = async {
            let mut server = accepted(near, &server).await.unwrap();
            let mut heard = [0; 5];
            server.read_exact(&mut heard).await.unwrap();
            server.write_all(&heard).await.unwrap();
            server.flush().await.unwrap();
            server
        };
        let (_server, heard) = tokio::join!(server, client);
        assert_eq!(&heard, b"hello");
        let signed_on = noting.1.lock().unwrap().unwrap();
        assert_ne!(signed_on, thread::current().id());
    }

    #[tokio::test]
    async fn what_is_no_handshake_is_answered_with_an_alert_and_an_error() {
        let Ends { server, .. } = ends();
        let (near, mut far) = pair().await;
        far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let failed = accepted(near, &server).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut alert = Vec::new();
        far.read_to_end(&mut alert).await.unwrap();
        assert_eq!(alert[..3], [21, 3, 3], "{alert:?}");
    }

    #[tokio::test]
    async fn a_client_that_left_costs_no_signature() {
        let Ends { noting, server, client } = ends();
        let (near, far) = pair().await;
        let mut connecting = Box::pin(client.connect(ServerName::try_from("localhost").unwrap(), far));
        let hello = std::future::poll_fn(|cx| std::task::Poll::Ready(connecting.as_mut().poll(cx).is_pending()));
        assert!(hello.await);
        drop(connecting);
        assert_eq!(accepted(near, &server).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(noting.1.lock().unwrap().is_none());
    }

    #[test]
    fn a_handshake_thread_is_nicer_than_others() {
        let nice = || getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = nice();
        let lowered = thread::spawn(move || {
            lower_priority();
            nice()
        });
        assert_eq!((lowered.join().unwrap(), nice()), ((before + NICER_BY).min(19), before));
    }
}
