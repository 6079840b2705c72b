//! One way, as fast as it goes.

use std::io;
use std::net::SocketAddrV4;

use rustix::event::epoll::EventFlags;

use super::{TURN, connect_all};
use crate::net::{self, Poller};
use crate::record::{Plan, Recorder};

/// Bytes read or written at a time.
const CHUNK: usize = 256 * 1024;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the client.
    Down,
    /// From the client.
    Up,
}

/// Moves bytes until the time is over. What is on its way when it is counts as moved: some megabytes at most.
pub(super) fn run(target: SocketAddrV4, plan: &Plan, direction: Direction, connections: usize) -> io::Result<Recorder> {
    let mut poller = Poller::new()?;
    let mut buffer = vec![0; CHUNK];
    let streams = connect_all(target, connections)?;
    let interest = if direction == Direction::Down { EventFlags::IN } else { EventFlags::OUT };
    for (key, stream) in streams.iter().enumerate() {
        poller.add(stream, key, interest)?;
    }
    let mut recorder = Recorder::start(plan)?;
    while recorder.goes_on()? {
        for (key, _) in poller.wait(Some(TURN))? {
            let moved = match direction {
                Direction::Down => net::read(&streams[key], &mut buffer)?,
                Direction::Up => net::write(&streams[key], &buffer)?,
            };
            match moved {
                None => {}
                Some(0) => return Err(io::Error::other("a session was closed")),
                Some(count) => recorder.bytes(count),
            }
        }
    }
    Ok(recorder)
}
