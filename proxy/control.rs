//! The control thread: signals, reloads, names, the admin server, and the way down. Nothing that it does or waits for
//! delays a session.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

pub mod admin;
mod api;
pub mod checkpoint;
mod dashboard;
mod drain;
mod grace;
pub mod hand;
pub mod health;
mod history;
pub mod live;
pub mod names;
mod preview;
pub mod queues;
pub mod reload;
mod scrape;
pub mod sockets;
pub mod spans;
pub mod state;
pub mod supervisor;
mod view;
pub mod watch;

use self::checkpoint::Keeper;
use self::reload::{Next, Reloader};
use self::spans::Export;
use self::state::State;
use self::supervisor::Supervisor;
use self::watch::Watch;
use crate::drain::Trigger;
use crate::signal::{Signal, Signals};
use crate::worker;

/// What the program that runs the proxy may ask of it, beside what signals ask.
#[derive(Debug)]
pub enum Request {
    /// Drain and end.
    Shutdown,
    /// Read the config file again; answers, where somebody waits, with the problems, as text, when it cannot be applied.
    Reload(Option<oneshot::Sender<Result<(), String>>>),
    /// Have what was set by hand count.
    FollowHand(oneshot::Sender<()>),
}

/// A worker ended although nobody asked it to.
#[derive(Debug, PartialEq, Eq)]
pub struct WorkerLost;

/// How often it is looked for lines of the log that were left out and are still to be told of.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Everything that the control thread owns.
#[derive(Debug)]
pub struct Control {
    /// What the admin server shows.
    pub state: Rc<State>,
    /// Applies the config file.
    pub reloader: Reloader,
    /// Tells when the file may have changed.
    pub file: Rc<Watch>,
    /// The workers.
    pub workers: Vec<worker::Handle>,
    /// Hands spans to the collector.
    pub spans: Option<Export>,
    /// Keeps what outlives the process.
    pub keeper: Keeper,
    /// Moves the process on its way down.
    pub trigger: Trigger,
    /// Who is told how it goes.
    pub supervisor: Rc<Supervisor>,
    /// What the operating system asks; `None` where the program handles signals itself.
    pub signals: Option<Signals>,
    /// What the program asks.
    pub requests: mpsc::Receiver<Request>,
}

impl Control {
    /// Serves until the process is asked to end, then drains. Returns when no session is left.
    ///
    /// # Errors
    /// A worker was lost; the others have drained.
    pub async fn run(mut self) -> Result<(), WorkerLost> {
        let outcome = self.serve().await;
        self.drain().await;
        self.keeper.finish().await;
        if let Some(spans) = self.spans {
            spans.finish().await;
        }
        outcome
    }

    async fn serve(&mut self) -> Result<(), WorkerLost> {
        loop {
            tokio::select! {
                asked = next_ask(&mut self.signals, &mut self.requests) => match asked {
                    Request::Shutdown => return Ok(()),
                    Request::FollowHand(done) => {
                        self.reloader.follow();
                        let _gone = done.send(());
                    }
                    Request::Reload(answer) => self.reloader.reload(answer),
                },
                next = self.reloader.next() => match next {
                    Next::Names => self.reloader.follow(),
                    Next::Read(read) => self.reloader.apply(read, &self.workers).await,
                },
                () = self.file.notified() => self.reloader.look(),
                worker = any_ended(&mut self.workers) => {
                    tracing::error!(worker, "a worker thread has ended; draining the others");
                    return Err(WorkerLost);
                }
            }
        }
    }
}

/// Has the log tell what it has left out, for as long as the process lives.
pub async fn tell_left_out(state: Rc<State>) {
    loop {
        sleep(LOG_EVERY).await;
        state.telemetry().tell_left_out();
    }
}

/// What is asked next, by a signal or by the program.
async fn next_ask(signals: &mut Option<Signals>, requests: &mut mpsc::Receiver<Request>) -> Request {
    let signal = async {
        match signals {
            Some(signals) => signals.next().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        signal = signal => match signal {
            Signal::Shutdown => Request::Shutdown,
            Signal::Reload => Request::Reload(None),
        },
        // Whoever could ask has gone, and with it the reason to run.
        request = requests.recv() => request.unwrap_or(Request::Shutdown),
    }
}

/// Resolves when the process is asked to end; asks for a reload come too late.
async fn next_shutdown(signals: &mut Option<Signals>, requests: &mut mpsc::Receiver<Request>) {
    while !matches!(next_ask(signals, requests).await, Request::Shutdown) {}
}

/// The index of a worker that has ended.
async fn any_ended(workers: &mut [worker::Handle]) -> usize {
    poll_fn(|cx| {
        let ended = workers.iter_mut().position(|worker| worker.poll_ended(cx).is_ready());
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

async fn all_ended(workers: &mut [worker::Handle]) {
    for worker in workers {
        poll_fn(|cx| worker.poll_ended(cx)).await;
    }
}
