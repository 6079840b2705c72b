//! Single steps, timed alone: choosing a backend, relaying over memory, reading a large config. Run: cargo bench
//!
//! Whole sessions, beside other proxies, are `scripts/bench`.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::task::{Context, Poll};

use divan::Bencher;
use divan::counter::BytesCount;
use ipnet::IpNet;
use portti::admission::acl::Networks;
use portti::config;
use portti::net::client::ClientKey;
use portti::pool::balance::{Balancer, Candidate, Strategy};
use portti::pool::discovery::{self, Answers};
use portti::pool::{BackendRegistry, Pool, PoolOrigin, Request};
use portti::relay::{self, Buffer, Direction, Limits, Observe, Stop};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio::time::Instant;

fn main() {
    divan::main();
}

const BACKENDS: [usize; 3] = [3, 100, 1000];

fn config_of(pools: usize, backends: usize, balance: &str) -> String {
    let mut text = "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"p0\"\n".to_owned();
    for pool in 0..pools {
        write!(text, "[pools.p{pool}]\nbalance = \"{balance}\"\nbackends = [").expect("memory takes it");
        for backend in 0..backends {
            write!(text, "\"10.{}.{}.{}:25565\", ", pool % 256, backend / 256, backend % 256).expect("memory takes it");
        }
        text.push_str("]\n");
    }
    text
}

fn lease(bencher: Bencher<'_, '_>, backends: usize, balance: &str) {
    let parsed = config::parse(&config_of(1, backends, balance)).expect("the text above is a config");
    let config = &parsed.config.pools[0];
    let registry = BackendRegistry::default();
    let origin = PoolOrigin { before: None, registry: &registry, cold: false };
    let pool = Pool::new(config, discovery::expand(&config.backends, &Answers::default()), None, &origin);
    let (request, now) = (Request::new(ClientKey::of([192, 0, 2, 1].into())), Instant::now());
    bencher.bench_local(|| pool.lease(&request, now));
}

/// A choice and its lease, given back at once.
#[divan::bench(args = BACKENDS)]
fn least_connections(bencher: Bencher<'_, '_>, backends: usize) {
    lease(bencher, backends, "least_connections");
}

/// A choice and its lease, given back at once.
#[divan::bench(args = BACKENDS)]
fn round_robin(bencher: Bencher<'_, '_>, backends: usize) {
    lease(bencher, backends, "round_robin");
}

/// A choice and its lease, given back at once.
#[divan::bench(args = BACKENDS)]
fn random_two(bencher: Bencher<'_, '_>, backends: usize) {
    lease(bencher, backends, "random_two");
}

/// A choice and its lease, given back at once.
#[divan::bench(args = BACKENDS)]
fn maglev(bencher: Bencher<'_, '_>, backends: usize) {
    lease(bencher, backends, "maglev");
}

/// The table of 65,537 slots, made anew at each change of the pool.
#[divan::bench(args = BACKENDS, sample_count = 20)]
fn maglev_table(bencher: Bencher<'_, '_>, backends: usize) {
    let labels: Vec<_> = (0..backends).map(|number| format!("10.0.{}.{}:25565", number / 256, number % 256)).collect();
    let candidates: Vec<_> = labels.iter().map(|label| Candidate { weight: 1, label }).collect();
    bencher.bench_local(|| Balancer::new(Strategy::Maglev, &candidates));
}

/// Whether an address is on a list of so many networks.
#[divan::bench(args = [100, 100_000])]
fn deny_list(bencher: Bencher<'_, '_>, networks: u32) {
    let step = u32::MAX / networks;
    let network = |number: u32| IpNet::from(IpAddr::from(Ipv4Addr::from(number * step)));
    let list = Networks::new(&(0..networks).map(network).collect::<Vec<_>>());
    let mut client = 0_u32;
    bencher.bench_local(|| {
        client = client.wrapping_add(0x9e37_79b9);
        list.contain(Ipv4Addr::from(client).into())
    });
}

/// A file of 1,000 pools with five backends each.
#[divan::bench(sample_count = 20)]
fn large_config(bencher: Bencher<'_, '_>) {
    let text = config_of(1000, 5, "least_connections");
    bencher.bench_local(|| config::parse(&text).expect("a good config"));
}

const MESSAGE: usize = 16 * 1024;
const MESSAGES: usize = 64;

/// One MiB from client to backend, in messages of 16 KiB.
#[divan::bench]
fn relay_over_memory(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let buffer = Buffer::new();
    bencher.counter(BytesCount::new(MESSAGE * MESSAGES)).bench_local(|| runtime.block_on(one_session(&buffer)));
}

async fn one_session(buffer: &Buffer) {
    let (mut client, downstream) = duplex(MESSAGE);
    let (mut backend, upstream) = duplex(MESSAGE);
    let (mut downstream, mut upstream) = (Memory(downstream), Memory(upstream));
    let (limits, observer, stop) = (Limits::default(), Count::default(), Stop::default());
    let session = relay::Session { buffer, limits: &limits, began: Instant::now(), observer: &observer, stop: &stop };
    let talk = async {
        for _ in 0..MESSAGES {
            client.write_all(&[7; MESSAGE]).await.expect("the relay reads");
        }
        client.shutdown().await.expect("the relay reads");
    };
    let listen = async {
        let mut heard = [0; MESSAGE];
        while backend.read(&mut heard).await.expect("the relay writes") > 0 {}
        backend.shutdown().await.expect("the relay reads");
    };
    tokio::join!(relay::run(&mut downstream, &mut upstream, session), talk, listen);
    assert_eq!(observer.0.get(), MESSAGE * MESSAGES);
}

#[derive(Default)]
struct Count(Cell<usize>);

impl Observe for Count {
    fn notice(&self) -> Option<String> {
        None
    }

    fn passed(&self, _direction: Direction, bytes: usize) {
        self.0.set(self.0.get() + bytes);
    }

    fn answered(&self) {}

    fn backend_ended(&self) {}

    fn measured(&self, _quality: relay::Quality) {}
}

/// A pipe that a relay takes for a socket.
struct Memory(DuplexStream);

impl relay::Socket for Memory {
    const ENDS_WHEN_DROPPED: bool = false;

    fn is_broken(&self) -> bool {
        false
    }

    fn settle(&self, _: relay::Liveness) {}
}

impl AsyncRead for Memory {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Memory {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
