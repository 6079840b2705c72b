//! Connections per second: connect, one round trip, close, and the next. Latency is that of the whole cycle.

use std::io;
use std::net::SocketAddrV4;
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use super::TURN;
use super::cycle::{Cycle, Progress};
use crate::net::Poller;
use crate::record::{Plan, Recorder};

/// Keeps `connections` cycles under way.
pub(super) fn run(target: (SocketAddrV4, bool), plan: &Plan, connections: usize, size: usize) -> io::Result<Recorder> {
    let mut poller = Poller::new()?;
    let message = vec![b'c'; size];
    let mut begun = 0;
    let mut begin = |poller: &Poller, key: usize| {
        begun += 1;
        Cycle::begin(target, begun, poller, key)
    };
    let mut recorder = Recorder::start(plan)?;
    let mut cycles = (0..connections).map(|key| begin(&poller, key)).collect::<io::Result<Vec<_>>>()?;
    let mut ended = Vec::new();
    while recorder.goes_on()? {
        for (key, happened) in poller.wait(Some(TURN))? {
            match advance(&mut cycles[key], happened, &message) {
                Ok(Progress::Closed) => {
                    let now = Instant::now();
                    recorder.op(cycles[key].began_at, now, now, size);
                    ended.push(key);
                }
                Ok(_) => {}
                Err(_broken) => {
                    recorder.error();
                    ended.push(key);
                }
            }
        }
        for key in ended.drain(..) {
            cycles[key] = begin(&poller, key)?;
        }
    }
    Ok(recorder)
}

fn advance(cycle: &mut Cycle, happened: EventFlags, message: &[u8]) -> io::Result<Progress> {
    match cycle.advance(happened, message)? {
        Progress::Answered => {
            cycle.close()?;
            // The peer may have closed already; edge-triggered, that would not be told again.
            if happened.contains(EventFlags::RDHUP) { cycle.advance(happened, message) } else { Ok(Progress::Pending) }
        }
        other => Ok(other),
    }
}
