//! The accept loop over real sockets, in a runtime of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{Duration, timeout};

use super::*;
use crate::config;
use crate::pool::discovery::{Answers, Resolved};
use crate::session::{CloseReason, Local};
use crate::snapshot::hand::Hand;
use crate::snapshot::{Listener, Snapshot};

/// Refuses everybody, which is all that these tests need of a session.
const CONFIG: &str = "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\ndeny = [\"127.0.0.0/8\"]\n\
                      [pools.game]\nbackends = [\"127.0.0.1:1\"]\n";

const PATIENCE: Duration = Duration::from_secs(10);

struct Stage {
    listener: Arc<Listener>,
    socket: net::TcpListener,
    stop: Rc<Stop>,
    acceptor: Acceptor,
}

impl Stage {
    fn new() -> Self {
        let config = config::check(Path::new("portti.toml"), CONFIG.as_bytes()).unwrap().config;
        let (answers, kept) = (Answers::default(), BTreeMap::new());
        let resolved = Resolved { answers: &answers, kept: &kept };
        let snapshot = Snapshot::new(&config, &BTreeMap::new(), resolved, &Hand::default(), None);
        let listener = Arc::clone(snapshot.listeners.values().next().unwrap());
        let address = config.listeners[0].bind[0];
        let socket = socket::listen(address, 1, socket::Sharing::Alone).unwrap().remove(0);
        let door = Door {
            listener: RefCell::new(Arc::clone(&listener)),
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            spread: Spread::new(1).0,
            home: Home::new(Local::new(0, Arc::default())),
        };
        let stop = Rc::new(Stop::default());
        let acceptor = Acceptor::new(address, Rc::new(door), Rc::clone(&stop));
        Self { listener, socket, stop, acceptor }
    }

    /// Clients whose connections wait in the kernel's queue.
    fn clients(&self, count: usize) -> Vec<net::TcpStream> {
        let address = self.socket.local_addr().unwrap();
        (0..count).map(|_| net::TcpStream::connect(address).unwrap()).collect()
    }

    #[allow(deprecated, reason = "as in the worker")]
    fn watched(socket: net::TcpListener) -> AsyncFd<net::TcpListener> {
        AsyncFd::with_interest(socket, Interest::READABLE).unwrap()
    }
}

fn on_a_worker<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { timeout(PATIENCE, work).await.expect("it ends") })
}

fn refused(listener: &Listener) -> u64 {
    listener.counts.tally.ended(CloseReason::Denied)
}

#[test]
fn a_few_connections_are_accepted_between_two_polls_of_the_driver_and_none_is_forgotten() {
    const CLIENTS: usize = 100;
    on_a_worker(async {
        let stage = Stage::new();
        let _clients = stage.clients(CLIENTS);
        let listener = stage.listener;
        let _accepting = spawn_local(stage.acceptor.run(Stage::watched(stage.socket)));
        let mut most = 0;
        while refused(&listener) < CLIENTS as u64 {
            let before = refused(&listener);
            yield_now().await;
            most = most.max(refused(&listener) - before);
        }
        assert_eq!(most, u64::from(ACCEPTS_PER_TURN));
    });
}

#[test]
fn who_waits_when_a_socket_is_closed_is_taken_in() {
    on_a_worker(async {
        let stage = Stage::new();
        let _clients = stage.clients(100);
        stage.stop.ask();
        stage.acceptor.run(Stage::watched(stage.socket)).await;
        assert_eq!(refused(&stage.listener), 100);
    });
}

#[test]
fn a_socket_that_was_shut_down_from_outside_is_given_up() {
    for is_stopped in [false, true] {
        on_a_worker(async {
            let stage = Stage::new();
            // Whoever else has it open.
            socket::silence(&stage.socket).unwrap();
            if is_stopped {
                stage.stop.ask();
            }
            let address = stage.acceptor.address;
            stage.acceptor.run(Stage::watched(stage.socket)).await;
            let counts = &stage.listener.counts;
            assert_eq!(counts.accept_errors(AcceptError::Unusable), 1);
            assert_eq!(counts.accept_errors(AcceptError::Connection), 0);
            let lost: Vec<_> = counts.lost().into_iter().collect();
            assert_eq!(lost, if is_stopped { vec![] } else { vec![address] });
            counts.note_opened(address);
            assert!(counts.lost().is_empty());
        });
    }
}
