use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, registry};

use super::*;
use crate::telemetry::limited::Limited;

/// What a feed has of what is said.
fn feed(says: impl FnOnce()) -> Arc<Feed> {
    let feed = Arc::new(Feed::new());
    let layer = Limited::new(Arc::clone(&feed)).with_filter(filter_fn(takes));
    tracing::subscriber::with_default(registry().with(layer), says);
    feed
}

fn event(pool: &str, backend: u32) -> Event {
    let (pool, backend) = (Some(pool.to_owned()), Some(backend.to_string()));
    Event {
        id: 0,
        at: SystemTime::UNIX_EPOCH,
        level: LogLevel::Info,
        message: String::new(),
        listener: None,
        pool,
        backend,
        client: None,
        session: None,
        others: Vec::new(),
    }
}

#[test]
fn a_line_is_kept_with_its_words_its_names_and_all_its_fields() {
    let feed = feed(|| {
        let (listener, client) = ("door", "10.0.0.7");
        tracing::warn!(listener, pool = %"game", backend = "a", client, session = 3, open_for = %"30s", failures = 5, "opened");
        tracing::error!("lost");
    });
    let events = feed.since(0);
    let expected = Event {
        id: 1,
        at: events[0].at,
        level: LogLevel::Warn,
        message: "opened".to_owned(),
        listener: Some("door".to_owned()),
        pool: Some("game".to_owned()),
        backend: Some("a".to_owned()),
        client: Some("10.0.0.7".to_owned()),
        session: Some("3".to_owned()),
        others: vec![("open_for", "30s".to_owned()), ("failures", "5".to_owned())],
    };
    assert_eq!(*events[0], expected);
    assert_eq!((events.len(), events[1].id, events[1].level), (2, 2, LogLevel::Error));
    assert_eq!(feed.since(1), events[1..]);
    assert_eq!(feed.since(2), []);
}

#[test]
fn lines_of_sessions_of_libraries_and_of_lower_levels_are_not_for_it() {
    let feed = feed(|| {
        tracing::info!(target: "access", session = 1);
        tracing::error!(target: "hickory_resolver", "of a library");
        tracing::debug!("of a lower level");
        tracing::info!("of its own");
    });
    assert_eq!(feed.since(0).iter().map(|event| &*event.message).collect::<Vec<_>>(), ["of its own"]);
}

#[test]
fn the_newest_lines_are_kept_and_the_last_one_of_each_backend() {
    let mut kept = Kept::default();
    kept.push(event("game", 1));
    for _ in 0..EVENTS {
        kept.push(event("game", 2));
    }
    let ids: Vec<_> = kept.events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (2..=EVENTS as u64 + 1).collect::<Vec<_>>());
    let last = |backend: &str| kept.of_backends[&("game".to_owned(), backend.to_owned())].id;
    assert_eq!([last("1"), last("2")], [1, EVENTS as u64 + 1]);
}

#[test]
fn of_too_many_backends_the_one_that_was_heard_of_longest_ago_is_forgotten() {
    let mut kept = Kept::default();
    for backend in 0..10_000 {
        kept.push(event("game", backend));
    }
    kept.push(event("game", 0));
    kept.push(event("lobby", 0));
    assert_eq!(kept.of_backends.len(), BACKENDS);
    let knows = |pool: &str, backend: &str| kept.of_backends.contains_key(&(pool.to_owned(), backend.to_owned()));
    assert_eq!(
        [knows("game", "0"), knows("game", "1"), knows("game", "2"), knows("lobby", "0")],
        [true, false, true, true]
    );
}

#[test]
fn a_long_text_is_cut_between_two_characters() {
    let feed = feed(|| tracing::error!(error = "é".repeat(TEXT_MAX), "{}", "x".repeat(TEXT_MAX)));
    let event = &feed.since(0)[0];
    assert_eq!(event.message, "x".repeat(TEXT_MAX));
    let (_, error) = &event.others[0];
    assert_eq!((error.len(), error.ends_with("é…")), (TEXT_MAX - 1, true));
}

#[tokio::test]
async fn whoever_waits_hears_of_news() {
    let feed = Arc::new(Feed::new());
    let mut newest = feed.newest();
    assert!(!newest.has_changed().unwrap());
    let layer = Limited::new(Arc::clone(&feed));
    tracing::subscriber::with_default(registry().with(layer), || tracing::info!(pool = "game", backend = "a", "up"));
    newest.changed().await.unwrap();
    assert_eq!(*newest.borrow_and_update(), 1);
    assert_eq!(feed.last_of("game", "a").unwrap().message, "up");
    assert_eq!(feed.last_of("game", "b"), None);
}
