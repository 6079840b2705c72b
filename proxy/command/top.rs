//! `portti top`: a running portti, live in the terminal.
//!
//! What comes from it is [`feed`]'s, what is to be seen of that and which keys do what is [`board`]'s, and how it looks is [`screen`]'s.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};

mod board;
mod feed;
mod parser;
mod screen;

use self::board::{Board, Order, Press};
use self::feed::News;
use super::admin::Admin;
use super::ask::{Client, path};
use super::state;
use super::trouble::Trouble;

/// How often it is drawn anew though nothing has come: what is lost has been so for a second more.
const DRAW_EVERY: Duration = Duration::from_secs(1);
/// News and keys that wait to be looked at. Who brings more waits.
const QUEUE: usize = 128;

/// Whom to watch.
#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    admin: Admin,
}

impl Top {
    /// Watches until a key or a signal ends it.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let client = self.admin.client()?;
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            let words = "`portti top` needs a terminal; `portti status --json` is for programs";
            return Err(Trouble::Io(io::Error::other(words)));
        }
        // Whoever may not ask hears it before the screen is taken.
        let status = client.get(&path(&["status"])).await?;
        let board = Board::new(client.to_string(), status);
        let screen = Screen::take().map_err(Trouble::Io)?;
        watch(&client, board, screen).await.map_err(Trouble::Io)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The terminal while it is this program's. Dropped, and after a panic too, it is as it was.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs no restoring.
        let _gone = ratatui::try_restore();
    }
}

async fn watch(client: &Client, mut board: Board, mut screen: Screen) -> io::Result<()> {
    let (tell, mut news) = mpsc::channel(QUEUE);
    tokio::spawn(feed::follow(client.clone(), tell.clone()));
    let mut keys = keys();
    let mut ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [terminate, interrupt, hangup] = &mut ends;
    let (terminate, interrupt, hangup) = (ok(terminate)?, ok(interrupt)?, ok(hangup)?);
    let mut ticks = interval(DRAW_EVERY);
    loop {
        while let Ok(more) = news.try_recv() {
            board.hear(more, Instant::now());
        }
        screen.0.draw(|frame| screen::draw(frame, &board, Instant::now()))?;
        tokio::select! {
            Some(more) = news.recv() => board.hear(more, Instant::now()),
            event = keys.recv() => match event {
                Some(Event::Key(key)) => match board.press(key) {
                    Press::Nothing => {}
                    Press::Quit => return Ok(()),
                    Press::Do(order) => drop(tokio::spawn(obey(client.clone(), order, tell.clone()))),
                },
                // Its size, which drawing looks at, or whatever else terminals tell.
                Some(_) => {}
                None => return Ok(()),
            },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            _ = ticks.tick() => {}
        }
    }
}

fn ok<T>(signal: &mut io::Result<T>) -> io::Result<&mut T> {
    signal.as_mut().map_err(|error| io::Error::from(error.kind()))
}

/// What is typed. The thread ends with the process: nobody can call it back from its read.
fn keys() -> mpsc::Receiver<Event> {
    let (tell, keys) = mpsc::channel(QUEUE);
    thread::spawn(move || while event::read().is_ok_and(|event| tell.blocking_send(event).is_ok()) {});
    keys
}

async fn obey(client: Client, Order { backend, state }: Order, tell: mpsc::Sender<News>) {
    let words = match state::set(&client, &backend, &json!({"state": state.as_str()})).await {
        Ok(now) => state::words(&backend, &now),
        Err(trouble) => trouble.to_string(),
    };
    // Whoever asked may have gone.
    let _gone = tell.send(News::Note(words)).await;
}
