//! Whatever the pieces that bytes come and go in: all arrive, in order, in both directions.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

/// Sizes of pieces in which a stream passes bytes; some turns pass none, but not all.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    (proptest::collection::vec(0_usize..300, 1..20), 1_usize..5000).prop_map(|(mut pieces, last)| {
        pieces.push(last);
        pieces
    })
}

/// Bytes that tell their place, so that a swap, a loss and a repetition all show.
fn pattern(length: usize, seed: u8) -> Vec<u8> {
    let digit = |place: usize| u8::try_from(place % 251).expect("below 251");
    (0..length).map(|place| digit(place) ^ digit(place / 251) ^ seed).collect()
}

/// Sends `up` and `down` through a relay and returns what came out at the far ends.
async fn relayed(up: &[u8], down: &[u8], pieces: [Vec<usize>; 2], pipe: usize) -> (Vec<u8>, Vec<u8>, End, Seen) {
    let [client_pieces, backend_pieces] = pieces;
    let (client, downstream) = duplex(pipe);
    let (backend, upstream) = duplex(pipe);
    let mut downstream = Fragmented::new(downstream, client_pieces);
    let mut upstream = Fragmented::new(upstream, backend_pieces);
    let (buffer, seen) = (Buffer::new(), Seen::default());
    let session =
        Session { buffer: &buffer, limits: &UNLIMITED, began: Instant::now(), observer: &seen, stop: &seen.stop };

    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let (mut backend_reads, mut backend_writes) = tokio::io::split(backend);
    let (mut came_up, mut came_down) = (Vec::new(), Vec::new());
    let (end, ..) = tokio::join!(
        run(&mut downstream, &mut upstream, session),
        async {
            client_writes.write_all(up).await.unwrap();
            client_writes.shutdown().await.unwrap();
        },
        async {
            backend_writes.write_all(down).await.unwrap();
            backend_writes.shutdown().await.unwrap();
        },
        async { backend_reads.read_to_end(&mut came_up).await.unwrap() },
        async { client_reads.read_to_end(&mut came_down).await.unwrap() },
    );
    (came_up, came_down, end, seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn all_bytes_arrive_in_order(
        up in 0_usize..200_000,
        down in 0_usize..200_000,
        pieces in [pieces(), pieces()],
        pipe in 1_usize..70_000,
    ) {
        let (up, down) = (pattern(up, 1), pattern(down, 2));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (came_up, came_down, end, seen) = runtime.block_on(relayed(&up, &down, pieces, pipe));
        prop_assert!(came_up == up, "{} of {} bytes came up", came_up.len(), up.len());
        prop_assert!(came_down == down, "{} of {} bytes came down", came_down.len(), down.len());
        prop_assert!(matches!(end, End::Closed(_)));
        prop_assert_eq!((seen.up.get(), seen.down.get()), (up.len(), down.len()));
        prop_assert_eq!(seen.answers.get(), usize::from(!down.is_empty()));
    }
}
