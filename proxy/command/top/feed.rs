//! What comes from the running portti: its stream of events, followed again whenever it breaks off.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use super::super::ask::{Client, path};
use super::super::table::rows;
use super::parser::{Message, Parser};

/// A status comes each second: whoever is silent for so long has gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// The wait before the next try.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a board may hear.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    /// A stream begins: the last minutes, oldest first. The last log events follow.
    History(Vec<Point>),
    /// How it is now.
    Status(Value),
    /// What has happened.
    Event(Value),
    /// Nothing comes any more, and why.
    Lost(String),
    /// What has become of an order.
    Note(String),
}

/// One second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Point {
    pub(super) sessions: u64,
    pub(super) new: u64,
    pub(super) refused: u64,
}

impl Point {
    pub(super) fn read(point: &Value) -> Self {
        let of = |key: &str| point[key].as_u64().unwrap_or_default();
        Self { sessions: of("sessions"), new: of("new"), refused: of("refused") }
    }
}

/// Follows the stream for as long as anybody listens.
pub(super) async fn follow(client: Client, tell: Sender<News>) {
    loop {
        let why = match client.follow(&path(&["events"])).await {
            Ok(stream) => read(stream, &tell).await,
            Err(trouble) => trouble.to_string(),
        };
        if tell.send(News::Lost(why)).await.is_err() {
            return;
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// Tells what comes; why nothing does any more.
async fn read(mut stream: Incoming, tell: &Sender<News>) -> String {
    let mut parser = Parser::default();
    loop {
        let piece = match timeout(PATIENCE, stream.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) => return format!("the connection broke: {error}"),
            Ok(None) => return "it has closed the connection".to_owned(),
            Err(_elapsed) => return format!("nothing came for {} s", PATIENCE.as_secs()),
        };
        let Ok(messages) = parser.feed(&piece) else { return "it sends what is no event".to_owned() };
        for news in messages.iter().filter_map(news) {
            if tell.send(news).await.is_err() {
                return String::new();
            }
        }
    }
}

fn news(message: &Message) -> Option<News> {
    let data: Value = serde_json::from_str(&message.data).ok()?;
    match message.event.as_str() {
        "history" => Some(News::History(rows(&data["points"]).map(Point::read).collect())),
        "status" => Some(News::Status(data)),
        "log" => Some(News::Event(data)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::sync::mpsc;

    use super::super::super::fake;
    use super::*;

    const STREAM: &str = "event: history\ndata: {\"every_seconds\":1,\"points\":[{\"at\":1,\"sessions\":2,\"new\":3,\"refused\":4}]}\n\n\
                          event: log\ndata: {\"text\":\"hello\"}\n\nevent: tea\ndata: {}\n\nevent: status\ndata: {\"a\":1}\n\n";

    #[test]
    fn a_stream_is_followed_and_followed_again() {
        fake::with(
            |_| (200, STREAM.to_owned()),
            async |client, journal| {
                tokio::time::pause();
                let (tell, mut news) = mpsc::channel(1);
                tokio::spawn(follow(client, tell));
                for turn in 1..=2 {
                    let history = vec![Point { sessions: 2, new: 3, refused: 4 }];
                    assert_eq!(news.recv().await, Some(News::History(history)));
                    assert_eq!(news.recv().await, Some(News::Event(json!({"text": "hello"}))));
                    assert_eq!(news.recv().await, Some(News::Status(json!({"a": 1}))));
                    assert_eq!(news.recv().await, Some(News::Lost("it has closed the connection".to_owned())));
                    assert_eq!(journal.lines().len(), turn);
                }
                assert_eq!(journal.last().line, "GET /api/v1/events");
            },
        );
    }

    #[test]
    fn what_is_refused_is_told_in_the_words_of_the_api() {
        let full = r#"{"code": "too_many_streams", "error": "16 streams are followed"}"#;
        fake::with(
            move |_| (503, full.to_owned()),
            async |client, _| {
                let (tell, mut news) = mpsc::channel(1);
                tokio::spawn(follow(client, tell));
                assert_eq!(news.recv().await, Some(News::Lost("portti: 16 streams are followed".to_owned())));
            },
        );
    }
}
