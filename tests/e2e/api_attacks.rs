//! The admin server among those who mean it harm: it refuses, forgets them, and answers probes meanwhile.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use crate::support::admin::{Answer, ask, ask_with};
use crate::support::{Backend, Peer, Proxy, soon};

const JSON: (&str, &str) = ("Content-Type", "application/json");
/// As many as are served at once.
const PLACES: usize = 128;

/// Asks for a ban, in these words.
async fn order(proxy: &Proxy, content_type: (&str, &str), body: &str) -> Answer {
    ask_with(proxy.admin(), "POST", "/api/v1/bans", &[content_type], body).await
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// The head of an order whose body has so many bytes.
fn head(length: u64) -> String {
    format!(
        "POST /api/v1/bans HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Connections that have sent this, and wait.
async fn crowd(proxy: &Proxy, words: &str) -> Vec<Peer> {
    let mut crowd = Vec::new();
    for _ in 0..PLACES {
        let mut client = Peer::connect(proxy.admin()).await;
        client.send(words.as_bytes()).await;
        crowd.push(client);
    }
    crowd
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_time_and_are_of_the_type_that_is_expected() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let body = r#"{"network":"192.0.2.7"}"#;
    for other in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""] {
        assert_eq!(refused(&order(&proxy, ("Content-Type", other), body).await), refusal(415, "wrong_type"), "{other}");
    }
    assert_eq!(refused(&order(&proxy, ("Accept", "*/*"), body).await), refusal(415, "wrong_type"));
    let large = format!(r#"{{"network":"192.0.2.7","why":"{}"}}"#, "x".repeat(65 * 1024));
    assert_eq!(refused(&order(&proxy, JSON, &large).await), refusal(413, "too_large"));
    for deep in ["[".repeat(60_000), r#"{"network":"#.repeat(5_000), format!("{}\"", "\"\\u".repeat(10_000))] {
        assert_eq!(refused(&order(&proxy, JSON, &deep).await), refusal(400, "bad_request"), "{}", &deep[..20]);
    }
    let started = Instant::now();
    let late =
        ask(proxy.admin(), &format!("{}{{", head(1_000).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))).await;
    assert_eq!(refused(&late), refusal(408, "too_slow"));
    assert!(started.elapsed() > Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(proxy.get("/api/v1/bans").await.json()["bans"].as_array().map(Vec::len), Some(0), "nothing was done");
}

#[tokio::test]
async fn parts_of_a_path_are_names_and_nothing_else() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let address = backend.address.to_string();
    let set = async |pool: &str, address: &str| {
        let path = format!("/api/v1/pools/{pool}/backends/{address}/weight");
        ask_with(proxy.admin(), "POST", &path, &[JSON], r#"{"weight":null}"#).await
    };
    for (pool, backend) in [("game", &*address), ("%67ame", &address.replace(':', "%3a"))] {
        assert_eq!(set(pool, backend).await.status, 200, "{pool} {backend}");
    }
    for pool in ["..", "%2e%2e", "game%00", "game%2F..%2Fgame", "%2567ame", "GAME", "%F0%9F%8E%AE", "game%20"] {
        assert_eq!(refused(&set(pool, &address).await), refusal(404, "no_such_pool"), "{pool}");
    }
    for path in ["%ff", "", "a/b"] {
        assert_eq!(refused(&set(path, &address).await), refusal(404, "no_such_path"), "{path}");
    }
    for path in ["//healthz", "/./healthz", "/api/../healthz", "/healthz%00", "/HEALTHZ"] {
        assert_eq!(proxy.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn old_and_hasty_clients_are_answered() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let old = ask(proxy.admin(), "GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!((old.status, &*old.body), (200, "ok\n"));
    assert_eq!(ask(proxy.admin(), "GET /api/v1/status HTTP/1.0\r\n\r\n").await.status, 421, "by no name at all");

    let (many, one) = (500, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut hasty = Peer::connect(proxy.admin()).await;
    hasty
        .send(
            format!("{}{}", one.repeat(many - 1), one.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).as_bytes(),
        )
        .await;
    let mut answers = String::new();
    soon("the answers", hasty.0.read_to_string(&mut answers)).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), many);
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_not_waited_for() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut client = Peer::connect(proxy.admin()).await;
    client.send(head(10 << 30).replace("/bans", "/nothing").as_bytes()).await;
    let mut answer = vec![0; 12];
    soon("the answer", client.0.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 404");
    let flood = async { while client.0.write_all(&[b'x'; 65_536]).await.is_ok() {} };
    soon("the end of the connection", flood).await;
}

#[tokio::test]
async fn probes_are_answered_while_slow_bodies_take_every_place() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let crowd = crowd(&proxy, &format!("{}{{", head(1_000))).await;
    assert_eq!(proxy.get("/healthz").await.status, 200);
    drop(crowd);
}

#[tokio::test]
async fn probes_are_answered_while_kept_connections_take_every_place() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let again = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut crowd = crowd(&proxy, again).await;
    // Never silent for long enough to be closed for that.
    let asking = async {
        loop {
            for client in &mut crowd {
                let _closed = client.0.write_all(again.as_bytes()).await;
            }
            sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        answer = proxy.get("/healthz") => assert_eq!(answer.status, 200),
        () = asking => unreachable!(),
    }
}

#[tokio::test]
async fn probes_are_answered_while_those_who_do_not_read_take_every_place() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let crowd = crowd(&proxy, &"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000)).await;
    assert_eq!(proxy.get("/healthz").await.status, 200);
    drop(crowd);
}

#[tokio::test]
async fn an_edit_that_is_asked_about_tells_nothing_of_files() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n").unwrap();
    let file = secret.path().display();
    for key in [
        format!("deny_file = {:?}", secret.path()),
        format!("tls = {{ certificates = [{{ cert = \"{file}\", key = \"{file}\" }}] }}"),
    ] {
        let edit = format!(
            "[listeners.game]\nbind = \"127.0.0.1:1\"\npool = \"game\"\n{key}\n[pools.game]\nbackends = [\"127.0.0.1:2\"]\n"
        );
        let toml = [("Content-Type", "application/toml")];
        let told = ask_with(proxy.admin(), "POST", "/api/v1/config/diff", &toml, &edit).await;
        assert_eq!(refused(&told), refusal(422, "config_refused"), "{}", told.body);
        assert!(told.body.contains(&file.to_string()), "it is about that file: {}", told.body);
        assert!(!told.body.contains("BEGIN PRIVATE") && !told.body.contains("MIGHAgEA"), "{}", told.body);
    }
}
