use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Full};
use tokio::io::{DuplexStream, duplex};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::sleep;

use super::*;
use crate::http::patience::Limits;

type Answer = Pin<Box<dyn Future<Output = Answered<Text>>>>;

/// The body of an answer.
type Text = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;

/// Answers as a test says.
struct Scripted<F> {
    script: F,
    leaves_at: Rc<Cell<Option<Instant>>>,
}

impl<F: Fn(Request<Content>) -> Answer> Service for Scripted<F> {
    type Reply = Text;

    fn answer(&self, request: Request<Content>) -> Answer {
        (self.script)(request)
    }

    fn refuse(&self, why: Refused) -> Response<Text> {
        why.answer().map(|words| Full::new(words).map_err(|never| match never {}).boxed_unsync())
    }

    fn leaves_at(&self) -> Option<Instant> {
        self.leaves_at.get()
    }

    fn patience(&self) -> Option<Duration> {
        None
    }
}

fn text(words: &'static str) -> Text {
    Full::new(Bytes::from_static(words.as_bytes())).map_err(|never| match never {}).boxed_unsync()
}

fn ok(words: &'static str) -> Answered<Text> {
    Ok(Response::builder().header("date", "now").body(text(words)).unwrap())
}

const LIMITS: Limits =
    Limits { header: Duration::from_secs(10), keepalive: Duration::from_secs(75), send: None, body: None };

/// A server, and its client. The server's end is told to who waits for it.
fn serve(
    room: usize,
    script: impl Fn(Request<Content>) -> Answer + 'static,
) -> (DuplexStream, impl Future<Output = Ended>) {
    let (far, mut server) = server(room, script);
    (far, async move { server.run().await })
}

/// The same, not running.
fn server<F: Fn(Request<Content>) -> Answer>(
    room: usize,
    script: F,
) -> (DuplexStream, Server<DuplexStream, Scripted<F>>) {
    let (far, near) = duplex(room);
    let service = Scripted { script, leaves_at: Rc::default() };
    (far, Server::new(near, Patience::new(Instant::now(), LIMITS), service))
}

/// Answers with what the request has as its body.
fn echo(request: Request<Content>) -> Answer {
    Box::pin(async move {
        let Ok(body) = request.into_body().collect().await else {
            return Ok(Response::builder().status(400).header("date", "now").body(text("broken")).unwrap());
        };
        let body = Full::new(body.to_bytes()).map_err(|never| match never {}).boxed_unsync();
        Ok(Response::builder().header("date", "now").body(body).unwrap())
    })
}

/// What a client hears that says this, and then no more.
async fn heard(mut far: DuplexStream, words: &[u8]) -> String {
    far.write_all(words).await.unwrap();
    far.shutdown().await.unwrap();
    let mut seen = String::new();
    far.read_to_string(&mut seen).await.unwrap();
    seen
}

/// What a client hears that says this, and waits.
async fn answered(far: &mut DuplexStream, words: &[u8]) -> String {
    far.write_all(words).await.unwrap();
    let mut seen = vec![0; 10_000];
    let read = far.read(&mut seen).await.unwrap();
    String::from_utf8_lossy(&seen[..read]).into_owned()
}

fn reply(words: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: {}\r\n\r\n{words}", words.len())
}

#[tokio::test]
async fn one_request_is_answered_after_the_other() {
    let (mut far, serving) = serve(10_000, echo);
    let client = async move {
        assert_eq!(answered(&mut far, b"GET / HTTP/1.1\r\n\r\n").await, reply(""));
        let put = b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(answered(&mut far, put).await, reply("hello"));
        let chunked = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n";
        // Ten at once, and an end.
        let pipelined = [&chunked[..], put].concat().repeat(5);
        let seen = heard(far, &[&pipelined[..], b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"].concat()).await;
        let expected = [reply("abc"), reply("hello")].concat().repeat(5);
        assert_eq!(seen, expected + "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    };
    let (ended, ()) = tokio::join!(serving, client);
    assert!(matches!(ended, Ended::Closed), "{ended:?}");
}

#[tokio::test]
async fn a_body_is_asked_for_when_it_is_wanted() {
    let (mut far, serving) = serve(10_000, echo);
    let put = b"PUT / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let client = async move {
        assert_eq!(answered(&mut far, put).await, "HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(answered(&mut far, b"hello").await, reply("hello"));
        assert_eq!(answered(&mut far, &[&put[..], b"hello"].concat()).await, reply("hello"), "it has begun to send");
    };
    tokio::join!(serving, client);
    // Nobody wants it: whether it comes is not known.
    let (mut far, serving) = serve(10_000, |_| Box::pin(async { ok("no") }));
    let client = async move {
        let expected = "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
        assert_eq!(answered(&mut far, put).await, expected);
        assert_eq!(heard(far, b"").await, "");
    };
    tokio::join!(serving, client);
}

#[tokio::test]
async fn a_word_that_has_been_begun_is_said_to_its_end() {
    // The answer comes while the client has not taken all of it.
    let (mut far, serving) = serve(4, |request| {
        Box::pin(async move {
            let mut body = request.into_body();
            let frame = body.frame();
            tokio::select! { _ = frame => {}, () = yield_now() => {} }
            ok("no")
        })
    });
    let client = async move {
        far.write_all(b"PUT / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
        let seen = heard(far, b"").await;
        assert!(seen.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{seen}");
    };
    tokio::join!(serving, client);
}

#[tokio::test]
async fn what_came_with_the_head_is_there_at_once() {
    for head in [
        "PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nbegun",
        "PUT / HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\nbegun",
        "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbegun",
    ] {
        let (mut far, serving) = serve(1000, |request| {
            let piece = request.into_body().frame().now_or_never().flatten().unwrap().unwrap();
            let is_there = piece.data_ref().is_some_and(|piece| piece == "begun");
            Box::pin(async move { ok(if is_there { "yes" } else { "no" }) })
        });
        let client = async move {
            let seen = answered(&mut far, head.as_bytes()).await;
            assert!(seen.starts_with("HTTP/1.1 200 OK\r\n") && seen.ends_with("\r\n\r\nyes"), "{seen}");
        };
        tokio::join!(serving, client);
    }
}

#[tokio::test]
async fn who_has_not_been_asked_for_a_body_need_not_send_it() {
    // The body is wanted beyond the answer, and there has been no room to say so.
    let kept = Rc::new(RefCell::new(None));
    let (mut far, serving) = serve(4, move |request| {
        let kept = Rc::clone(&kept);
        Box::pin(async move {
            let mut body = request.into_body();
            tokio::select! { biased; _ = body.frame() => {}, () = yield_now() => {} }
            kept.replace(Some(body));
            ok("no")
        })
    });
    let client = async move {
        far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        far.read_exact(&mut vec![0; reply("no").len() - 4]).await.unwrap();
        far.write_all(b"PUT / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
        for _ in 0..10 {
            yield_now().await;
        }
        let seen = heard(far, b"").await;
        assert!(seen.ends_with("\r\nconnection: close\r\n\r\nno"), "what comes next may be another request: {seen}");
    };
    let (ended, ()) = tokio::join!(serving, client);
    assert!(matches!(ended, Ended::Closed), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn little_is_read_that_nobody_wants() {
    let (mut far, serving) = serve(1000, |request| {
        Box::pin(async move {
            sleep(Duration::from_millis(50)).await;
            let length = request.into_body().collect().await.unwrap().to_bytes().len();
            ok(if length == 300_000 { "all" } else { "some" })
        })
    });
    let client = async move {
        far.write_all(b"PUT / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n").await.unwrap();
        let mut sent = 0;
        while let Ok(written) = timeout(Duration::from_millis(10), far.write(&[7; 1000])).await {
            sent += written.unwrap();
        }
        // One read's worth, which tells whether the client is there, and what is under way.
        assert!(sent <= 12_000, "{sent} bytes have gone");
        far.write_all(&vec![7; 300_000 - sent]).await.unwrap();
        assert_eq!(answered(&mut far, b"").await, reply("all"));
    };
    tokio::select! { ended = serving => panic!("{ended:?}"), () = client => {} }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_not_answered() {
    let dropped = Rc::new(Cell::new(false));
    struct Told(Rc<Cell<bool>>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    for request in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"PUT / HT"] {
        let told = Rc::clone(&dropped);
        let (mut far, serving) = serve(1000, move |request| {
            let told = Told(Rc::clone(&told));
            Box::pin(async move {
                drop(request.into_body().collect().await);
                std::future::pending::<()>().await;
                drop(told);
                ok("")
            })
        });
        let client = async move {
            far.write_all(request).await.unwrap();
            yield_now().await;
        };
        let (ended, ()) = tokio::join!(serving, client);
        assert!(matches!(ended, Ended::Broken), "{ended:?}");
        assert_eq!(dropped.replace(false), !request.ends_with(b"HT"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_body_is_skipped_if_it_is_there() {
    let refuse = |_| -> Answer { Box::pin(async { ok("no") }) };
    let (mut far, serving) = serve(1000, refuse);
    let client = async move {
        assert_eq!(answered(&mut far, b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello").await, reply("no"));
        let unfinished = b"PUT / HTTP/1.1\r\nContent-Length: 50000\r\n\r\nhello";
        let expected = "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
        assert_eq!(answered(&mut far, unfinished).await, expected);
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "it says that this was all");
        far.write_all(&vec![7; 1_000_000]).await.expect("and reads for a while");
        sleep(LINGER).await;
        assert!(far.write_all(&[7; 20_000]).await.is_err());
    };
    let (ended, ()) = tokio::join!(serving, client);
    assert!(matches!(ended, Ended::Closed), "{ended:?}");
}

#[tokio::test]
async fn a_body_goes_on_beside_its_answer() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let read = Rc::clone(&seen);
    let (mut far, serving) = serve(1000, move |request| {
        let read = Rc::clone(&read);
        spawn_local(async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            read.borrow_mut().push(body.len());
        });
        Box::pin(async { ok("early") })
    });
    let client = async move {
        for _ in 0..2 {
            let head = b"PUT / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n";
            assert_eq!(answered(&mut far, head).await, reply("early"));
            far.write_all(&[7; 5000]).await.unwrap();
        }
        heard(far, b"").await
    };
    let (ended, rest) = Box::pin(LocalSet::new().run_until(async { tokio::join!(serving, client) })).await;
    assert!(matches!(ended, Ended::Closed) && rest.is_empty(), "{ended:?} {rest}");
    assert_eq!(*seen.borrow(), [5000, 5000]);
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_ends_the_connection() {
    for (words, status) in [
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/1.1\nHost".to_owned(), "400 Bad Request"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101)), "431 Request Header Fields Too Large"),
    ] {
        let (mut far, serving) = serve(10_000, |_| panic!("it was none"));
        let client = async move {
            far.write_all(words.as_bytes()).await.unwrap();
            let mut seen = String::new();
            far.read_to_string(&mut seen).await.unwrap();
            seen
        };
        let (ended, seen) = tokio::join!(serving, client);
        assert!(matches!(ended, Ended::Invalid(_)), "{ended:?}");
        assert!(seen.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{seen}");
        assert!(seen.contains("\r\nconnection: close\r\n") && seen.contains("\"reason\": "), "{seen}");
    }
    for body in ["1\r\naX\r\nGET /2 HTTP/1.1\r\n\r\n", "0\r\nContent-Length: 1\r\n\r\n", "3\r\nno"] {
        let (far, serving) = serve(10_000, echo);
        let words = format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let (_, seen) = tokio::join!(serving, heard(far, words.as_bytes()));
        assert!(seen.starts_with("HTTP/1.1 400 ") && seen.ends_with("connection: close\r\n\r\nbroken"), "{seen}");
    }
}

#[tokio::test]
async fn another_protocol_goes_on_with_what_was_sent_early() {
    let (mut far, mut server) = server(1000, |_| {
        let switching = Response::builder().status(101).header("upgrade", "echo").header("date", "now");
        Box::pin(async { Ok(switching.body(text("")).unwrap()) })
    });
    let expected = "HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\ndate: now\r\n\r\n";
    let upgrade = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n\x82\x03\n\n\n\x82\x01x";
    let (ended, seen) = tokio::join!(server.run(), answered(&mut far, upgrade));
    assert_eq!(seen, expected);
    assert!(matches!(ended, Ended::Switched), "{ended:?}");
    let (mut near, early) = server.into_parts();
    assert_eq!(early, b"\x82\x03\n\n\n\x82\x01x"[..]);
    near.write_all(b"hello").await.unwrap();
    assert_eq!(answered(&mut far, b"").await, "hello");
}

#[tokio::test(start_paused = true)]
async fn clients_that_take_too_long_are_left() {
    let began = Instant::now();
    let (mut far, serving) = serve(1000, echo);
    let client = async move {
        sleep(Duration::from_secs(9)).await;
        assert_eq!(answered(&mut far, b"GET / HTTP/1.1\r\n\r\n").await, reply(""));
        sleep(Duration::from_secs(70)).await;
        assert_eq!(answered(&mut far, b"GET / HTTP/1.1\r\n\r\n").await, reply(""));
        far
    };
    let (ended, _far) = tokio::join!(serving, client);
    assert!(matches!(ended, Ended::Late(Late::Silent)), "{ended:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(9 + 70 + 75));
    for words in ["", "GET / HT"] {
        let began = Instant::now();
        let (mut far, serving) = serve(1000, echo);
        far.write_all(words.as_bytes()).await.unwrap();
        assert!(matches!(serving.await, Ended::Late(Late::Head)));
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }
}

#[tokio::test(start_paused = true)]
async fn when_it_is_to_leave_it_answers_what_has_come() {
    let (mut far, near) = duplex(1000);
    let leaves_at = Rc::new(Cell::new(None));
    let service = Scripted { script: echo, leaves_at: Rc::clone(&leaves_at) };
    let mut server = Server::new(near, Patience::new(Instant::now(), LIMITS), service);
    let mut serving = Box::pin(server.run());
    let turn = Duration::from_millis(1);
    far.write_all(b"GET / HTTP/1.1\r\n\r\nGET / HT").await.unwrap();
    timeout(turn, serving.as_mut()).await.unwrap_err();
    assert_eq!(answered(&mut far, b"").await, reply(""));
    leaves_at.set(Some(Instant::now()));
    timeout(turn, serving.as_mut()).await.unwrap_err();
    far.write_all(b"TP/1.1\r\n\r\n").await.unwrap();
    assert!(matches!(serving.await, Ended::Closed));
    let expected = "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(heard(far, b"").await, expected);
    // The rest of a head is waited for, but not for long.
    let (mut far, near) = duplex(1000);
    let began = Instant::now();
    let service = Scripted { script: echo, leaves_at: Rc::new(Cell::new(Some(began))) };
    far.write_all(b"GET / HT").await.unwrap();
    let ended = Server::new(near, Patience::new(began, LIMITS), service).run().await;
    assert!(matches!(ended, Ended::Late(Late::Head)) && began.elapsed() == LINGER, "{ended:?}");
    // Without any of a request, it goes when its time has come.
    let (_far, near) = duplex(1000);
    let began = Instant::now();
    let service = Scripted { script: echo, leaves_at: Rc::new(Cell::new(Some(began + turn))) };
    let mut server = Server::new(near, Patience::new(began, LIMITS), service);
    let mut serving = Box::pin(server.run());
    assert!(matches!(timeout(turn * 2, serving.as_mut()).await, Ok(Ended::Closed)), "it looks when it is woken");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    for (length, expected) in
        [(Some(5), "content-length: 5\r\n\r\nhel"), (None, "transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n")]
    {
        let (far, serving) = serve(1000, move |_| {
            let pieces = [Ok(Bytes::from_static(b"hel")), Err(BodyError::from(io::Error::from(io::ErrorKind::Other)))];
            let body = Pieces { pieces: pieces.into_iter().collect(), length }.boxed_unsync();
            Box::pin(async { Ok(Response::builder().header("date", "now").body(body).unwrap()) })
        });
        let (ended, seen) = tokio::join!(serving, heard(far, b"GET / HTTP/1.1\r\n\r\n"));
        assert!(matches!(ended, Ended::Broken), "{ended:?}");
        assert!(seen.ends_with(expected), "{seen}");
    }
}

#[tokio::test]
async fn an_answer_whose_body_breaks_off_at_once_has_its_head() {
    let (far, serving) = serve(1000, move |_| {
        let pieces = [Err(BodyError::from(io::Error::from(io::ErrorKind::Other)))];
        let body = Pieces { pieces: pieces.into_iter().collect(), length: Some(5) }.boxed_unsync();
        Box::pin(async { Ok(Response::builder().header("date", "now").body(body).unwrap()) })
    });
    let (ended, seen) = tokio::join!(serving, heard(far, b"GET / HTTP/1.1\r\n\r\n"));
    assert!(matches!(ended, Ended::Broken), "{ended:?}");
    assert_eq!(seen, "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 5\r\n\r\n");
}

#[tokio::test]
async fn behind_a_final_answer_nothing_is_read_as_a_request() {
    let asked = Rc::new(Cell::new(0));
    let count = Rc::clone(&asked);
    let (far, serving) = serve(1000, move |_| {
        count.set(count.get() + 1);
        let response = Response::builder().status(400).header("date", "now").extension(FinalAnswer);
        Box::pin(async { Ok(response.body(text("no")).unwrap()) })
    });
    let two = "GET / HTTP/1.1\r\n\r\n".repeat(2);
    let (ended, seen) = tokio::join!(serving, heard(far, two.as_bytes()));
    assert!(matches!(ended, Ended::Closed), "{ended:?}");
    assert!(seen.ends_with("connection: close\r\n\r\nno"), "{seen}");
    assert_eq!(asked.get(), 1);
}

/// A body that is given.
struct Pieces {
    pieces: std::collections::VecDeque<Result<Bytes, BodyError>>,
    length: Option<u64>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| piece.map(hyper::body::Frame::data)))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.length.map_or_else(Default::default, hyper::body::SizeHint::with_exact)
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_is_not_served_also_where_nobody_has_wanted_the_body_yet() {
    const TURN: Duration = Duration::from_secs(60);
    let waiting = |request| -> Answer {
        Box::pin(async move {
            sleep(TURN).await;
            echo(request).await
        })
    };
    for (body, is_served) in [("", false), ("hello", false), ("hel", true)] {
        for goes_at_once in [true, false] {
            let (mut far, serving) = serve(10_000, waiting);
            let asked = Instant::now();
            let client = async move {
                let head = format!("PUT / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", if body.is_empty() { 0 } else { 5 });
                far.write_all(head.as_bytes()).await.unwrap();
                // What comes with the head is given at once.
                sleep(Duration::from_millis(1)).await;
                far.write_all(body.as_bytes()).await.unwrap();
                if !goes_at_once {
                    sleep(TURN / 2).await;
                }
                far.shutdown().await.unwrap();
                let mut seen = String::new();
                far.read_to_string(&mut seen).await.unwrap();
                seen
            };
            let (ended, seen) = tokio::join!(serving, client);
            // Who has broken off in the middle is told so when it is its turn.
            assert_eq!(seen.starts_with("HTTP/1.1 400 "), is_served, "{body:?}: {seen}");
            assert_eq!(matches!(ended, Ended::Broken), !is_served, "{body:?}: {ended:?}");
            assert_eq!(asked.elapsed() >= TURN, is_served, "{body:?}: {:?}", asked.elapsed());
        }
    }
}

#[tokio::test]
async fn who_closes_its_side_behind_several_requests_reads_their_answers() {
    let (far, serving) = serve(10_000, |request| {
        Box::pin(async move {
            sleep(Duration::from_millis(1)).await;
            echo(request).await
        })
    });
    let ten = "GET / HTTP/1.1\r\n\r\n".repeat(10);
    let (_, seen) = tokio::join!(serving, heard(far, ten.as_bytes()));
    assert_eq!(seen, reply("").repeat(10));
}

#[tokio::test(start_paused = true)]
async fn who_has_closed_its_side_is_answered_for_as_long_as_something_comes() {
    /// A body whose pieces come one every so often.
    struct Slow(Pin<Box<tokio::time::Sleep>>, Duration, usize);

    impl Body for Slow {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, BodyError>>> {
            if self.2 == 0 {
                return Poll::Ready(None);
            }
            std::task::ready!(self.0.as_mut().poll(cx));
            (self.0, self.2) = (Box::pin(sleep(self.1)), self.2 - 1);
            Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(b"x")))))
        }
    }

    for (every, is_served) in [(4, true), (6, false)] {
        let (far, serving) = serve(1000, move |_| {
            let every = Duration::from_secs(every);
            let body = Slow(Box::pin(sleep(every)), every, 5).boxed_unsync();
            Box::pin(async { Ok(Response::builder().header("date", "now").body(body).unwrap()) })
        });
        let (ended, seen) = tokio::join!(serving, heard(far, b"GET / HTTP/1.1\r\n\r\n"));
        assert_eq!(seen.ends_with("\r\n0\r\n\r\n"), is_served, "{seen}");
        assert_eq!(matches!(ended, Ended::Closed), is_served, "{ended:?}");
    }
}
