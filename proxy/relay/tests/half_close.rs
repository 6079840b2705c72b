//! Sessions of which one side has closed.

use super::*;

const HALF_CLOSE: Limits = Limits { half_close: Some(Duration::from_secs(30)), ..UNLIMITED };

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_after_the_backends_end_does_not_keep_the_session() {
    local(async {
        let mut bench = Bench::new(Limits { idle: Some(seconds(3600)), ..HALF_CLOSE });
        sleep(seconds(100)).await;
        let ended = Instant::now();
        bench.backend.shutdown().await.unwrap();
        assert_eq!(bench.client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(bench.seen.backend_ends.get(), 1, "the place at the backend is free at once");
        assert_eq!(bench.end().await, End::Closed(Side::Upstream));
        assert_took_about(ended, seconds(30));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_closes_after_the_clients_end_does_not_keep_the_session() {
    local(async {
        let mut bench = Bench::new(Limits { request: Some(seconds(3600)), ..HALF_CLOSE });
        bench.client.write_all(b"bye").await.unwrap();
        let ended = Instant::now();
        bench.client.shutdown().await.unwrap();
        read_exactly::<3>(&mut bench.backend).await;
        assert_eq!(bench.seen.backend_ends.get(), 0);
        assert_eq!(bench.end().await, End::Closed(Side::Downstream));
        assert_took_about(ended, seconds(30));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn late_replies_arrive_for_as_long_as_they_come() {
    local(async {
        let mut bench = Bench::new(HALF_CLOSE);
        bench.client.shutdown().await.unwrap();
        for _ in 0..20 {
            sleep(seconds(25)).await;
            bench.backend.write_all(b"x").await.unwrap();
            read_exactly::<1>(&mut bench.client).await;
        }
        let last = Instant::now();
        assert_eq!(bench.end().await, End::Closed(Side::Downstream));
        assert_took_about(last, seconds(30));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_has_closed_owes_no_answer_any_more() {
    local(async {
        let mut bench = Bench::new(Limits { request: Some(seconds(10)), ..HALF_CLOSE });
        bench.client.write_all(b"?").await.unwrap();
        bench.backend.shutdown().await.unwrap();
        bench.client.write_all(b"??").await.unwrap();
        read_exactly::<3>(&mut bench.backend).await;
        assert_eq!(bench.end().await, End::Closed(Side::Upstream));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_does_not_run_before_the_end_could_be_passed_on() {
    local(async {
        let mut bench = Bench::new(HALF_CLOSE);
        let flood = vec![7; PIPE + 1000];
        bench.backend.write_all(&flood).await.unwrap();
        bench.backend.shutdown().await.unwrap();
        sleep(seconds(300)).await;
        let mut heard = Vec::new();
        bench.client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, flood, "a client may take its time with what was said before");
        let ended = Instant::now();
        assert_eq!(bench.end().await, End::Closed(Side::Upstream));
        assert_took_about(ended, seconds(30));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_both_sides_are_open_it_does_not_run() {
    local(async {
        let bench = Bench::new(HALF_CLOSE);
        sleep(seconds(3600)).await;
        assert!(!bench.relay.is_finished());
    })
    .await;
}

/// Within the sixteenth that limits on silence are looked at in.
fn assert_took_about(since: Instant, limit: Duration) {
    let took = since.elapsed();
    assert!(took >= limit && took <= limit * 17 / 16 + seconds(1) / 100, "{took:?}");
}
