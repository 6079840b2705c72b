//! What the log's feed in memory tells of a proxy. All proxies of this process speak to the same one, so what is looked for has
//! names of its own.

use std::sync::Arc;

use portti::telemetry::Telemetry;
use portti::telemetry::feed::{Event, Feed};

use crate::support::{Backend, Proxy, eventually};

fn feed() -> Arc<Feed> {
    Telemetry::default().feed()
}

fn config(name: &str, backend: &Backend, listener_keys: &str) -> String {
    let listener = format!("[listeners.{name}]\nbind = \"127.0.0.1:0\"\npool = \"{name}\"\n{listener_keys}");
    let breaker = format!("[pools.{name}.breaker]\nfailures = 1\nopen_for = \"100ms\"");
    format!("{listener}\n[pools.{name}]\nretries = 0\nbackends = [\"{}\"]\n{breaker}", backend.address)
}

/// A session that the backend resets, or that is refused.
async fn fail(proxy: &Proxy, listener: &str) {
    let mut client = proxy.connect_from_to(listener, [127, 0, 0, 1]).await;
    let _reset = client.try_echo(b"hello").await;
    let _end = client.ending().await;
}

/// Waits for an event like this.
async fn hear(what: &str, is_it: impl Fn(&Event) -> bool) -> Arc<Event> {
    eventually(what, async || feed().since(0).iter().any(|event| is_it(event))).await;
    feed().since(0).into_iter().rfind(|event| is_it(event)).expect("it is there")
}

#[tokio::test]
async fn it_tells_of_a_circuit_and_of_a_ban_by_name() {
    let (name, backend) = ("feed-of-sessions", Backend::resetting());
    let ban = "rate_per_ip = \"1/h\"\nburst_per_ip = 1\nban = { after = 1, for = \"1h\" }";
    let proxy = Proxy::with(&config(name, &backend, ban));
    fail(&proxy, name).await;
    let address = backend.address.to_string();
    // Looking at it is what moves it on, once the backend has been silent for long enough.
    eventually("news of the circuit", async || {
        proxy.status().await;
        feed().last_of(name, &address).is_some()
    })
    .await;
    let opened = hear("an open circuit", |event| {
        event.message.starts_with("circuit opened") && event.pool.as_deref() == Some(name)
    });
    assert_eq!(opened.await.backend, Some(address.clone()));
    eventually("a circuit half open", async || {
        // Looking at it is what moves it on.
        proxy.status().await;
        feed().last_of(name, &address).is_some_and(|event| event.message.starts_with("circuit half open"))
    })
    .await;
    fail(&proxy, name).await;
    let banned = hear("a ban", |event| event.message.starts_with("banned") && event.listener.as_deref() == Some(name));
    assert_eq!(banned.await.client.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn it_tells_of_reloads_with_what_is_wrong_and_of_listeners_that_come_and_go() {
    let (before, after, backend) = ("feed-before", "feed-after", Backend::echo());
    let proxy = Proxy::with(&config(before, &backend, ""));
    proxy.write(&config(before, &backend, "blance = 1"));
    proxy.reload().await.unwrap_err();
    let folder = proxy.folder().display().to_string();
    let refused = hear("a refused reload", |event| event.message.contains(&folder)).await;
    assert!(refused.message.contains("blance"), "{}", refused.message);

    proxy.reload_with(&config(after, &backend, "")).await;
    let of = |listener: &'static str, message: &'static str| {
        hear(message, move |event| event.listener.as_deref() == Some(listener) && event.message == message)
    };
    let opened = of(after, "listening").await;
    assert!(of(before, "no longer listening").await.id > opened.id);
}
