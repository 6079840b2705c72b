//! One address that connects again and again, at a fixed rate, and says nothing. Latency is from connect to the other side's
//! close.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use crate::net::{self, Poller};
use crate::record::{Plan, Recorder};

/// None of those that other workloads come from.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 32, 0, 1);
/// The longest wait for events.
const TURN: Duration = Duration::from_millis(1);
/// Connections that nobody has closed: beyond that no further ones are begun.
const OPEN: usize = 8000;

/// Begins `rate` connections a second, and closes each when the other side has.
pub(super) fn run(target: SocketAddrV4, plan: &Plan, rate: f64) -> io::Result<Recorder> {
    let mut poller = Poller::new()?;
    let mut recorder = Recorder::start(plan)?;
    let (began_at, mut begun) = (Instant::now(), 0_u32);
    let mut open: Vec<Option<(TcpStream, Instant)>> = Vec::new();
    let mut free = Vec::new();
    while recorder.goes_on()? {
        while began_at.elapsed().as_secs_f64() * rate >= f64::from(begun) && open.len() - free.len() < OPEN {
            let key = free.pop().unwrap_or_else(|| {
                open.push(None);
                open.len() - 1
            });
            let stream = net::begin_connect_from(SOURCE, target)?;
            poller.add(&stream, key, EventFlags::IN | EventFlags::RDHUP)?;
            open[key] = Some((stream, Instant::now()));
            begun += 1;
        }
        let ended: Vec<_> = poller.wait(Some(TURN))?.collect();
        for (key, _closed) in ended {
            if let Some((_stream, begun_at)) = open[key].take() {
                let now = Instant::now();
                recorder.op(begun_at, now, now, 0);
                free.push(key);
            }
        }
    }
    Ok(recorder)
}
