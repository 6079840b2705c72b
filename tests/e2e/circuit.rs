//! The circuit breaker, seen from outside: when it keeps sessions away from a backend, and when it lets them back.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::proxy::pool;
use crate::support::{Backend, Peer, Proxy, always_for, assert_took, eventually, free_address};

const MILLIS: Duration = Duration::from_millis(1);
const LATE: Duration = Duration::from_millis(700);

fn breaker(backends: &[&Backend], keys: &str) -> String {
    pool(backends, &format!("retries = 0\n[pools.game.breaker]\n{keys}"))
}

/// One session that ends without an answer.
async fn fail(proxy: &Proxy) {
    fail_from(proxy, 1).await;
}

/// The same, of this client.
async fn fail_from(proxy: &Proxy, number: u8) {
    let mut client = proxy.connect_from([127, 0, 0, number]).await;
    // A refused client may be gone before its byte.
    let _refused = client.try_echo(b"hello").await;
    let _end = client.ending().await;
}

async fn expect_circuit(proxy: &Proxy, backend: &Backend, circuit: &str) {
    let what = format!("a circuit that is {circuit}");
    eventually(&what, async || proxy.backend(backend.address).await["circuit"] == circuit).await;
}

#[tokio::test]
async fn enough_failures_in_a_row_open_it_and_then_nobody_is_sent_there() {
    let backend = Backend::resetting();
    let proxy = Proxy::with(&breaker(&[&backend], "failures = 3"));
    for client in 1..=3 {
        assert_eq!(proxy.backend(backend.address).await["circuit"], "closed");
        fail_from(&proxy, client).await;
    }
    expect_circuit(&proxy, &backend, "open").await;
    for _ in 0..5 {
        let started = Instant::now();
        proxy.connect().await.expect_end().await;
        assert_took(started.elapsed(), Duration::ZERO, LATE);
    }
    assert_eq!(backend.accepted(), 3);
    proxy.expect_ended("backend_reset", 3).await;
    proxy.expect_ended("no_backend", 5).await;

    let shown = proxy.backend(backend.address).await;
    assert_eq!((&shown["eligible"], &shown["failures_total"]), (&false.into(), &3.into()));
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("portti_backend_circuit_state", &[]), 1.0);
    assert_eq!(metrics.sum("portti_backend_eligible", &[]), 0.0);
    assert_eq!(metrics.sum("portti_backend_circuit_transitions_total", &[("to", "open")]), 1.0);
    assert_eq!(metrics.sum("portti_backend_failures_total", &[("reason", "backend_reset")]), 3.0);
}

#[tokio::test]
async fn an_answer_between_failures_starts_the_count_anew() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&breaker(&[&backend], "failures = 3"));
    for _ in 0..3 {
        backend.close().await;
        for _ in 0..2 {
            fail(&proxy).await;
        }
        backend.open_again();
        proxy.connect().await.echo(b"hello").await;
    }
    let shown = proxy.backend(backend.address).await;
    assert_eq!((&shown["circuit"], &shown["failures_total"]), (&"closed".into(), &6.into()));
}

#[tokio::test]
async fn a_connection_that_is_only_accepted_proves_nothing() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&breaker(&[&backend.backend], "failures = 2"));
    let open_and_close = async |backend: &mut crate::support::backend::ByHand| {
        let (client, mut server) = proxy.session(backend).await;
        drop(client);
        server.expect_end().await;
    };
    let mut client = proxy.connect_from([127, 0, 0, 2]).await;
    let mut server = backend.next().await;
    client.send(b"?").await;
    server.expect(b"?").await;
    server.reset();
    client.expect_reset().await;
    // Had this been a success, the next failure would be the first of a new row.
    open_and_close(&mut backend).await;
    let (mut client, mut server) = proxy.session(&mut backend).await;
    client.send(b"?").await;
    server.expect(b"?").await;
    server.reset();
    client.expect_reset().await;
    expect_circuit(&proxy, &backend.backend, "open").await;
}

#[tokio::test]
async fn sessions_that_live_survive_an_opening() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&breaker(&[&backend], "failures = 1"));
    let mut lives = proxy.connect().await;
    lives.echo(b"before").await;
    backend.close().await;
    fail(&proxy).await;
    expect_circuit(&proxy, &backend, "open").await;
    always_for(200 * MILLIS, "cut", async || lives.is_quiet()).await;
    lives.echo(b"after").await;
    // What an old session hears proves nothing about connects made now.
    assert_eq!(proxy.backend(backend.address).await["circuit"], "open");
}

#[tokio::test]
async fn one_probe_at_a_time_finds_out_and_its_success_closes_it() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&breaker(&[&backend.backend], "failures = 1\nopen_for = \"300ms\""));
    backend.backend.close().await;
    fail(&proxy).await;
    backend.backend.open_again();
    expect_circuit(&proxy, &backend.backend, "half_open").await;

    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(tokio::spawn(Peer::connect(proxy.address())));
    }
    let mut probe = backend.next().await;
    proxy.expect_ended("no_backend", 49).await;
    assert_eq!(backend.backend.accepted(), 1);
    assert_eq!(proxy.backend(backend.backend.address).await["eligible"], false);

    probe.send(b"!").await;
    expect_circuit(&proxy, &backend.backend, "closed").await;
    let (mut client, mut server) = proxy.session(&mut backend).await;
    server.send(b"welcome back").await;
    client.expect(b"welcome back").await;
    let metrics = proxy.metrics().await;
    for state in ["open", "half_open", "closed"] {
        assert_eq!(metrics.sum("portti_backend_circuit_transitions_total", &[("to", state)]), 1.0, "{state}");
    }
}

#[tokio::test]
async fn as_many_probes_as_the_config_says() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&breaker(&[&backend.backend], "failures = 1\nopen_for = \"300ms\"\nprobes = 3"));
    backend.backend.close().await;
    fail(&proxy).await;
    backend.backend.open_again();
    expect_circuit(&proxy, &backend.backend, "half_open").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(tokio::spawn(Peer::connect(proxy.address())));
    }
    let _probes = [backend.next().await, backend.next().await, backend.next().await];
    proxy.expect_ended("no_backend", 17).await;
    assert_eq!(backend.backend.accepted(), 3);
}

#[tokio::test]
async fn a_probe_that_ends_without_a_word_leaves_its_place_to_another() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&breaker(&[&backend.backend], "failures = 1\nopen_for = \"300ms\""));
    backend.backend.close().await;
    fail(&proxy).await;
    backend.backend.open_again();
    expect_circuit(&proxy, &backend.backend, "half_open").await;
    for _ in 0..3 {
        let (client, mut server) = proxy.session(&mut backend).await;
        drop(client);
        server.expect_end().await;
        drop(server);
        proxy.expect_empty().await;
        assert_eq!(proxy.backend(backend.backend.address).await["circuit"], "half_open");
    }
    let (mut client, mut server) = proxy.session(&mut backend).await;
    server.send(b"!").await;
    client.expect(b"!").await;
    expect_circuit(&proxy, &backend.backend, "closed").await;
}

#[tokio::test]
async fn each_reopening_lasts_longer_up_to_the_limit() {
    let backend = Backend::echo();
    let keys = "failures = 1\nopen_for = \"400ms\"\nmax_open_for = \"1s\"";
    let proxy = Proxy::with(&breaker(&[&backend], keys));
    backend.close().await;
    for (at_least, jitter) in [(400, 0), (800, 80), (1_000, 0)] {
        fail(&proxy).await;
        let opened = Instant::now();
        expect_circuit(&proxy, &backend, "half_open").await;
        // The opening began while the session failed, some moments before this clock.
        assert_took(opened.elapsed(), (at_least - 100) * MILLIS, (100 + jitter) * MILLIS + LATE);
    }
    assert_eq!(proxy.metric("portti_backend_circuit_transitions_total", &[("to", "open")]).await, 3.0);
    backend.open_again();
    proxy.connect().await.echo(b"hello").await;
    expect_circuit(&proxy, &backend, "closed").await;
    // The next trouble is a new one.
    backend.close().await;
    fail(&proxy).await;
    let opened = Instant::now();
    expect_circuit(&proxy, &backend, "half_open").await;
    assert_took(opened.elapsed(), 300 * MILLIS, 100 * MILLIS + LATE);
}

#[tokio::test]
async fn connects_that_time_out_and_answers_that_do_not_come_count_too() {
    let (hole, mute) = (crate::support::backend::BlackHole::new(), Backend::mute());
    let proxy = Proxy::with(&format!(
        "[pools.game]\nbackends = [\"{}\"]\nconnect_timeout = \"200ms\"\nretries = 0\nbreaker = {{ failures = 2 }}\n\
         [pools.mute]\nbackends = [\"{}\"]\nrequest_timeout = \"200ms\"\nbreaker = {{ failures = 2 }}\n\
         [listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n\
         [listeners.mute]\nbind = \"127.0.0.1:0\"\npool = \"mute\"\n",
        hole.address, mute.address
    ));
    for listener in ["game", "mute"] {
        for number in 1..=2 {
            let mut client = proxy.connect_from_to(listener, [127, 0, 0, number]).await;
            client.send(b"?").await;
            let _end = client.ending().await;
        }
    }
    for backend in [hole.address, mute.address] {
        eventually("open circuits", async || proxy.backend(backend).await["circuit"] == "open").await;
    }
}

#[tokio::test]
async fn the_circuit_of_one_backend_is_not_anothers() {
    let (alive, dead) = (Backend::echo(), free_address());
    let proxy = Proxy::with(&format!(
        "[pools.game]\nbackends = [\"{dead}\", \"{}\"]\nbreaker = {{ failures = 1 }}",
        alive.address
    ));
    for _ in 0..10 {
        proxy.connect().await.echo(b"hello").await;
    }
    assert_eq!(proxy.backend(dead).await["circuit"], "open");
    assert_eq!(proxy.backend(dead).await["failures_total"], 1);
    assert_eq!(proxy.backend(alive.address).await["circuit"], "closed");
    assert_eq!(proxy.get("/readyz").await.status, 200);
}
