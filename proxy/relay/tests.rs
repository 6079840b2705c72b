//! The relay over memory, with a clock that only moves when everybody waits.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use std::cell::Cell;
use std::rc::Rc;

mod cut;
mod fairness;
mod fragments;
mod half_close;
mod notices;
mod order;
mod turns;
mod vanished;

use fragments::Fragmented;

/// Bytes that a test's connection holds before its reader takes them.
const PIPE: usize = 4096;

const UNLIMITED: Limits = Limits {
    idle: None,
    request: None,
    lifetime: None,
    half_close: None,
    liveness: Liveness { user_timeout: None, keepalive: None },
};

impl Socket for DuplexStream {
    const ENDS_WHEN_DROPPED: bool = false;

    fn is_broken(&self) -> bool {
        false
    }

    fn settle(&self, _: Liveness) {}

    fn quality(&self) -> Option<Quality> {
        Some(Quality { rtt_us: 1234, retransmits: 5 })
    }
}

/// What a test sees of a relay from outside.
#[derive(Debug, Default)]
struct Seen {
    up: Cell<usize>,
    down: Cell<usize>,
    answers: Cell<usize>,
    backend_ends: Cell<usize>,
    notice: Cell<Option<&'static str>>,
    quality: Cell<Option<Quality>>,
    truncated: Cell<Option<Side>>,
    stop: Stop,
}

impl Observe for Seen {
    fn passed(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        counter.set(counter.get() + bytes);
    }

    fn answered(&self) {
        self.answers.set(self.answers.get() + 1);
    }

    fn backend_ended(&self) {
        self.backend_ends.set(self.backend_ends.get() + 1);
    }

    fn notice(&self) -> Option<String> {
        self.notice.take().map(str::to_owned)
    }

    fn measured(&self, quality: Quality) {
        self.quality.set(Some(quality));
    }

    fn truncated(&self, side: Side) {
        self.truncated.set(Some(side));
    }
}

/// A client and a backend with a relay between them.
struct Bench {
    client: DuplexStream,
    backend: DuplexStream,
    seen: Rc<Seen>,
    relay: tokio::task::JoinHandle<End>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let (client, mut downstream) = duplex(PIPE);
        let (backend, mut upstream) = duplex(PIPE);
        let seen = Rc::new(Seen::default());
        let observed = Rc::clone(&seen);
        let began = Instant::now();
        let relay = tokio::task::spawn_local(async move {
            let buffer = Buffer::new();
            let session =
                Session { buffer: &buffer, limits: &limits, began, observer: &*observed, stop: &observed.stop };
            run(&mut downstream, &mut upstream, session).await
        });
        Self { client, backend, seen, relay }
    }

    async fn end(self) -> End {
        self.relay.await.unwrap()
    }
}

/// Runs a test that uses `spawn_local`.
async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

async fn read_exactly<const N: usize>(stream: &mut DuplexStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_both_ways_and_are_counted() {
    local(async {
        let mut bench = Bench::new(Limits::default());
        bench.client.write_all(b"hello").await.unwrap();
        assert_eq!(&read_exactly::<5>(&mut bench.backend).await, b"hello");
        bench.backend.write_all(b"hi").await.unwrap();
        bench.backend.write_all(b" there").await.unwrap();
        assert_eq!(&read_exactly::<8>(&mut bench.client).await, b"hi there");
        assert_eq!((bench.seen.up.get(), bench.seen.down.get()), (5, 8));
        assert_eq!(bench.seen.answers.get(), 1, "only the first byte is an answer");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_long_after_the_clients_end_still_arrives() {
    local(async {
        let mut bench = Bench::new(Limits { request: Some(seconds(7200)), ..Limits::default() });
        bench.client.write_all(b"last words").await.unwrap();
        bench.client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        bench.backend.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last words");
        sleep(seconds(3600)).await;
        bench.backend.write_all(b"reply").await.unwrap();
        bench.backend.shutdown().await.unwrap();
        let mut reply = Vec::new();
        bench.client.read_to_end(&mut reply).await.unwrap();
        assert_eq!(reply, b"reply");
        assert_eq!(bench.end().await, End::Closed(Side::Downstream));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_client_may_go_on_after_the_backends_end() {
    local(async {
        let mut bench = Bench::new(Limits::default());
        bench.backend.shutdown().await.unwrap();
        let mut nothing = Vec::new();
        bench.client.read_to_end(&mut nothing).await.unwrap();
        sleep(seconds(10)).await;
        bench.client.write_all(b"more").await.unwrap();
        assert_eq!(&read_exactly::<4>(&mut bench.backend).await, b"more");
        bench.client.shutdown().await.unwrap();
        assert_eq!(bench.end().await, End::Closed(Side::Upstream));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_side_does_not_take_is_bounded() {
    local(async {
        let mut bench = Bench::new(Limits::default());
        let mut sent = 0;
        while let Ok(written) = timeout(seconds(1), bench.backend.write(&[7; 1000])).await {
            sent += written.unwrap();
        }
        assert!(sent <= 2 * PIPE + BUFFER_BYTES, "{sent} bytes are held for a client that reads nothing");
        assert!(sent >= 2 * PIPE);
        // It all arrives once the client reads.
        let mut received = vec![0; sent];
        bench.client.read_exact(&mut received).await.unwrap();
        assert!(received.iter().all(|&byte| byte == 7));
        assert_eq!(bench.seen.down.get(), sent);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_after_the_idle_time_and_not_before() {
    local(async {
        let idle = seconds(16);
        let mut bench = Bench::new(Limits { idle: Some(idle), ..Limits::default() });
        // One direction is enough to live on, for as long as bytes come.
        for _ in 0..10 {
            sleep(seconds(15)).await;
            bench.backend.write_all(b"x").await.unwrap();
            read_exactly::<1>(&mut bench.client).await;
        }
        let last_byte = Instant::now();
        assert_eq!(bench.end().await, End::IdleTimeout);
        let silence = last_byte.elapsed();
        assert!(silence >= idle && silence <= idle * 17 / 16 + seconds(1) / 100, "{silence:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn undelivered_bytes_do_not_keep_a_session_from_being_idle() {
    local(async {
        let mut bench = Bench::new(Limits { idle: Some(seconds(16)), ..Limits::default() });
        let started = Instant::now();
        while timeout(seconds(1), bench.backend.write(&[7; 1000])).await.is_ok() {}
        assert_eq!(bench.end().await, End::IdleTimeout);
        assert!(started.elapsed() <= seconds(19));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_answers_runs_into_the_request_limit() {
    local(async {
        let limits = Limits { request: Some(seconds(30)), idle: Some(seconds(3600)), ..UNLIMITED };
        let mut bench = Bench::new(limits);
        // As long as nothing was asked, nothing is owed.
        sleep(seconds(100)).await;
        bench.client.write_all(b"anyone?").await.unwrap();
        let asked = Instant::now();
        sleep(seconds(20)).await;
        bench.client.write_all(b"anyone at all?").await.unwrap();
        read_exactly::<21>(&mut bench.backend).await;
        assert_eq!(bench.end().await, End::RequestTimeout);
        assert!(asked.elapsed() >= seconds(30) && asked.elapsed() < seconds(31), "{:?}", asked.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_on_talking_does_not_put_the_request_limit_off() {
    local(async {
        let mut bench = Bench::new(Limits { request: Some(seconds(30)), ..Limits::default() });
        let asked = Instant::now();
        while bench.client.write_all(b"position").await.is_ok() && asked.elapsed() < seconds(300) {
            read_exactly::<8>(&mut bench.backend).await;
            sleep(seconds(1)).await;
        }
        assert_eq!(bench.end().await, End::RequestTimeout);
        assert!(asked.elapsed() >= seconds(30) && asked.elapsed() <= seconds(31), "{:?}", asked.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_of_a_backend_ends_the_request_limit_for_good() {
    local(async {
        let mut bench = Bench::new(Limits { request: Some(seconds(30)), ..Limits::default() });
        bench.client.write_all(b"?").await.unwrap();
        bench.backend.write_all(b"!").await.unwrap();
        read_exactly::<1>(&mut bench.client).await;
        bench.client.write_all(b"and now?").await.unwrap();
        sleep(seconds(300)).await;
        assert!(!bench.relay.is_finished());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_at_its_lifetime_however_busy_it_is() {
    local(async {
        let begun = Instant::now();
        let mut bench = Bench::new(Limits { lifetime: Some(seconds(60)), ..Limits::default() });
        while bench.client.write_all(b"x").await.is_ok() && bench.backend.read_u8().await.is_ok() {
            sleep(seconds(1)).await;
        }
        assert_eq!(bench.end().await, End::MaxLifetime);
        let lasted = begun.elapsed(); // up to the client's next byte, a second later
        assert!(lasted >= seconds(60) && lasted <= seconds(61), "{lasted:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_stops_when_it_is_asked_to() {
    local(async {
        let mut bench = Bench::new(Limits::default());
        bench.client.write_all(b"x").await.unwrap();
        read_exactly::<1>(&mut bench.backend).await;
        bench.seen.stop.ask();
        assert_eq!(bench.end().await, End::Stopped);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_said_before_it_broke_still_arrives() {
    local(async {
        let (mut client, mut downstream) = duplex(PIPE);
        let (mut backend, mut upstream) = duplex(PIPE);
        backend.write_all(b"kicked: server full").await.unwrap();
        drop(backend);
        // The client goes on talking to a backend that is gone.
        client.write_all(b"are you there?").await.unwrap();
        let (buffer, seen) = (Buffer::new(), Seen::default());
        let session =
            Session { buffer: &buffer, limits: &UNLIMITED, began: Instant::now(), observer: &seen, stop: &seen.stop };
        let end = run(&mut downstream, &mut upstream, session).await;
        assert_eq!(end, End::Closed(Side::Upstream));
        drop(downstream);
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "kicked: server full");
    })
    .await;
}
