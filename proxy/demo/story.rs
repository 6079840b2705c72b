//! The story: what a proxy is for, in four chapters.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use super::LOOK_EVERY;
use super::failure::Failure;
use super::folder::OPEN_FOR;
use super::game::GameServer;
use super::player::Player;
use super::stage::Stage;
use super::status::Status;
use super::teller::{Teller, spell};

/// Slow enough to be read along.
const PACE: Duration = Duration::from_millis(600);
/// An edit takes effect within a second; a slow machine is given more.
const RELOADS_WITHIN: Duration = Duration::from_secs(10);
/// All tries of one connect end well before.
const PLACED_WITHIN: Duration = Duration::from_secs(5);
/// An opening lasts 2 s after the edit.
const HALF_OPEN_WITHIN: Duration = Duration::from_secs(10);
/// A closed circuit shows in the status as soon as the probe's player has been answered.
const CLOSES_WITHIN: Duration = Duration::from_secs(2);
/// Players who see the circuit open or close, at most. Five failures open it, one success closes it.
const CROWD: u32 = 15;

/// What is going on at the moment.
#[derive(Debug)]
pub(super) struct Story<'a> {
    stage: &'a Stage,
    teller: &'a Rc<Teller>,
    /// The game server that is down at first; `None` once it is up.
    down: Option<GameServer>,
    /// Players so far.
    came: u32,
    /// Players who wait for an answer, oldest first.
    waiting: Vec<JoinHandle<Result<Seated, Failure>>>,
    /// Players who have been answered, and stay.
    seated: Vec<Seated>,
}

/// A player with a game server that answers.
#[derive(Debug)]
struct Seated {
    player: Player,
    answered_in: Duration,
}

impl<'a> Story<'a> {
    /// Nothing has happened yet.
    pub(super) fn new(stage: &'a Stage, teller: &'a Rc<Teller>, down: GameServer) -> Self {
        Self { stage, teller, down: Some(down), came: 0, waiting: Vec::new(), seated: Vec::new() }
    }

    /// Tells it from beginning to end. All players leave at the end.
    pub(super) async fn tell(mut self) -> Result<(), Failure> {
        let address = self.down.as_ref().map(|server| server.address.to_string()).unwrap_or_default();
        self.players_come().await?;
        self.file_is_edited().await?;
        self.circuit_opens(&address).await?;
        self.circuit_closes(&address).await?;
        self.sum_up().await
    }

    async fn players_come(&mut self) -> Result<(), Failure> {
        self.teller
            .chapter("1. Players come. Each goes to the server with the fewest players for its weight, and stays.");
        for _ in 0..3 {
            self.welcome().await?;
            sleep(PACE).await;
        }
        self.all_answered().await
    }

    /// The player who gets the quickest answers stays in the game over the reload.
    async fn file_is_edited(&mut self) -> Result<(), Failure> {
        self.teller.chapter("2. The file is edited while they play.");
        let before = self.status().await?;
        let edited_at = Instant::now();
        self.stage.folder.edit(&OPEN_FOR)?;
        self.teller.event(
            "file",
            format_args!("{} becomes {}: how long a circuit stays open", OPEN_FOR.before, OPEN_FOR.after),
        );
        let after =
            self.until("the edited file to be applied", RELOADS_WITHIN, |status| status.generation > before.generation);
        let (generation, took) = (after.await?.generation, spell(edited_at.elapsed()));
        self.teller
            .event("portti", format_args!("follows the edit after {took}: generation {generation} of the config"));
        if let Some(Seated { player, .. }) = self.seated.iter_mut().min_by_key(|seated| seated.answered_in) {
            let answer = player.talk().await?;
            let (server, took) = (answer.served_by, spell(answer.took));
            self.teller
                .event(player.name(), format_args!("plays on over the same connection: {server} answered in {took}"));
        }
        sleep(PACE).await;
        Ok(())
    }

    async fn circuit_opens(&mut self, address: &str) -> Result<(), Failure> {
        self.teller.chapter(format_args!(
            "3. More players come. {address} has the fewest, so each is sent there first, and refused."
        ));
        let mut crowd = 0..CROWD;
        while self.circuit_of(address).await? != "open" {
            if crowd.next().is_none() {
                return Err(Failure::new(format_args!("expected {CROWD} players to open the circuit of {address}")));
            }
            self.welcome().await?;
            sleep(PACE).await;
        }
        self.teller.event("circuit", format_args!("of {address} is open: the server is left alone for 2 s"));
        let before = self.status().await?;
        self.welcome().await?;
        if self.status().await?.failed_since(&before).next().is_none() {
            self.teller.event(
                &name(self.came),
                format_args!("got a server at the first try: nobody is sent to {address} now"),
            );
        }
        self.all_answered().await
    }

    async fn circuit_closes(&mut self, address: &str) -> Result<(), Failure> {
        self.teller.chapter(format_args!("4. {address} comes back."));
        if let Some(server) = self.down.take() {
            server.start()?;
            self.teller.event("server", format_args!("{address} is up"));
        }
        let half_open = |status: &Status| status.backend(address).is_some_and(|backend| backend.circuit == "half_open");
        self.until("the circuit to be half open", HALF_OPEN_WITHIN, half_open).await?;
        self.teller.event("circuit", format_args!("of {address} is half open: one player may try it"));
        self.welcome().await?;
        self.newest_answered().await?;
        let closed = |status: &Status| status.backend(address).is_some_and(|backend| backend.circuit == "closed");
        self.until("the circuit to be closed by an answered player", CLOSES_WITHIN, closed).await?;
        self.teller.event("circuit", format_args!("of {address} is closed: players are welcome there"));
        sleep(PACE).await;
        self.welcome().await?;
        self.all_answered().await
    }

    async fn sum_up(self) -> Result<(), Failure> {
        let status = self.status().await?;
        let refusals: u64 = status.backends.iter().map(|backend| backend.failures_total).sum();
        let (came, served) = (self.came, self.seated.len());
        self.teller.event(
            "portti",
            format_args!(
                "{came} players came, {served} were served; {refusals} connects were refused, which none of them saw"
            ),
        );
        Ok(())
    }

    /// A player comes, and is placed with a server. The answer may take longer.
    async fn welcome(&mut self) -> Result<(), Failure> {
        let before = self.status().await?;
        self.came += 1;
        let name = name(self.came);
        let player = Player::join(name.clone(), self.stage.gate).await?;
        let (told, place_told) = oneshot::channel();
        self.waiting.push(spawn_local(be_answered(player, Rc::clone(self.teller), place_told)));
        let expected = format!("{name} to be connected to a server");
        let after = self.until(&expected, PLACED_WITHIN, |status| status.sessions_total() > before.sessions_total());
        for server in after.await?.failed_since(&before) {
            self.teller.event(&name, format_args!("refused by {server}; portti tries the next, unseen by the player"));
        }
        // Without an ear, the player has failed, and whoever waits for the answer will say so.
        let _failed = told.send(());
        Ok(())
    }

    /// Waits for the player who came last.
    async fn newest_answered(&mut self) -> Result<(), Failure> {
        if let Some(newest) = self.waiting.pop() {
            self.seated.push(outcome(newest).await?);
        }
        Ok(())
    }

    /// Waits for everyone.
    async fn all_answered(&mut self) -> Result<(), Failure> {
        for waiting in self.waiting.drain(..) {
            self.seated.push(outcome(waiting).await?);
        }
        Ok(())
    }

    async fn circuit_of(&self, address: &str) -> Result<String, Failure> {
        Ok(self.status().await?.backend(address).map(|backend| backend.circuit.clone()).unwrap_or_default())
    }

    async fn status(&self) -> Result<Status, Failure> {
        Status::read(self.stage.admin).await
    }

    /// Looks at the status until it shows what is expected, for so long at most.
    async fn until(&self, expected: &str, within: Duration, seen: impl Fn(&Status) -> bool) -> Result<Status, Failure> {
        let look = async {
            loop {
                let status = self.status().await?;
                if seen(&status) {
                    return Ok(status);
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let late = |_elapsed| Failure::new(format_args!("expected {expected} within {}", spell(within)));
        timeout(within, look).await.map_err(late)?
    }
}

/// Greets at once, and tells who answered, after it has been told how the player came there.
async fn be_answered(
    mut player: Player,
    teller: Rc<Teller>,
    place_told: oneshot::Receiver<()>,
) -> Result<Seated, Failure> {
    let answer = player.talk().await?;
    // The story may have ended before it could be told.
    let _ended = place_told.await;
    let (server, took) = (answer.served_by, spell(answer.took));
    teller.event(player.name(), format_args!("served by {server} in {took}"));
    Ok(Seated { player, answered_in: answer.took })
}

/// How a player is called.
fn name(number: u32) -> String {
    format!("player {number}")
}

async fn outcome(waiting: JoinHandle<Result<Seated, Failure>>) -> Result<Seated, Failure> {
    waiting.await.unwrap_or_else(|error| Err(Failure::new(error)))
}
