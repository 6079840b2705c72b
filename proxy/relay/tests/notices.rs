//! What a client is told from outside.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_client_is_told_between_what_the_backend_says() {
    local(async {
        let mut bench = Bench::new(Limits::default());
        for _ in 0..2 {
            bench.backend.write_all(b"one ").await.unwrap();
            assert_eq!(&read_exactly::<4>(&mut bench.client).await, b"one ");
            bench.seen.notice.set(Some("closing "));
            bench.seen.stop.ask_to_tell();
            assert_eq!(&read_exactly::<8>(&mut bench.client).await, b"closing ");
        }
        bench.seen.stop.ask_to_tell();
        bench.backend.write_all(b"two").await.unwrap();
        assert_eq!(&read_exactly::<3>(&mut bench.client).await, b"two");
        bench.seen.stop.ask();
        bench.seen.stop.ask_to_tell();
        assert_eq!(bench.end().await, End::Stopped, "to end is asked for ever");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_is_measured_when_asked_and_hears_nothing_of_it() {
    local(async {
        let mut bench = Bench::new(Limits::default());
        sleep(seconds(1)).await;
        assert_eq!(bench.seen.quality.get(), None);
        bench.seen.notice.set(Some("closing "));
        bench.seen.stop.ask_to_measure();
        sleep(seconds(1)).await;
        assert_eq!(bench.seen.quality.take(), Some(Quality { rtt_us: 1234, retransmits: 5 }));
        bench.seen.stop.ask_to_tell();
        bench.seen.stop.ask_to_measure();
        assert_eq!(&read_exactly::<8>(&mut bench.client).await, b"closing ", "what is to be told is not lost");
        bench.seen.stop.ask();
        bench.seen.stop.ask_to_measure();
        assert_eq!(bench.end().await, End::Stopped, "nor is the end");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_client_has_not_taken_yet_comes_first() {
    local(async {
        let mut bench = Bench::new(Limits::default());
        let flood = vec![b'x'; PIPE * 3];
        bench.backend.write_all(&flood[..PIPE]).await.unwrap();
        bench.backend.write_all(&flood[PIPE..PIPE * 2]).await.unwrap();
        sleep(seconds(1)).await;
        bench.seen.notice.set(Some("closing"));
        bench.seen.stop.ask_to_tell();
        sleep(seconds(1)).await;
        bench.backend.shutdown().await.unwrap();
        let mut heard = vec![0; PIPE * 2 + 7];
        bench.client.read_exact(&mut heard).await.unwrap();
        assert!(heard.starts_with(&flood[..PIPE * 2]) && heard.ends_with(b"closing"));
    })
    .await;
}
