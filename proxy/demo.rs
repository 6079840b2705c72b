//! `portti demo`: the example config at work, with game servers and players inside the process, told as it happens.
//!
//! Nothing is staged: the proxy starts as `portti run` starts it, players are TCP clients like any other, and what is
//! told about the proxy has been read from its admin server. It writes no log, so that the story can be followed.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

mod afterwards;
mod failure;
mod folder;
mod game;
mod places;
mod player;
mod stage;
mod status;
mod story;
mod teller;

use self::failure::Failure;
use self::stage::Stage;
use self::status::Status;
use self::story::Story;
use self::teller::Teller;
use crate::app::Running;
use crate::control::WorkerLost;
use crate::signal::{Signal, Signals};

/// How long the proxy may take to hear a signal that the demo has heard. Longer: it came before the proxy listened.
const HEARS_WITHIN: Duration = Duration::from_millis(200);
/// How often a wait looks again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs the demo until it is asked to end. The exit code is 0, or 1 when something did not happen as it should.
pub fn run() -> ExitCode {
    let outcome = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(|error| Failure::new(format_args!("the operating system refused: {error}")))
        .and_then(|runtime| runtime.block_on(play(Rc::new(Teller::new()))));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Whoever could read it may have gone.
            let _gone = writeln!(io::stderr(), "portti demo: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Sets the stage, shows what there is to see until a signal comes, and clears the stage.
async fn play(teller: Rc<Teller>) -> Result<(), Failure> {
    // From here on signals wait for their turn, so that none can leave the folder behind.
    let mut signals = Signals::new()?;
    teller.say(
        "This is portti between three small game servers and some players, all in this process. Ctrl-C ends it.\n",
    );
    let (stage, down) = Stage::set(&teller)?;
    let outcome = tokio::select! {
        biased;
        () = asked_to_end(&mut signals) => Ok(()),
        failure = show(&stage, Story::new(&stage, &teller, down), &teller) => Err(failure),
    };
    clear(stage, outcome, &teller).await
}

/// The story, and then whatever goes on. Ends only when something fails.
async fn show(stage: &Stage, story: Story<'_>, teller: &Rc<Teller>) -> Failure {
    let shown = async {
        story.tell().await?;
        teller.say(&afterwards::invitation(stage));
        afterwards::watch(stage, teller).await
    };
    let shown: Result<Infallible, Failure> = shown.await;
    match shown {
        Err(failure) => failure,
    }
}

/// Resolves when the process is asked to end. A reload is the proxy's business.
async fn asked_to_end(signals: &mut Signals) {
    while signals.next().await != Signal::Shutdown {}
}

/// Lets the proxy drain, and tells how it goes.
async fn clear(stage: Stage, outcome: Result<(), Failure>, teller: &Teller) -> Result<(), Failure> {
    let Stage { folder, running, admin, .. } = stage;
    if outcome.is_err() {
        running.shut_down();
    }
    teller.say("");
    teller.event("portti", "drains: no new players, and those who are connected may finish");
    let ended = wait(running, admin, teller).await;
    let path = folder.path().to_owned();
    drop(folder);
    teller.event("portti", format_args!("has ended; {} is deleted", path.display()));
    outcome?;
    ended.map_err(|WorkerLost| Failure::new("a worker thread was lost"))
}

/// Waits for the proxy's end, and tells for whom it waits.
async fn wait(running: Running, admin: SocketAddr, teller: &Teller) -> Result<(), WorkerLost> {
    let asked_at = Instant::now();
    while asked_at.elapsed() < HEARS_WITHIN && Status::read(admin).await.is_ok_and(|status| !status.draining) {
        sleep(LOOK_EVERY).await;
    }
    if Status::read(admin).await.is_ok_and(|status| !status.draining) {
        running.shut_down();
    }
    let mut ended: JoinHandle<_> = spawn_blocking(|| running.wait());
    let mut told = 0;
    loop {
        tokio::select! {
            ended = &mut ended => return ended.unwrap_or(Err(WorkerLost)),
            () = sleep(LOOK_EVERY) => {}
        }
        let Ok(Status { sessions_active: left, .. }) = Status::read(admin).await else { continue };
        if left > 0 && left != told {
            teller.event("portti", format_args!("players still connected: {left}; Ctrl-C again cuts them off"));
            told = left;
        }
    }
}
