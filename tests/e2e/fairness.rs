//! What the sessions of a worker notice of each other.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, eventually, own_address};

/// As many bytes as the machine can carry, from a server through a proxy, on threads of their own.
struct Bulk {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Bulk {
    /// A server that sends without end to so many clients.
    fn source(clients: usize) -> (std::net::SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(own_address()).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let serve = |mut stream: TcpStream| {
                let chunk = vec![7; 1 << 20];
                while stream.write_all(&chunk).is_ok() {}
            };
            let streams: Vec<_> = (0..clients).map(|_| listener.accept().unwrap().0).collect();
            thread::scope(|scope| streams.into_iter().for_each(|stream| drop(scope.spawn(move || serve(stream)))));
        });
        (address, serving)
    }

    fn begin(proxy: &Proxy, clients: usize) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let threads = (0..clients).map(|_| {
            let (mut stream, ends) = (TcpStream::connect(proxy.address_of("bulk")).unwrap(), Arc::clone(&ends));
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 20];
                while !ends.load(Ordering::Relaxed) && stream.read(&mut buffer).unwrap() > 0 {}
            })
        });
        let threads = threads.collect();
        Self { ends, threads }
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// The median of some round trips.
async fn round_trip(client: &mut Peer) -> Duration {
    let mut took = Vec::new();
    for _ in 0..9 {
        let asked = Instant::now();
        client.echo(b"!").await;
        took.push(asked.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    took.sort_unstable();
    took[took.len() / 2]
}

/// Without turns, a round trip takes 60 to 80 ms however fast the machine is: the faster it is, the more is passed meanwhile. A machine
/// that is busy with other things makes single rounds late, never all of them.
#[tokio::test]
async fn bulk_transfers_on_its_worker_do_not_hold_up_a_game() {
    const TRANSFERS: usize = 2;
    let (source, serving) = Bulk::source(TRANSFERS);
    let game = Backend::echo();
    let config = format!(
        "[server]\nworkers = 1\n[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n\
         [listeners.bulk]\nbind = \"127.0.0.1:0\"\npool = \"bulk\"\n[pools.bulk]\nbackends = [\"{source}\"]\n{}",
        pool(&[&game], "")
    );
    let proxy = Proxy::with(&config);
    let mut client = proxy.connect().await;
    let bulk = Bulk::begin(&proxy, TRANSFERS);
    eventually("the transfers run", async || {
        proxy.metric("portti_bytes_total", &[("listener", "bulk"), ("direction", "down")]).await > 50e6
    })
    .await;
    eventually("a quick round trip", async || round_trip(&mut client).await < Duration::from_millis(15)).await;
    drop(bulk);
    drop(proxy);
    serving.join().unwrap();
}
