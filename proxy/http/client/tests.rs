use std::time::Duration;

use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, yield_now};
use tokio::time::timeout;

use super::*;

type Frames = mpsc::Sender<io::Result<Frame<Bytes>>>;

/// A body that is sent frame by frame.
#[derive(Debug)]
struct Sent(mpsc::Receiver<io::Result<Frame<Bytes>>>);

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx)
    }
}

/// A connection, and its far end.
fn pair<B>(room: usize) -> (DuplexStream, Connection<DuplexStream, B>)
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let (far, near) = duplex(room);
    (far, Connection::new(near))
}

fn get() -> Request<Option<Upload<Full<Bytes>>>> {
    Request::get("/a?b=1").header("host", "a.example").body(Some(Upload::Empty)).unwrap()
}

/// A request whose body comes by and by, and where it comes from.
fn post(headers: &[(&str, &str)]) -> (Frames, Request<Option<Upload<Sent>>>) {
    let (sender, frames) = mpsc::channel(10);
    let builder = headers.iter().fold(Request::post("/"), |builder, (name, value)| builder.header(*name, *value));
    (
        sender,
        builder
            .body(Some(Upload::new(Sent(frames), (Some(Duration::from_secs(5)), Some(Duration::from_secs(5))))))
            .unwrap(),
    )
}

fn data(text: &'static str) -> io::Result<Frame<Bytes>> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// The next bytes at the far end, as many as there are at once.
async fn heard(far: &mut DuplexStream) -> String {
    let mut bytes = vec![0; 10_000];
    let read = far.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn one_request_follows_the_other() {
    let (mut far, mut connection) = pair(1000);
    for _ in 0..3 {
        assert!(connection.is_free() && !connection.is_closed());
        far.write_all(HELLO).await.unwrap();
        let answer = connection.send(&mut get()).await.unwrap();
        assert!(!connection.is_free());
        assert_eq!(answer.status(), 200);
        assert_eq!(connection.size_hint().exact(), Some(5));
        assert_eq!((&mut connection).collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(heard(&mut far).await, "GET /a?b=1 HTTP/1.1\r\nhost: a.example\r\n\r\n");
    }
    assert!(connection.is_free() && !connection.is_closed());
    drop(far);
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_body_is_as_long_as_its_head_says() {
    for (body, headers, expected) in [
        (
            Upload::new(Full::from("hello"), (None, None)),
            &[("content-length", "5")][..],
            "content-length: 5\r\n\r\nhello",
        ),
        (Upload::new(Full::from("hello"), (None, None)), &[], "content-length: 5\r\n\r\nhello"),
        (
            Upload::new(Full::from("hello"), (None, None)),
            &[("transfer-encoding", "gzip")],
            "content-length: 5\r\n\r\nhello",
        ),
        (Upload::Empty, &[("content-length", "0")], "content-length: 0\r\n\r\n"),
        (Upload::Empty, &[("transfer-encoding", "chunked")], "content-length: 0\r\n\r\n"),
    ] {
        let (mut far, mut connection) = pair(1000);
        let builder = headers.iter().fold(Request::post("/"), |builder, (name, value)| builder.header(*name, *value));
        let mut request = builder.body(Some(body)).unwrap();
        far.write_all(HELLO).await.unwrap();
        connection.send(&mut request).await.unwrap();
        assert_eq!(heard(&mut far).await, format!("POST / HTTP/1.1\r\n{expected}"));
        assert!(request.body().is_none());
    }
    for (body, length) in [
        (Upload::new(Full::from("hello"), (None, None)), "4"),
        (Upload::new(Full::from("hello"), (None, None)), "6"),
        (Upload::Empty, "1"),
    ] {
        let (_far, mut connection) = pair(1000);
        let mut request = Request::post("/").header("content-length", length).body(Some(body)).unwrap();
        let answered = timeout(Duration::from_secs(1), connection.send(&mut request)).await.unwrap();
        assert!(matches!(answered, Err(Broken::Body(_))), "{answered:?} for {length}");
    }
}

#[tokio::test]
async fn chunks_and_the_trailers_that_were_announced_are_passed_on() {
    let (mut far, mut connection) = pair(1000);
    let (frames, mut request) = post(&[("trailer", "x-sum, content-length")]);
    frames.send(data("hello")).await.unwrap();
    let backend = async {
        let first = heard(&mut far).await;
        assert_eq!(
            first,
            "POST / HTTP/1.1\r\ntrailer: x-sum, content-length\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
        );
        frames.send(data("")).await.unwrap();
        frames.send(data("0123456789")).await.unwrap();
        assert_eq!(heard(&mut far).await, "A\r\n0123456789\r\n");
        let trailers = ["x-sum", "x-secret", "content-length"];
        let trailers = trailers.map(|name| (name.parse().unwrap(), "1".parse().unwrap())).into_iter().collect();
        frames.send(Ok(Frame::trailers(trailers))).await.unwrap();
        assert_eq!(heard(&mut far).await, "0\r\nx-sum: 1\r\n\r\n");
        far.write_all(HELLO).await.unwrap();
    };
    let (answer, ()) = tokio::join!(connection.send(&mut request), backend);
    assert_eq!(answer.unwrap().status(), 200);
    (&mut connection).collect().await.unwrap();
    assert!(connection.is_free());
}

#[tokio::test]
async fn a_backend_that_reads_slowly_gets_every_byte() {
    let (mut far, mut connection) = pair(7);
    let pieces = [(b'a', 1), (b'b', 100), (b'c', 5000), (b'd', 3)].map(|(byte, size)| Bytes::from(vec![byte; size]));
    let whole = pieces.concat();
    let body = StreamBody::new(futures_util::stream::iter(
        pieces.into_iter().map(|piece| Ok::<_, io::Error>(Frame::data(piece))),
    ));
    let mut request =
        Request::post("/").header("content-length", whole.len()).body(Some(Upload::new(body, (None, None)))).unwrap();
    let head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", whole.len());
    let backend = async {
        let mut seen = vec![0; head.len() + whole.len()];
        far.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen, [head.as_bytes(), &whole].concat());
        far.write_all(HELLO).await.unwrap();
        far
    };
    let (answer, _far) = tokio::join!(connection.send(&mut request), backend);
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn only_a_connection_on_which_all_is_said_carries_another_request() {
    for (answer, is_free) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 ", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab", false),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
    ] {
        let (mut far, mut connection) = pair(1000);
        far.write_all(answer.as_bytes()).await.unwrap();
        connection.send(&mut get()).await.unwrap();
        (&mut connection).collect().await.unwrap();
        assert_eq!(connection.is_free(), is_free, "{answer:?}");
    }
}

/// A stream that takes so many bytes, and then no more.
struct Deaf(DuplexStream, usize);

impl AsyncRead for Deaf {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.1);
        self.1 -= taken;
        Poll::Ready(if taken == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(taken) })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn who_takes_no_more_of_a_request_may_have_answered_it() {
    let said = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    for (takes, is_answered) in [(0, false), (1, true), (30, true)] {
        let (mut far, near) = duplex(1000);
        far.write_all(said).await.unwrap();
        let mut connection = Connection::new(Deaf(near, takes));
        let mut request = get();
        let answered = connection.send(&mut request).await;
        assert_eq!(answered.is_ok(), is_answered, "{takes} bytes taken");
        assert_eq!(request.body().is_none(), is_answered, "{takes} bytes taken");
        assert!(!connection.is_free());
    }
}

#[tokio::test]
async fn what_nobody_took_is_there_again() {
    let (far, mut connection) = pair(1000);
    drop(far);
    let mut request = get();
    assert!(matches!(connection.send(&mut request).await, Err(Broken::Reset)));
    assert!(matches!(request.body(), Some(Upload::Empty)));
    // A body of which a part has come is gone.
    let (far, mut connection) = pair(1000);
    drop(far);
    let (frames, mut request) = post(&[]);
    frames.send(data("hello")).await.unwrap();
    assert!(matches!(connection.send(&mut request).await, Err(Broken::Reset)));
    assert!(request.body().is_none());
}

#[tokio::test]
async fn what_was_taken_and_not_answered_is_gone() {
    for said in ["", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 100 Continue\r\n\r\n", "hello\r\n\r\n"] {
        let (mut far, mut connection) = pair(1000);
        let mut request = get();
        let backend = async {
            heard(&mut far).await;
            far.write_all(said.as_bytes()).await.unwrap();
            drop(far);
        };
        let (answered, ()) = tokio::join!(connection.send(&mut request), backend);
        assert!(matches!(answered, Err(Broken::Reset)), "{said:?}");
        assert!(request.body().is_none(), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_or_stops_breaks_the_request() {
    for begins in [false, true] {
        let (mut far, mut connection) = pair(1000);
        let (frames, mut request) = post(&[]);
        if begins {
            frames.send(data("hello")).await.unwrap();
        }
        frames.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
        assert!(matches!(connection.send(&mut request).await, Err(Broken::Body(_))));
        assert!(request.body().is_none(), "nobody gets what is left of it");
        drop(connection);
        let mut seen = String::new();
        far.read_to_string(&mut seen).await.unwrap();
        assert!(!seen.contains("0\r\n\r\n"), "it does not look whole: {seen:?}");
    }
    let (_far, mut connection) = pair(1000);
    let (_frames, mut request) = post(&[]);
    let Err(Broken::Body(why)) = connection.send(&mut request).await else { panic!("answered") };
    assert_eq!(why.downcast::<io::Error>().unwrap().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn after_an_early_answer_the_rest_of_the_request_goes_on_whoever_reads_the_answer() {
    LocalSet::new()
        .run_until(async {
            let (mut far, mut connection) = pair(1000);
            let (frames, mut request) = post(&[]);
            far.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
            assert_eq!(connection.send(&mut request).await.unwrap().status(), 413);
            assert!(heard(&mut far).await.ends_with("transfer-encoding: chunked\r\n\r\n"));
            frames.send(data("more")).await.unwrap();
            assert_eq!(heard(&mut far).await, "4\r\nmore\r\n");
            assert_eq!((&mut connection).collect().await.unwrap().to_bytes(), "hello");
            assert!(!connection.is_free() && connection.into_parts().is_none());
            // Also when the answer is over, because the backend has not said that it closes.
            frames.send(data("last")).await.unwrap();
            drop(frames);
            let mut seen = String::new();
            far.read_to_string(&mut seen).await.unwrap();
            assert_eq!(seen, "4\r\nlast\r\n0\r\n\r\n");
        })
        .await;
}

#[tokio::test]
async fn the_rest_of_a_request_ends_with_an_answer_that_nobody_reads_or_that_is_the_last() {
    LocalSet::new()
        .run_until(async {
            for (answer, is_read) in [
                ("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", true),
                ("HTTP/1.1 413 Too Large\r\n\r\nhello", false),
                ("HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\n\r\nhello", false),
            ] {
                let (mut far, mut connection) = pair(1000);
                let (frames, mut request) = post(&[]);
                far.write_all(answer.as_bytes()).await.unwrap();
                connection.send(&mut request).await.unwrap();
                if is_read {
                    (&mut connection).collect().await.unwrap();
                }
                assert!(!frames.is_closed());
                drop(connection);
                soon(frames.closed()).await;
                // What was sent does not look whole.
                let mut seen = String::new();
                soon(far.read_to_string(&mut seen)).await.unwrap();
                assert!(seen.ends_with("chunked\r\n\r\n"), "{seen:?}");
            }
        })
        .await;
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), what).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_request_waits_for_nobody_for_ever() {
    LocalSet::new()
        .run_until(async {
            // The backend reads nothing any more.
            let (mut far, mut connection) = pair(100);
            let (frames, mut request) = post(&[("x", "y")]);
            frames.send(Ok(Frame::data(Bytes::from(vec![b'x'; 1000])))).await.unwrap();
            far.write_all(HELLO).await.unwrap();
            connection.send(&mut request).await.unwrap();
            (&mut connection).collect().await.unwrap();
            drop(connection);
            yield_now().await;
            assert!(!frames.is_closed());
            tokio::time::sleep(Duration::from_secs(6)).await;
            assert!(frames.is_closed(), "it has been given up");
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn the_stream_is_handed_over_with_what_was_read_of_it() {
    let (mut far, mut connection) = pair(1000);
    far.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\nfirst").await.unwrap();
    assert_eq!(connection.send(&mut get()).await.unwrap().status(), 101);
    assert!(connection.is_end_stream());
    let (mut stream, early) = connection.into_parts().unwrap();
    assert_eq!(early, "first");
    far.write_all(b"second").await.unwrap();
    assert_eq!(heard(&mut stream).await, "second");
}

#[tokio::test]
async fn a_large_answer_comes_in_pieces_of_bounded_size() {
    let (mut far, mut connection) = pair(1_000_000);
    far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n").await.unwrap();
    far.write_all(&vec![7; 500_000]).await.unwrap();
    connection.send(&mut get()).await.unwrap();
    let (mut sizes, mut length) = (Vec::new(), 0);
    while let Some(frame) = connection.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        sizes.push(piece.len());
        length += piece.len();
    }
    assert_eq!(length, 500_000);
    assert!(sizes.iter().all(|&size| size <= input::MANY) && sizes.contains(&input::MANY), "{sizes:?}");
    assert!(connection.is_free());
}

#[tokio::test]
async fn an_answer_that_breaks_off_says_so() {
    for (said, rest) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", "!\r\n"),
    ] {
        let (mut far, mut connection) = pair(1000);
        let backend = async {
            heard(&mut far).await;
            for piece in [said, rest] {
                far.write_all(piece.as_bytes()).await.unwrap();
                // The first piece is to be seen without the second.
                for _ in 0..4 {
                    yield_now().await;
                }
            }
            drop(far);
        };
        let mut request = get();
        let (answer, ()) = tokio::join!(connection.send(&mut request), backend);
        answer.unwrap();
        let broken = (&mut connection).collect().await.unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::InvalidData, "{said:?}");
        assert!(!connection.is_free());
    }
}

#[tokio::test]
async fn an_answer_whose_body_is_malformed_at_once_is_none() {
    for chunks in ["ZZ\r\nhello", "5\nhello\n0\n\n", "5\r\nhello!\r\n"] {
        let (mut far, mut connection) = pair(1000);
        let backend = async {
            heard(&mut far).await;
            let said = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            far.write_all(said.as_bytes()).await.unwrap();
        };
        let mut request = get();
        let (answer, ()) = tokio::join!(connection.send(&mut request), backend);
        assert!(matches!(answer, Err(Broken::Reset)), "{chunks:?}: {answer:?}");
    }
}

#[tokio::test]
async fn who_only_ever_says_that_an_answer_will_come_does_not_answer() {
    let (mut far, mut connection) = pair(10_000);
    let backend = async move {
        let (said, mut length) = (b"HTTP/1.1 102 Processing\r\n\r\n".repeat(100), 0);
        while length < 10_000_000 && far.write_all(&said).await.is_ok() {
            length += said.len();
        }
        length
    };
    let asks = async move {
        let mut request = get();
        assert!(matches!(connection.send(&mut request).await, Err(Broken::Reset)));
        assert!(request.body().is_none());
    };
    let (length, ()) = tokio::join!(backend, asks);
    assert!(length < 1_000_000, "{length} bytes");
}
