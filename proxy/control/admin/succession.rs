//! How the admin address passes from a process that drains to the one that runs beside it.
//!
//! For a restart without a gap two processes run with one file, so with one admin address. The newer one starts without its admin
//! server and asks the older one for the address, over a socket that only processes of the same user may use. The older one gives
//! it up when it drains: until then, it is the one whose health and metrics count.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener as StdListener, UnixStream as StdStream};
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::time::{Instant, sleep};

use super::bind;
use crate::drain::{Phase, Watch};

/// Between two tries to bind the address, where nobody can be asked for it.
const AGAIN: Duration = Duration::from_millis(250);

/// Between two lines of the log that say that the address is still in use.
const REMIND_EVERY: Duration = Duration::from_secs(600);

/// Processes that may wait for the address. One does; more are a mistake, and bind it when they can.
const SUCCESSORS: usize = 4;

/// What a successor hears when the address is free.
const FREE: u8 = b'.';

/// Where processes ask for the address that this one has.
#[derive(Debug)]
pub(super) struct Estate {
    /// `None` where it could not be had: then they wait until this process has ended.
    door: Option<UnixListener>,
    successors: Vec<UnixStream>,
    is_draining: bool,
}

impl Estate {
    /// Of the admin address.
    pub(super) fn of(address: SocketAddr) -> Self {
        let door = listen(address).inspect_err(|error| {
            tracing::debug!(%address, %error, "no other portti can ask for the admin address before this one ends");
        });
        Self { door: door.ok(), successors: Vec::new(), is_draining: false }
    }

    /// Resolves when the process drains and another one wants the address. Cancel safe.
    pub(super) async fn asked_for(&mut self, drain: &mut Watch) {
        loop {
            self.successors.retain(is_there);
            if self.is_draining && !self.successors.is_empty() {
                return;
            }
            tokio::select! {
                successor = next(self.door.as_ref()) => {
                    self.successors.truncate(SUCCESSORS - 1);
                    self.successors.push(successor);
                }
                () = drain.reached(Phase::Leaving), if !self.is_draining => self.is_draining = true,
            }
        }
    }

    /// Tells those who wait that the address is free: the sockets that were bound to it must be closed.
    pub(super) async fn pass_on(self) {
        // Whoever is next has the same name.
        drop(self.door);
        for mut successor in self.successors {
            // It may have gone; its end tells the same.
            let _gone = successor.write_u8(FREE).await;
        }
    }
}

/// The next process that asks and may do so.
async fn next(door: Option<&UnixListener>) -> UnixStream {
    let Some(door) = door else { return pending().await };
    loop {
        match door.accept().await {
            Ok((successor, _)) if is_ours(&successor) => return successor,
            Ok(_) => {}
            Err(_) => sleep(AGAIN).await,
        }
    }
}

/// Binds the address as soon as the process that has it gives it up, or has ended.
pub(super) async fn take_over(address: SocketAddr) -> TcpListener {
    let mut told_at = Instant::now();
    loop {
        match bind(address).await {
            Ok(socket) => return socket,
            Err(error) if told_at.elapsed() >= REMIND_EVERY => {
                tracing::warn!(%address, %error, "still without the admin server");
                told_at = Instant::now();
            }
            Err(_) => {}
        }
        if given_up(address).await.is_err() {
            sleep(AGAIN).await;
        }
    }
}

/// Asks the process that has the address for it, and waits until it is free.
async fn given_up(address: SocketAddr) -> io::Result<()> {
    let stream = StdStream::connect_addr(&name(address)?)?;
    stream.set_nonblocking(true)?;
    let mut holder = UnixStream::from_std(stream)?;
    if !is_ours(&holder) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    holder.read_u8().await.map(|_free| ())
}

/// Whether a process still waits. It sends nothing, so there is only an end to be read.
fn is_there(successor: &UnixStream) -> bool {
    successor.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn listen(address: SocketAddr) -> io::Result<UnixListener> {
    let socket = StdListener::bind_addr(&name(address)?)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
}

/// In no folder, and only seen where the address is: in the same network namespace.
fn name(address: SocketAddr) -> io::Result<UnixAddr> {
    UnixAddr::from_abstract_name(format!("portti admin {address}"))
}

/// Whether a process of the same user is at the other end, or root.
fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw() || peer.uid() == 0)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::drain;

    /// Longer than a machine that is busy takes for anything here.
    const PATIENCE: Duration = Duration::from_secs(10);

    async fn holder() -> (TcpListener, SocketAddr, Estate) {
        let held = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = held.local_addr().unwrap();
        (held, address, Estate::of(address))
    }

    /// Longer than a process needs to ask for the address.
    const EARLY: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_process_that_drains_gives_the_address_up_to_one_that_waits() {
        let (held, address, mut estate) = holder().await;
        let (trigger, mut drain) = drain::channel();
        let successor = tokio::spawn(take_over(address));
        let early = timeout(EARLY, estate.asked_for(&mut drain)).await;
        assert!(early.is_err() && !successor.is_finished(), "nobody drains yet");
        trigger.advance(Phase::Leaving);
        timeout(PATIENCE, estate.asked_for(&mut drain)).await.unwrap();
        drop(held);
        estate.pass_on().await;
        let taken = timeout(PATIENCE, successor).await.unwrap().unwrap();
        assert_eq!(taken.local_addr().unwrap(), address);
        assert!(Estate::of(address).door.is_some(), "and can itself be asked");
    }

    #[tokio::test]
    async fn a_process_that_drains_keeps_the_address_until_one_asks() {
        let (_held, address, mut estate) = holder().await;
        let (trigger, mut drain) = drain::channel();
        let gone = tokio::spawn(take_over(address));
        assert!(timeout(EARLY, estate.asked_for(&mut drain)).await.is_err());
        gone.abort();
        assert!(timeout(EARLY, estate.asked_for(&mut drain)).await.is_err());
        trigger.advance(Phase::Leaving);
        assert!(timeout(EARLY, estate.asked_for(&mut drain)).await.is_err(), "the one that asked has ended");
        let late = tokio::spawn(take_over(address));
        timeout(PATIENCE, estate.asked_for(&mut drain)).await.unwrap();
        late.abort();
    }

    #[tokio::test]
    async fn the_address_of_a_process_that_has_ended_is_taken() {
        let (held, address, mut estate) = holder().await;
        let (_trigger, mut drain) = drain::channel();
        let successor = tokio::spawn(take_over(address));
        assert!(timeout(EARLY, estate.asked_for(&mut drain)).await.is_err());
        drop((held, estate));
        assert_eq!(timeout(PATIENCE, successor).await.unwrap().unwrap().local_addr().unwrap(), address);
    }
}
