//! What a session costs while nothing happens.

use super::handle::Handle;
use super::*;
use crate::admission::level::Shares;
use crate::admission::{Admission, Policy, reconnect};
use crate::pool::tests::{plain, pool};

/// The most that a session's future may take, in bytes: with what the runtime adds to a task, that is a block of 768. The
/// next size is 896, and memory is mostly what idle players cost.
const FUTURE_BYTES: usize = 664;

/// The most that its handle may take: with the count of its owners, a block of 128.
const HANDLE_BYTES: usize = 112;

#[tokio::test]
async fn an_idle_session_stays_small() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = listener.local_addr().unwrap();
    let downstream = TcpStream::connect(client).await.unwrap();
    let (tally, mode) = (Arc::new(Tally::new("game".parse().unwrap(), 1)), Mode::Tcp);
    let pool = pool(&plain(&["127.0.0.1:1"]), None);
    let origin =
        Origin { client, known: None, accepted_at: Instant::now(), tally, mode, pool: Some(pool), access_log: true };
    let permit = admitted();
    let burden = Arc::new(Load::default()).take_on();
    let life = Session::new(origin, permit, burden, &Local::new(0, Arc::default())).run(downstream);
    let bytes = size_of_val(&life);
    assert!(bytes <= FUTURE_BYTES, "a session's future has grown to {bytes} bytes");
    let bytes = size_of::<Handle>();
    assert!(bytes <= HANDLE_BYTES, "a session's handle has grown to {bytes} bytes");
}

fn admitted() -> Permit {
    let text = "[listeners.a]\nbind = \"127.0.0.1:1\"\npool = \"a\"\n[pools.a]\nbackends = [\"127.0.0.1:2\"]";
    let config = crate::config::parse(text).unwrap().config;
    let policy = Policy::new(&config.listeners[0].name, &config.listeners[0].admission);
    let door = Arc::new(Admission::new(1, Shares::default(), reconnect::Rule::default()));
    let tally = Tally::new("game".parse().unwrap(), 1);
    door.admit((&policy, tally.memory()), [127, 0, 0, 1].into(), None, Instant::now, |_| ()).unwrap()
}
