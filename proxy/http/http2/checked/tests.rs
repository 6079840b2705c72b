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

/// The frames of a head on a stream.
type OnStream = fn(u32) -> Vec<u8>;

const REFUSED: &[u8] = b"\x00\x0aconnection\x01x";

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
    let malformed: [(OnStream, u8); 3] = [
        (|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x82, 0, 1, b'X', 1, b'y']), END_STREAM),
        (|stream| frame(HEADERS, END_HEADERS, stream, &[0x82, 0, 1, b'x', 1, 1]), 0),
        (
            |stream| {
                let rest = frame(CONTINUATION, END_HEADERS, stream, &[1, b'X', 1, b'y']);
                [frame(HEADERS, 0, stream, &[0x82, 0]), rest].concat()
            },
            0,
        ),
    ];
    let ping = frame(6, 0, 0, &[0; 8]);
    let begins = [PREFACE, &frame(HEADERS, END_HEADERS, 1, &[0x82, 0x84])].concat();
    for (malformed, flags) in malformed {
        let whole = [&begins[..], &malformed(3), &ping, &malformed(5), &ping].concat();
        let changed = |stream| frame(HEADERS, END_HEADERS | flags, stream, REFUSED);
        let expected = [&begins[..], &changed(3), &ping, &changed(5), &ping].concat();
        for (size, room) in [(100_000, 100_000), (1, 100_000), (1, 7), (3, 100), (20, 13)] {
            let found = passed(&whole, size, room).await;
            assert_eq!(found, expected, "{flags} in pieces of {size}, read into {room}");
        }
    }
}

#[tokio::test]
async fn pseudo_headers_in_trailers_are_malformed_and_on_a_stream_that_is_over_a_matter_of_the_library() {
    let begins = [PREFACE, &frame(HEADERS, END_HEADERS, 1, &[0x82, 0x84]), &frame(DATA, 0, 1, &[7; 10])].concat();
    let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x84]);
    let expected = [&begins[..], &frame(HEADERS, END_HEADERS | END_STREAM, 1, REFUSED)].concat();
    assert_eq!(passed(&[&begins[..], &trailers].concat(), 5, 100).await, expected);
    for end in [frame(DATA, END_STREAM, 1, &[]), frame(RST_STREAM, 0, 1, &[0; 4])] {
        let whole = [&begins[..], &end, &trailers].concat();
        assert_eq!(passed(&whole, 5, 100).await, whole);
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
