//! Peers that acknowledge nothing any more.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

const LIMITS: Limits =
    Limits { liveness: Liveness { user_timeout: Some(Duration::from_secs(120)), keepalive: None }, ..UNLIMITED };

/// A pipe to a peer of which it is known since when it has acknowledged nothing.
struct Watched(DuplexStream, Rc<Cell<Option<Instant>>>);

impl Socket for Watched {
    const ENDS_WHEN_DROPPED: bool = false;

    fn is_broken(&self) -> bool {
        false
    }

    fn settle(&self, _: Liveness) {}

    fn unacknowledged(&self) -> Option<Duration> {
        self.1.get().map(|since| since.elapsed())
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
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

#[tokio::test(start_paused = true)]
async fn a_client_that_has_vanished_is_noticed_while_the_server_talks() {
    let ((mut client, near), (mut backend, mut upstream)) = (duplex(PIPE), duplex(PIPE));
    let deaf_since = Rc::new(Cell::new(None));
    let mut downstream = Watched(near, Rc::clone(&deaf_since));
    let (buffer, seen) = (Buffer::new(), Seen::default());
    let session =
        Session { buffer: &buffer, limits: &LIMITS, began: Instant::now(), observer: &seen, stop: &seen.stop };
    let talk = async {
        for second in 0..2000 {
            if second == 1000 {
                deaf_since.set(Some(Instant::now()));
            }
            backend.write_all(b"state").await.unwrap();
            read_exactly::<5>(&mut client).await;
            sleep(seconds(1)).await;
        }
    };
    let end = tokio::select! {
        end = run(&mut downstream, &mut upstream, session) => end,
        () = talk => panic!("it was never noticed"),
    };
    assert_eq!(end, End::Reset(Side::Downstream));
    let took = deaf_since.get().unwrap().elapsed();
    assert!(took >= seconds(120) && took <= seconds(136), "{took:?}");
}
