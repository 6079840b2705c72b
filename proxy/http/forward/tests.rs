use std::cell::RefCell;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::rc::Rc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use super::*;
use crate::config::model;
use crate::config::scalar::Address;
use crate::http::warm::Rule;
use crate::pool::tests::{plain, pool};

const RULE: Rule = Rule { connections: 8, timeout: Duration::from_secs(60) };

/// A server that answers so many requests on a connection, then closes it; with its counts of connections and requests.
struct Server {
    address: SocketAddr,
    counts: Rc<RefCell<(usize, usize)>>,
}

/// What a server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    Answers,
    /// Reads it and says nothing.
    IsMute,
    /// Reads it and closes.
    Hangs,
}

impl Server {
    async fn new(per_connection: usize, habit: Habit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), counts: Rc::default() };
        let counts = Rc::clone(&server.counts);
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counts.borrow_mut().0 += 1;
                spawn_local(serve(stream, per_connection, habit, Rc::clone(&counts)));
            }
        });
        server
    }

    fn connections(&self) -> usize {
        self.counts.borrow().0
    }

    fn requests(&self) -> usize {
        self.counts.borrow().1
    }
}

/// One connection. A request is a head, and the body that its length says.
async fn serve(mut stream: TcpStream, requests: usize, habit: Habit, counts: Rc<RefCell<(usize, usize)>>) {
    let mut bytes = Vec::new();
    for _ in 0..requests {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                continue;
            } else {
                return;
            };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length =
            head.split("content-length: ").nth(1).map_or(0, |rest| rest.split('\r').next().unwrap().parse().unwrap());
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                continue;
            } else {
                return;
            };
        }
        bytes.drain(..end + length);
        counts.borrow_mut().1 += 1;
        match habit {
            Habit::Answers => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwelcome").await.unwrap(),
            Habit::IsMute => std::future::pending().await,
            Habit::Hangs => return,
        }
    }
}

/// A worker's part, and a pool with these backends.
struct Bench {
    pool: Arc<Pool>,
    warm: Rc<Warm<Full<Bytes>>>,
    budget: RefCell<Budget>,
}

impl Bench {
    fn new(addresses: &[SocketAddr], change: impl FnOnce(&mut model::Pool)) -> Self {
        let mut config = plain(&["127.0.0.1:1"]);
        let backend = config.backends.remove(0);
        let at = |address: &SocketAddr| model::Backend { address: Address::Socket(*address), ..backend.clone() };
        config.backends = addresses.iter().map(at).collect();
        config.retries = 2;
        change(&mut config);
        Self { pool: pool(&config, None), warm: Rc::default(), budget: RefCell::new(Budget::new(Instant::now())) }
    }

    /// A request with this body; its answer's body if there is one.
    async fn ask(&self, body: &'static str) -> Result<Bytes, Failed> {
        let client = ClientKey::of([127, 0, 0, 1].into());
        let forward = Forward {
            warm: &self.warm,
            budget: &self.budget,
            client,
            class: || Class::Newcomer,
            witness: |_| Some(client),
        };
        let length = body.len();
        let request = Request::post("/").header("host", "a").header("content-length", length);
        let mut request = request.body(Some(Upload::new(Full::from(body), (None, None)))).unwrap();
        let reached = Box::pin(forward.send(&self.pool, &mut request, Instant::now())).await?;
        let Reached { response, lease, .. } = reached;
        let mut body = response.into_body();
        let bytes = (&mut body).collect().await.map_err(|_broken| Failed::Reset)?.to_bytes();
        if let Some(sender) = body.release() {
            self.warm.keep(lease.backend(), sender, RULE, Instant::now());
        }
        Ok(bytes)
    }

    fn failures(&self, failure: Failure) -> u64 {
        self.pool.members().iter().map(|member| member.backend.failures(failure)).sum()
    }
}

async fn on_a_worker<F: Future>(test: F) -> F::Output {
    LocalSet::new().run_until(test).await
}

/// An address on which nobody listens.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn requests_go_one_after_the_other_on_one_connection() {
    on_a_worker(async {
        let server = Server::new(1000, Habit::Answers).await;
        let bench = Bench::new(&[server.address], |_| ());
        for body in ["", "hello", "", "again"] {
            assert_eq!(bench.ask(body).await.unwrap(), "welcome");
        }
        assert_eq!((server.connections(), server.requests()), (1, 4));
        assert_eq!(bench.pool.members()[0].backend.active(), 0, "an idle connection is no session");
    })
    .await;
}

#[tokio::test]
async fn connections_that_the_backend_closes_at_will_fail_no_request() {
    on_a_worker(async {
        for (per_connection, body) in [(1, ""), (2, ""), (7, ""), (1, "hello"), (7, "hello")] {
            let server = Server::new(per_connection, Habit::Answers).await;
            let bench = Bench::new(&[server.address], |_| ());
            for number in 0..200 {
                assert_eq!(
                    bench.ask(body).await.as_deref(),
                    Ok(&b"welcome"[..]),
                    "{number} of {per_connection}, {body:?}"
                );
                // A backend's close is seen at once here; with a body it has to be.
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
            assert_eq!(server.requests(), 200, "none came twice");
            assert_eq!(bench.failures(Failure::BackendReset), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_passed_over() {
    on_a_worker(async {
        let server = Server::new(1000, Habit::Answers).await;
        let bench = Bench::new(&[closed().await, closed().await, server.address], |_| ());
        assert_eq!(bench.ask("hello").await.unwrap(), "welcome");
        let bench = Bench::new(&[closed().await, closed().await], |_| ());
        assert_eq!(bench.ask("hello").await, Err(Failed::Connect));
        assert!(bench.failures(Failure::ConnectFailed) >= 2);
    })
    .await;
}

#[tokio::test]
async fn retries_have_a_budget() {
    on_a_worker(async {
        let bench = Bench::new(&[closed().await, closed().await], |pool| pool.breaker.failures = NonZeroU32::MAX);
        for _ in 0..50 {
            assert_eq!(bench.ask("").await, Err(Failed::Connect));
        }
        let tried = bench.failures(Failure::ConnectFailed);
        assert!((50 + 10..50 + 20).contains(&tried), "{tried} tries of 50 requests");
    })
    .await;
}

#[tokio::test]
async fn what_has_reached_a_backend_is_not_sent_to_another() {
    on_a_worker(async {
        let [one, two] = [Server::new(9, Habit::Hangs).await, Server::new(9, Habit::Hangs).await];
        let bench = Bench::new(&[one.address, two.address], |_| ());
        assert_eq!(bench.ask("hello").await, Err(Failed::Reset));
        assert_eq!(one.requests() + two.requests(), 1);
        assert_eq!(bench.failures(Failure::BackendReset), 1);
    })
    .await;
}

#[tokio::test]
async fn an_answer_has_its_time() {
    on_a_worker(async {
        let server = Server::new(9, Habit::IsMute).await;
        let bench = Bench::new(&[server.address], |pool| pool.request_timeout = Some(Duration::from_millis(200)));
        let asked = Instant::now();
        assert_eq!(bench.ask("hello").await, Err(Failed::Timeout));
        assert!(asked.elapsed() >= Duration::from_millis(200));
        assert_eq!((server.requests(), bench.failures(Failure::RequestTimeout)), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn nobody_eligible_is_no_backend() {
    on_a_worker(async {
        let bench = Bench::new(&[closed().await], |pool| pool.breaker.failures = NonZeroU32::MIN);
        assert_eq!(bench.ask("").await, Err(Failed::Connect));
        assert_eq!(bench.ask("").await, Err(Failed::NoBackend));
    })
    .await;
}
