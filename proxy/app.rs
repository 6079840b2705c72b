//! Wiring: from a checked config to a running proxy, and from there to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, mpsc as sync_mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

use crate::config::files::Stamps;
use crate::config::scalar::Name;
use crate::config::{self, model::Config};
use crate::control::checkpoint::{Keeper, Past};
use crate::control::health::Checkers;
use crate::control::names::Names;
use crate::control::reload::{self, Reloader};
use crate::control::sockets::{BindError, Inherited, Sockets};
use crate::control::spans::Export;
use crate::control::state::State;
use crate::control::supervisor::Supervisor;
use crate::control::watch::Watch;
use crate::control::{self, Control, Request, WorkerLost, admin, hand, live, queues};
use crate::descriptors;
use crate::drain;
use crate::entropy;
use crate::pool::discovery::{Answers, Resolved};
use crate::signal::Signals;
use crate::snapshot::Snapshot;
use crate::snapshot::hand::Hand;
use crate::telemetry::Telemetry;
use crate::worker;

/// How long a start waits for the addresses of backends' host names. Those that are not found by then are found later.
const NAMES_PATIENCE: Duration = Duration::from_secs(5);

/// Requests that wait for the control thread.
const REQUESTS: usize = 16;

/// Everything that a start needs.
#[derive(Debug)]
pub struct Start {
    /// The config file, for reloads.
    pub path: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
    /// What that means.
    pub config: Config,
    /// The log, if the program has started one.
    pub telemetry: Telemetry,
    /// The signals of the process, where it is the proxy's own. The proxy then also takes the sockets that the process was
    /// started with, and tells systemd how it goes.
    pub signals: Option<Signals>,
}

/// Why a proxy could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be bound.
    Bind(BindError),
    /// The operating system gave no thread, runtime or signal.
    System(io::Error),
    /// A signal has asked it to end meanwhile.
    Stopped,
}

/// A running proxy.
#[derive(Debug)]
pub struct Running {
    /// The addresses of each listener, by its name, with the ports that the kernel chose.
    pub listeners: Vec<(Name, Vec<SocketAddr>)>,
    /// The admin address, if there is one and no other process has it.
    pub admin: Option<SocketAddr>,
    requests: mpsc::Sender<Request>,
    control: JoinHandle<Result<(), WorkerLost>>,
}

/// Starts the proxy on threads of its own. Returns when every listener accepts.
///
/// # Errors
/// An address could not be bound, the operating system refused a thread or a runtime, or a signal came that ends the process. Nothing
/// is left running.
pub fn start(start: Start) -> Result<Running, StartError> {
    let (requests, asked) = mpsc::channel(REQUESTS);
    let (report, started) = sync_mpsc::sync_channel(1);
    let requests_of = requests.downgrade();
    let control = thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || control(start, (requests_of, asked), &report))?;
    let bound =
        started.recv().map_err(|_gone| StartError::System(io::Error::other("the control thread panicked")))??;
    Ok(Running { listeners: bound.listeners, admin: bound.admin, requests, control })
}

/// How the control thread is asked, and where it hears of it.
type Requests = (mpsc::WeakSender<Request>, mpsc::Receiver<Request>);

/// What a start has bound.
struct Bound {
    listeners: Vec<(Name, Vec<SocketAddr>)>,
    admin: Option<SocketAddr>,
}

/// The life of the control thread. Reports once, when everything is bound or cannot be.
fn control(
    start: Start,
    requests: Requests,
    report: &sync_mpsc::SyncSender<Result<Bound, StartError>>,
) -> Result<(), WorkerLost> {
    // Whoever starts waits for the report until it comes.
    let tell = |outcome| drop(report.send(outcome));
    entropy::seed_thread();
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(Err(error.into()));
            return Ok(());
        }
    };
    let outcome = runtime.block_on(async {
        match build(start, requests).await {
            Ok((control, bound)) => {
                tell(Ok(bound));
                control.run().await
            }
            Err(error) => {
                tell(Err(error));
                Ok(())
            }
        }
    });
    // A lookup that hangs must not keep the process.
    runtime.shutdown_background();
    outcome
}

impl Running {
    /// The first address of a listener.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        let (_, addresses) = self.listeners.iter().find(|(name, _)| name.as_str() == listener)?;
        addresses.first().copied()
    }

    /// Asks the proxy to drain and end. Asked again, it ends at once.
    pub fn shut_down(&self) {
        // Full or closed: it has been asked often enough, or has ended.
        let _asked_already = self.requests.try_send(Request::Shutdown);
    }

    /// Reads the config file again.
    ///
    /// # Errors
    /// The problems, as text, when it cannot be applied.
    pub fn reload(&self) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let ended = || "the proxy has ended".to_owned();
        self.requests.blocking_send(Request::Reload(Some(answer))).map_err(|_closed| ended())?;
        answered.blocking_recv().unwrap_or_else(|_closed| Err(ended()))
    }

    /// Waits until the proxy has ended.
    ///
    /// # Errors
    /// It ended because a worker was lost.
    pub fn wait(self) -> Result<(), WorkerLost> {
        let Self { control, requests, .. } = self;
        let outcome = control.join().unwrap_or(Err(WorkerLost));
        drop(requests);
        outcome
    }
}

/// Binds, spawns and connects all parts, on the control thread.
async fn build(start: Start, (asking, requests): Requests) -> Result<(Control, Bound), StartError> {
    let Start { path, content, config, telemetry, mut signals } = start;
    let owns_process = signals.is_some();
    let supervisor = Rc::new(if owns_process { Supervisor::of_this_process() } else { Supervisor::default() });
    // As soon as may be after they were read.
    let files = Stamps::take(&config, config::folder_of(&path));
    descriptors::claim(&config);
    let (trigger, drain) = drain::channel();

    let inherited = if owns_process { Inherited::of_this_process() } else { Inherited::default() };
    let admin_socket = match config.admin.bind {
        Some(address) => Some(bind_admin(address, &config).await?),
        None => None,
    };
    let mut sockets = Sockets::new(inherited);
    let plan = sockets.plan(&config, &BTreeSet::new())?;
    let addresses = sockets.addresses(&config, &plan);
    let names = Rc::new(Names::new(&config.dns));
    let (answers, kept) = (Answers::default(), BTreeMap::new());
    let nothing = Resolved { answers: &answers, kept: &kept };
    let first = Snapshot::new(&config, &addresses, nothing, &Hand::default(), None);
    let snapshot = Arc::new(ArcSwap::from_pointee(first));
    let config = Arc::new(config);
    let of_control = (Arc::clone(&config), asking);
    let state = State::new(Arc::clone(&snapshot), Rc::clone(&names), drain.clone(), telemetry, path, of_control);
    let state = Rc::new(state);
    let past = Past::read(&state);
    past.give_hand(&state);
    // Served from here on, so that whoever asks hears "starting" while names are looked up.
    let admin = match admin_socket {
        Some(socket) => serve_admin(socket, &state)?,
        None => None,
    };

    names.follow(&config);
    tokio::select! {
        () = names.settled(NAMES_PATIENCE) => {}
        () = asked_to_end(&mut signals) => return Err(StartError::Stopped),
    }
    let answers = names.answers();
    let resolved = Resolved { answers: &answers, kept: &kept };
    snapshot.store(Arc::new(Snapshot::new(&config, &addresses, resolved, &state.hand(), None)));
    past.give(&state);
    let workers = worker::spawn_all(config.server.workers.get(), &snapshot, &drain)?;
    sockets.apply(&plan);
    reload::send(plan, &state.snapshot(), &workers).await;
    sockets.tell_unused();
    sockets.silence_unused();
    state.set_listening();
    spawn_tasks(&state);
    let keeper = Keeper::begin(&state);
    let spans = Export::begin(&state.snapshot().tracer);
    let file = Watch::new(state.config_path());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), workers = workers.len(), "portti is up");

    let mailboxes: Vec<_> = workers.iter().map(|worker| worker.mailbox().clone()).collect();
    state.set_workers(mailboxes.clone());
    supervisor.ready(&state, mailboxes.clone());

    let bound = Bound { listeners: addresses.into_iter().collect(), admin };
    let checkers = Checkers::new(mailboxes);
    let state_of = Rc::clone(&state);
    let reloader = Reloader::new(reload::Start {
        config,
        content,
        files,
        sockets,
        names,
        checkers,
        snapshot,
        state: state_of,
        watch: Rc::clone(&file),
        supervisor: Rc::clone(&supervisor),
    });
    Ok((Control { state, reloader, file, workers, spans, keeper, trigger, supervisor, signals, requests }, bound))
}

/// Begins what the control thread does beside its own loop, for as long as the process lives.
fn spawn_tasks(state: &Rc<State>) {
    tokio::task::spawn_local(queues::serve(Rc::clone(state)));
    tokio::task::spawn_local(hand::end_bans(Rc::clone(state)));
    tokio::task::spawn_local(control::tell_left_out(Rc::clone(state)));
    tokio::task::spawn_local(live::serve(Rc::clone(state)));
}

/// Resolves when a signal asks the process to end.
async fn asked_to_end(signals: &mut Option<Signals>) {
    match signals {
        Some(signals) => signals.shutdown().await,
        None => pending().await,
    }
}

/// The admin address.
enum AdminSocket {
    Bound(TcpListener),
    /// Another process has it.
    InUse(SocketAddr),
}

/// Serves at the admin address, now or later. The address, if it is bound.
fn serve_admin(socket: AdminSocket, state: &Rc<State>) -> io::Result<Option<SocketAddr>> {
    match socket {
        AdminSocket::Bound(socket) => {
            let address = socket.local_addr()?;
            tokio::task::spawn_local(admin::serve(socket, Rc::clone(state)));
            Ok(Some(address))
        }
        AdminSocket::InUse(address) => {
            tokio::task::spawn_local(admin::serve_later(address, Rc::clone(state)));
            Ok(None)
        }
    }
}

/// Binds the admin address. Where every listener lets another process have its addresses, too, the two run side by side for a restart
/// without a gap, and the other one has the admin address for now.
async fn bind_admin(address: SocketAddr, config: &Config) -> Result<AdminSocket, BindError> {
    let is_shared = !config.listeners.is_empty() && config.listeners.iter().all(|listener| listener.reuse_port);
    match admin::bind(address).await {
        Ok(socket) => Ok(AdminSocket::Bound(socket)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_shared => Ok(AdminSocket::InUse(address)),
        Err(error) => Err(BindError::new("the admin server".to_owned(), address, error)),
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::System(error) => write!(f, "the operating system refused: {error}"),
            Self::Stopped => f.write_str("a signal came during the start"),
        }
    }
}
