//! The admin server: HTTP for people, probes and scrapers, on the control thread.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

mod succession;

use self::succession::Estate;
use super::api::{self, GivenUp};
use super::state::State;

/// Connections served at once: a few scrapers, probes and people, and room for some that hang. More wait to be accepted.
const MAX_CONNECTIONS: usize = 128;

/// How long a client may take to send a request's head, and a kept-alive connection may be silent. Shorter than probes
/// usually wait, so that even with every place taken by clients that hang, a probe gets its answer in time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one connection may last, so that clients that do not read their answers hold no place for ever. Scrapers
/// come back by themselves.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);

/// The same while every place is taken, so that probes come in between clients that hold theirs on purpose. As long as the body of
/// a request may take.
const CROWDED_LIFETIME: Duration = Duration::from_secs(5);

/// How often it is looked how long a connection has lasted.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long one may last on which events are sent. Browsers come back by themselves.
const STREAM_LIFETIME: Duration = Duration::from_secs(3600);

/// Bytes of a request's head, at most.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// What waits for a client in the kernel, at most; twice that, with its overhead. It would else hold megabytes for readers of a
/// stream that do not read.
const UNREAD_BYTES: usize = 128 * 1024;

/// The wait after a failed accept: descriptors may be short, and sessions come first.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(200);

/// Binds the admin address.
///
/// # Errors
/// What the operating system says: the address is in use, or not this machine's.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves as soon as another process gives up the address, with which this one runs side by side for a restart without a gap.
pub async fn serve_later(address: SocketAddr, state: Rc<State>) {
    tracing::warn!(
        %address,
        "the admin address is in use: until the portti that has it drains or ends, this one has no admin server"
    );
    serve(succession::take_over(address).await, state).await;
}

/// Serves for as long as the control thread lives; in a drain, until another process asks for the address.
pub async fn serve(socket: TcpListener, state: Rc<State>) {
    let Ok(address) = socket.local_addr() else { return };
    tracing::info!(%address, "admin server listening");
    let (mut estate, mut drain) = (Estate::of(address), state.drain());
    let lobby = Rc::new(Lobby { places: Arc::new(Semaphore::new(MAX_CONNECTIONS)), is_passed_on: Cell::new(false) });
    loop {
        let Ok(place) = Arc::clone(&lobby.places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = estate.asked_for(&mut drain) => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (state, lobby) = (Rc::clone(&state), Rc::clone(&lobby));
                tokio::task::spawn_local(async move {
                    serve_connection(stream, state, &lobby).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept on the admin address");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(socket);
    lobby.is_passed_on.set(true);
    estate.pass_on().await;
    tracing::info!(%address, "the admin address has passed on to another portti, as this one drains");
}

/// What all connections share.
#[derive(Debug)]
struct Lobby {
    places: Arc<Semaphore>,
    /// Another process has the address now: whoever comes back is to come to that one.
    is_passed_on: Cell<bool>,
}

async fn serve_connection(stream: TcpStream, state: Rc<State>, lobby: &Lobby) {
    // It fails only where there is no connection any more.
    let _gone = SockRef::from(&stream).set_send_buffer_size(UNREAD_BYTES);
    let is_crowded = || lobby.places.available_permits() == 0;
    let is_passed_on = || lobby.is_passed_on.get();
    let (is_streaming, given_up) = (Cell::new(false), GivenUp::default());
    let service = service_fn(async |mut request: Request<Incoming>| {
        request.extensions_mut().insert(given_up.clone());
        let mut answer = api::answer(request, Rc::clone(&state)).await;
        is_streaming.set(api::is_stream(&answer));
        // Kept for another request, it would keep others waiting.
        if is_crowded() || is_passed_on() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(answer)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    let began = Instant::now();
    // A client that talks nonsense or goes away is not the operator's concern.
    let life = async {
        while timeout(LOOK_EVERY, connection.as_mut()).await.is_err() {
            let lifetime = match (is_streaming.get(), is_crowded()) {
                (true, _) if is_passed_on() => return,
                (true, _) => STREAM_LIFETIME,
                (false, true) => CROWDED_LIFETIME,
                (false, false) => CONNECTION_LIFETIME,
            };
            if began.elapsed() >= lifetime {
                return;
            }
        }
    };
    tokio::select! {
        () = life => {}
        () = given_up.0.notified() => {}
    }
}
