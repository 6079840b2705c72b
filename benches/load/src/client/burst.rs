//! Everybody at once: the time until all have had a round trip. Latency is from each connection's own connect.

use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::TURN;
use super::cycle::{Cycle, Progress};
use crate::net::Poller;
use crate::record::{Plan, Recorder};

/// Whoever has had no answer by then has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Begins `connections` connections without waiting for any, then serves them until all are answered.
pub(super) fn run(target: SocketAddrV4, plan: &Plan, connections: u32, size: usize) -> io::Result<Recorder> {
    let mut poller = Poller::new()?;
    let message = vec![b'b'; size];
    warm_up(target, &message)?;
    let plan = Plan { warm_up: Duration::ZERO, interval: PATIENCE, ..plan.clone() };
    let mut recorder = Recorder::start(&plan)?;
    recorder.goes_on()?;
    let mut cycles = Vec::new();
    for number in 0..connections {
        cycles.push(Some(Cycle::begin((target, false), number, &poller, cycles.len())?));
    }
    let mut open = cycles.len();
    // Answered connections stay open until the end: a burst of players does not leave again at once.
    while open > 0 && recorder.goes_on()? {
        for (key, happened) in poller.wait(Some(TURN))? {
            let Some(cycle) = &mut cycles[key] else { continue };
            match cycle.advance(happened, &message) {
                Ok(Progress::Answered) => {
                    let now = Instant::now();
                    recorder.op(cycle.began_at, now, now, size);
                    open -= 1;
                }
                Ok(_) => {}
                Err(_broken) => {
                    recorder.error();
                    cycles[key] = None;
                    open -= 1;
                }
            }
        }
    }
    if open == 0 {
        recorder.finish()?;
    }
    (0..open).for_each(|_| recorder.error());
    Ok(recorder)
}

/// One session before the burst, so that nobody is measured loading its code.
fn warm_up(target: SocketAddrV4, message: &[u8]) -> io::Result<()> {
    super::idle::round_trip(target, 0, message).map(drop)
}
