//! Players that send at a fixed rate, evenly spread, whether answers come or not.
//!
//! Latency is counted from when a message was *due*, so that a stall shows in every message that it held up.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddrV4, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use super::connect_all;
use crate::net::{self, Poller};
use crate::record::{Plan, Recorder};

/// A message sent later than this after it was due is counted as late: then the client is the one that is slow.
const LATE: Duration = Duration::from_millis(1);
/// How long after the end of the interval answers still count.
const GRACE: Duration = Duration::from_secs(1);
/// The longest wait for events. It matters only once nothing is due any more.
const TURN: Duration = Duration::from_millis(1);

/// How many send how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) players: u32,
    pub(super) rate: f64,
}

struct Player {
    stream: TcpStream,
    /// When the messages that have not been answered yet were due, oldest first.
    due: VecDeque<Instant>,
    /// Bytes received of the oldest one's answer.
    partial: usize,
}

/// Plays until the interval is over, then waits a little for the last answers.
pub(super) fn run(target: SocketAddrV4, plan: &Plan, pace: Pace, size: usize) -> io::Result<Recorder> {
    // Otherwise the kernel may delay a timer by 50 µs to save a wake-up, as long as the time between two messages.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let mut game = Game::new(target, pace, size)?;
    let mut recorder = Recorder::start(plan)?;
    let mut schedule = Schedule::new(pace);
    while recorder.goes_on()? {
        while schedule.next <= Instant::now() {
            game.send(schedule.number, schedule.next, &mut recorder);
            schedule.step();
        }
        game.receive(schedule.next.saturating_duration_since(Instant::now()), &mut recorder)?;
    }
    let until = Instant::now() + GRACE;
    while game.unanswered() > 0 && Instant::now() < until {
        game.receive(TURN, &mut recorder)?;
    }
    (0..game.unanswered()).for_each(|_| recorder.error());
    Ok(recorder)
}

/// When the next message is due, and its number.
struct Schedule {
    began_at: Instant,
    spacing: f64,
    number: u64,
    next: Instant,
}

impl Schedule {
    fn new(pace: Pace) -> Self {
        let began_at = Instant::now();
        Self { began_at, spacing: 1.0 / (pace.rate * f64::from(pace.players)), number: 0, next: began_at }
    }

    /// From the beginning each time, so that rounding does not add up.
    fn step(&mut self) {
        self.number += 1;
        self.next = self.began_at + Duration::from_secs_f64(self.spacing * self.number as f64);
    }
}

struct Game {
    poller: Poller,
    players: Vec<Player>,
    message: Vec<u8>,
    buffer: Vec<u8>,
}

impl Game {
    fn new(target: SocketAddrV4, pace: Pace, size: usize) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut players = Vec::new();
        for (key, stream) in connect_all(target, pace.players as usize)?.into_iter().enumerate() {
            poller.add(&stream, key, EventFlags::IN)?;
            players.push(Player { stream, due: VecDeque::new(), partial: 0 });
        }
        Ok(Self { poller, players, message: vec![b'g'; size], buffer: vec![0; 64 * 1024] })
    }

    /// Sends message `number`, of the player whose turn it is.
    fn send(&mut self, number: u64, due: Instant, recorder: &mut Recorder) {
        let turn = number % self.players.len() as u64;
        let player = &mut self.players[usize::try_from(turn).unwrap_or_default()];
        if due.elapsed() > LATE {
            recorder.late(due);
        }
        match net::write(&player.stream, &self.message) {
            Ok(Some(count)) if count == self.message.len() => player.due.push_back(due),
            // The way is blocked, or gone: a player would call that an error too.
            _ => recorder.error(),
        }
    }

    fn receive(&mut self, limit: Duration, recorder: &mut Recorder) -> io::Result<()> {
        for (key, _) in self.poller.wait(Some(limit.min(TURN)))? {
            let player = &mut self.players[key];
            match net::read(&player.stream, &mut self.buffer)? {
                None => {}
                Some(0) => return Err(io::Error::other("a player's session was closed")),
                Some(count) => player.answered(count, self.message.len(), recorder),
            }
        }
        Ok(())
    }

    fn unanswered(&self) -> usize {
        self.players.iter().map(|player| player.due.len()).sum()
    }
}

impl Player {
    fn answered(&mut self, count: usize, size: usize, recorder: &mut Recorder) {
        let now = Instant::now();
        self.partial += count;
        while self.partial >= size {
            self.partial -= size;
            if let Some(due) = self.due.pop_front() {
                recorder.op(due, now, due, size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_evenly_spread_and_the_schedule_does_not_drift() {
        let mut schedule = Schedule::new(Pace { players: 1000, rate: 20.0 });
        let begin = schedule.next;
        schedule.step();
        assert_eq!(schedule.next - begin, Duration::from_micros(50));
        (0..39_999).for_each(|_| schedule.step());
        assert_eq!(schedule.next - begin, Duration::from_secs(2));
    }
}
