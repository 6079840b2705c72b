use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What the library gets of this, which comes in pieces of that size.
async fn passed(bytes: &[u8], size: usize, room: usize) -> Vec<u8> {
    let (mut far, near) = duplex(100_000);
    let mut checked = Checked::new(near, Duration::from_secs(10));
    let (mut whole, mut read) = (Vec::new(), vec![0; room]);
    for piece in bytes.chunks(size) {
        far.write_all(piece).await.unwrap();
        let noop = &mut Context::from_waker(std::task::Waker::noop());
        loop {
            let mut buffer = ReadBuf::new(&mut read);
            match Pin::new(&mut checked).poll_read(noop, &mut buffer) {
                Poll::Ready(result) => result.unwrap(),
                Poll::Pending => break,
            }
            whole.extend_from_slice(buffer.filled());
        }
    }
    drop(far);
    checked.read_to_end(&mut whole).await.unwrap();
    whole
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn what_is_sound_passes_as_it_comes() {
    let large = [&[0, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat();
    let whole = [
        PREFACE.to_vec(),
        frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]),
        frame(HEADERS, END_HEADERS, 1, &[0x82, 0x84]),
        frame(0, 0, 1, &[7; 5000]),
        frame(HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITY, 3, &[2, 0, 0, 0, 0, 9, 0x82, 0x84, 0, 0]),
        frame(HEADERS, 0, 5, &large[..3000]),
        frame(CONTINUATION, 0, 5, &large[3000..4000]),
        frame(CONTINUATION, END_HEADERS, 5, &large[4000..]),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0, 1, b'x', 1, b'y']),
        frame(6, 0, 0, &[0; 8]),
    ]
    .concat();
    for (size, room) in [(100_000, 100_000), (1, 100_000), (1, 7), (3, 100), (100, 13), (20_000, 24)] {
        assert_eq!(passed(&whole, size, room).await, whole, "pieces of {size}, read into {room}");
    }
}

#[tokio::test]
async fn what_is_malformed_is_changed_and_nothing_around_it() {
    let refused = b"\x00\x0aconnection\x01x";
    let ping = frame(6, 0, 0, &[0; 8]);
    for (malformed, stream, flags) in [
        (frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0x82, 0, 1, b'X', 1, b'y']), 3, END_STREAM),
        (frame(HEADERS, END_HEADERS, 3, &[0x82, 0, 1, b'x', 1, 1]), 3, 0),
        ([frame(HEADERS, 0, 3, &[0x82, 0]), frame(CONTINUATION, END_HEADERS, 3, &[1, b'X', 1, b'y'])].concat(), 3, 0),
        // A pseudo-header in trailers.
        (frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x84]), 1, END_STREAM),
    ] {
        let before = [PREFACE, &frame(HEADERS, END_HEADERS, 1, &[0x82, 0x84])].concat();
        let whole = [&before[..], &malformed, &ping, &malformed, &ping].concat();
        let changed = frame(HEADERS, END_HEADERS | flags, stream, refused);
        let expected = [&before[..], &changed, &ping, &changed, &ping].concat();
        for (size, room) in [(100_000, 100_000), (1, 100_000), (1, 7), (3, 100), (20, 13)] {
            let found = passed(&whole, size, room).await;
            assert_eq!(found, expected, "{malformed:?} in pieces of {size}, read into {room}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_passes_with_all_that_follows() {
    for unreadable in [
        frame(HEADERS, END_HEADERS, 1, &[0x80]),
        frame(HEADERS, END_HEADERS | PADDED, 1, &[9]),
        [frame(HEADERS, 0, 1, &[0x82]), frame(6, 0, 0, &[0; 8])].concat(),
        [frame(HEADERS, 0, 1, &[0x82]), frame(CONTINUATION, 0, 3, &[0x84])].concat(),
        [frame(HEADERS, 0, 1, &[0x82]), frame(CONTINUATION, 0, 1, &[]).repeat(20)].concat(),
        frame(HEADERS, END_HEADERS, 1, &[0x82; FRAME_MAX + 1]),
    ] {
        let malformed = frame(HEADERS, END_HEADERS, 3, &[0, 1, b'X', 1, b'y']);
        let whole = [PREFACE, &unreadable, &malformed].concat();
        for size in [100_000, 1] {
            assert_eq!(passed(&whole, size, 100_000).await, whole, "{unreadable:.20?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_and_silence_none() {
    let (mut far, near) = duplex(1000);
    let mut checked = Checked::new(near, Duration::from_secs(10));
    let half = frame(HEADERS, 0, 1, &[0x82]);
    let began = Instant::now();
    tokio::spawn(async move {
        far.write_all(PREFACE).await.unwrap();
        tokio::time::sleep(Duration::from_secs(100)).await;
        far.write_all(&half).await.unwrap();
        // Further bytes of it do not put that off.
        for byte in frame(CONTINUATION, 0, 1, &[0x84; 10]) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            far.write_all(&[byte]).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    let why = checked.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!((why.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 110));
}
