//! A worker: one thread with a runtime, listening sockets, sessions and an I/O buffer of its own. A session lives and
//! dies on the worker that it began on: the one that accepted it, or one that had clearly fewer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{self, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep_until};

use crate::config::scalar::Name;
use crate::drain::{Phase, Watch, next_notice};
use crate::entropy;
use crate::listener::{Acceptor, Assigned, Door, Home, Spread};
use crate::net::tls::handshake;
use crate::pool::Backend;
use crate::relay::{Quality, Stop};
use crate::session::{CloseReason, Ids, Listing, Local, Query, SessionId};
use crate::snapshot::{Listener, Snapshot};

/// Commands that wait in a worker's mailbox; the control thread sends a few per reload and waits when it is full.
const MAILBOX: usize = 64;

/// What the control thread asks of a worker.
#[derive(Debug)]
pub enum Command {
    /// Accept on this socket.
    Listen(Listen),
    /// Accept no more on a socket.
    Close(Close),
    /// What concerns its sessions.
    Sessions(Ask),
    /// Answer, to show that it is not stuck.
    Answer(oneshot::Sender<()>),
}

/// What the control thread asks about a worker's sessions.
#[derive(Debug)]
pub enum Ask {
    /// End those that are connected to this backend.
    StopOn(Arc<Backend>),
    /// End those whose clients are of this network, and say how many there were.
    StopOf(IpNet, oneshot::Sender<usize>),
    /// Which there are.
    List(oneshot::Sender<Vec<SessionId>>),
    /// What is to be told of some.
    Describe(Arc<Query>, oneshot::Sender<Listing>),
    /// End this one, and say whether it was there.
    Kill(SessionId, oneshot::Sender<bool>),
    /// Have so many find out how their clients are connected.
    Measure(usize),
    /// What those have found out that were asked so far.
    Qualities(oneshot::Sender<Vec<(Arc<Backend>, Quality)>>),
    /// End these, which a drain has not seen end, and say how many of them were still there.
    Drain(Vec<SessionId>, oneshot::Sender<usize>),
}

/// A listening socket to accept on, and for whom.
#[derive(Debug)]
pub struct Listen {
    /// What it is known by from now on.
    pub key: SocketKey,
    /// The worker's own socket.
    pub socket: net::TcpListener,
    /// The listener, as long as no newer snapshot has another version of it.
    pub listener: Arc<Listener>,
}

/// A listening socket to close.
#[derive(Debug)]
pub struct Close {
    /// What it is known by.
    pub key: SocketKey,
    /// Dropped when it is closed.
    pub closed: oneshot::Sender<()>,
}

/// Which socket: a listener's name and an address as the file wrote it (its port may be 0).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketKey {
    /// The listener's name.
    pub listener: Name,
    /// The address in the file.
    pub address: SocketAddr,
}

/// Where commands for a worker go.
#[derive(Debug, Clone)]
pub struct Mailbox(mpsc::Sender<Command>);

/// A running worker, as the control thread sees it.
#[derive(Debug)]
pub struct Handle {
    mailbox: Mailbox,
    /// Resolves when the worker has ended, in whatever way. `None` from then on.
    ended: Option<oneshot::Receiver<()>>,
}

impl Mailbox {
    /// Sends a command. A worker that has ended takes none.
    pub async fn send(&self, command: Command) {
        let _ended = self.0.send(command).await;
    }

    /// Sends a command that may be left out where there is no room for it.
    pub fn post(&self, command: Command) {
        let _full_or_ended = self.0.try_send(command);
    }
}

impl Handle {
    /// Where its commands go.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Ready when the worker has ended, and from then on.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(ended) = &mut self.ended {
            ready!(Pin::new(ended).poll(cx)).unwrap_or_default();
            self.ended = None;
        }
        Poll::Ready(())
    }
}

/// Starts so many workers.
///
/// # Errors
/// A thread could not be made. Those that were end by themselves when `drain`'s trigger is dropped.
pub fn spawn_all(count: usize, snapshot: &Arc<ArcSwap<Snapshot>>, drain: &Watch) -> io::Result<Vec<Handle>> {
    let (spread, doors) = Spread::new(count);
    let ids = Arc::new(Ids::new());
    let spawn = |(index, newcomers)| {
        let parts = Parts {
            index,
            ids: Arc::clone(&ids),
            snapshot: Arc::clone(snapshot),
            spread: Arc::clone(&spread),
            newcomers,
        };
        spawn(parts, drain.clone())
    };
    doors.into_iter().enumerate().map(spawn).collect()
}

/// What a worker is made of, on its way to its thread.
struct Parts {
    index: usize,
    ids: Arc<Ids>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    spread: Arc<Spread>,
    newcomers: mpsc::Receiver<Assigned>,
}

fn spawn(parts: Parts, drain: Watch) -> io::Result<Handle> {
    let (mailbox, commands) = mpsc::channel(MAILBOX);
    let (alive, ended) = oneshot::channel();
    let index = parts.index;
    thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        // Dropped when the thread ends, by a panic too.
        let _alive: oneshot::Sender<()> = alive;
        entropy::seed_thread();
        let runtime = Builder::new_current_thread()
            .enable_all()
            // For the public-key work of TLS handshakes alone: begun when it is first needed.
            .max_blocking_threads(1)
            .thread_name(format!("tls-{index}"))
            .on_thread_start(handshake::lower_priority)
            .build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(Worker::new(parts).run(commands, drain)),
            Err(error) => tracing::error!(worker = index, %error, "a worker has no runtime"),
        }
    })?;
    Ok(Handle { mailbox: Mailbox(mailbox), ended: Some(ended) })
}

struct Worker {
    snapshot: Arc<ArcSwap<Snapshot>>,
    home: Home,
    sockets: HashMap<SocketKey, Listening>,
    spread: Arc<Spread>,
    newcomers: mpsc::Receiver<Assigned>,
}

/// An accept loop of this worker.
struct Listening {
    stop: Rc<Stop>,
    loops: JoinHandle<()>,
}

impl Worker {
    fn new(parts: Parts) -> Self {
        let Parts { index, ids, snapshot, spread, newcomers } = parts;
        let home = Home::new(Local::new(index, ids));
        Self { snapshot, home, sockets: HashMap::new(), spread, newcomers }
    }

    /// Serves until the process drains; returns when the last session has ended.
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut drain: Watch) {
        let shared = Rc::clone(&self.home.shared);
        spawn_local(async move { shared.sweep().await });
        loop {
            tokio::select! {
                biased;
                () = drain.reached(Phase::Draining) => break,
                Some(command) = commands.recv() => self.obey(command).await,
                Some(newcomer) = self.newcomers.recv() => self.home.take_in(newcomer).await,
            }
        }
        // A socket that has only just been handed over has clients in its queue too.
        while let Ok(command) = commands.try_recv() {
            self.obey(command).await;
        }
        for (_, listening) in self.sockets.drain() {
            listening.close().await;
        }
        let Self { snapshot, home, spread, newcomers, .. } = self;
        drop(spread);
        drain_out(&home, &snapshot, (newcomers, commands), drain).await;
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Listen(listen) => self.listen(listen),
            Command::Close(Close { key, closed }) => {
                if let Some(listening) = self.sockets.remove(&key) {
                    listening.close().await;
                }
                drop(closed);
            }
            Command::Sessions(ask) => answer(&self.home.local, ask),
            Command::Answer(answer) => drop(answer.send(())),
        }
    }

    fn listen(&mut self, listen: Listen) {
        let Listen { key, socket, listener } = listen;
        // Not tokio's listener: what that accepts is registered here already, before another worker could have it.
        #[allow(deprecated, reason = "unsound only for types that lie about their descriptor; its successor is unsafe")]
        let socket = match AsyncFd::with_interest(socket, Interest::READABLE) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(listener = %key.listener, address = %key.address, %error, "this worker cannot listen");
                return;
            }
        };
        let stop = Rc::new(Stop::default());
        let door = Rc::new(Door {
            listener: RefCell::new(listener),
            snapshot: Arc::clone(&self.snapshot),
            spread: Arc::clone(&self.spread),
            home: self.home.clone(),
        });
        let acceptor = Acceptor::new(key.address, door, Rc::clone(&stop));
        let before = self.sockets.insert(key, Listening { stop, loops: spawn_local(acceptor.run(socket)) });
        if let Some(before) = before {
            // A socket of the same address that was lost on another worker. This one's takes who waits in its queue, and is closed.
            before.stop.ask();
        }
    }
}

fn answer(local: &Local, ask: Ask) {
    // Whoever asked may have gone.
    match ask {
        Ask::StopOf(network, tell) => drop(tell.send(local.stop_of(&network, CloseReason::Killed))),
        Ask::StopOn(backend) => local.stop_on(&backend, CloseReason::Killed),
        Ask::List(tell) => drop(tell.send(local.session_ids())),
        Ask::Describe(query, tell) => drop(tell.send(listed(local, &query))),
        Ask::Kill(session, tell) => drop(tell.send(local.stop_these(&[session], CloseReason::Killed) > 0)),
        Ask::Measure(most) => local.measure(most),
        Ask::Qualities(tell) => drop(tell.send(local.qualities())),
        Ask::Drain(sessions, tell) => drop(tell.send(local.stop_these(&sessions, CloseReason::Drained))),
    }
}

/// The sessions that a query is for. Says how long that took, for no session was served meanwhile.
fn listed(local: &Local, query: &Query) -> Listing {
    let started = Instant::now();
    let listing = local.list(query);
    let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(worker = local.worker(), sessions = local.sessions(), took_us, "sessions were looked through");
    listing
}

/// Lets the sessions that live go on until they have ended or must, and tells their clients.
async fn drain_out(
    home: &Home,
    snapshot: &ArcSwap<Snapshot>,
    (mut newcomers, mut commands): (mpsc::Receiver<Assigned>, mpsc::Receiver<Command>),
    mut drain: Watch,
) {
    // Until the last worker has closed its sockets, and has heard from the last balancer whom it brings, others may hand on
    // what they took from their queues.
    let mut some_may_come = true;
    let local = &home.local;
    let ends_at = drain.ends_at().filter(|_| snapshot.load().speaks_of_drains());
    let mut notice = ends_at.map(|_| Instant::now());
    loop {
        tokio::select! {
            biased;
            newcomer = newcomers.recv(), if some_may_come => match newcomer {
                Some(newcomer) => home.take_in(newcomer).await,
                None => some_may_come = false,
            },
            () = local.emptied(), if !some_may_come => return,
            () = drain.reached(Phase::Cutting) => break,
            Some(command) = commands.recv() => match command {
                Command::Sessions(ask) => answer(local, ask),
                Command::Answer(answer) => drop(answer.send(())),
                // There are no sockets to open or close any more.
                Command::Listen(_) | Command::Close(_) => {}
            },
            (now, ends_at) = due(notice, ends_at) => {
                local.announce_end(ends_at);
                notice = next_notice(now, ends_at);
            }
        }
    }
    local.stop_all(CloseReason::Drained);
    local.emptied().await;
}

/// Resolves when a notice is due; never without one.
async fn due(notice: Option<Instant>, ends_at: Option<Instant>) -> (Instant, Instant) {
    match notice.zip(ends_at) {
        Some((notice, ends_at)) => {
            sleep_until(notice).await;
            (notice, ends_at)
        }
        None => std::future::pending().await,
    }
}

impl Listening {
    /// Closes the socket, once what waits in its queue has become sessions. Waits for no client.
    async fn close(self) {
        self.stop.ask();
        // A panic there has been logged, and has closed the socket too.
        let _ended = self.loops.await;
    }
}
