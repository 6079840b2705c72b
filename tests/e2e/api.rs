//! The API: who may ask, what wrong questions hear, and what concerns the process as a whole.

use std::net::SocketAddr;

use serde_json::json;

use crate::support::admin::{Answer, ask, ask_with};
use crate::support::proxy::{complete, pool};
use crate::support::{Backend, Peer, Proxy, eventually};

const TOKEN: &str = "correct-horse-battery-staple";

/// A proxy whose admin server wants a token.
fn guarded(backend: &Backend) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("admin.token"), format!("{TOKEN}\n")).unwrap();
    let admin = "[admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"admin.token\"\n";
    Proxy::in_folder(folder, &format!("{admin}{}", pool(&[backend], ""))).unwrap()
}

async fn get(admin: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_with(admin, "GET", path, headers, "").await
}

async fn post(proxy: &Proxy, path: &str, body: &str) -> Answer {
    ask_with(proxy.admin(), "POST", path, &[("Content-Type", "application/json")], body).await
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn without_the_token_only_health_and_metrics_are_told() {
    let backend = Backend::echo();
    let proxy = guarded(&backend);
    for path in ["/healthz", "/startupz", "/readyz", "/health/deep", "/metrics"] {
        assert_eq!(proxy.get(path).await.status, 200, "{path}");
    }
    let right = format!("Bearer {TOKEN}");
    for (said, status) in [(None, 401), (Some("Bearer wrong-horse-battery-staple"), 401), (Some(&*right), 200)] {
        let headers: Vec<_> = said.iter().map(|said| ("Authorization", *said)).collect();
        let answer = get(proxy.admin(), "/api/v1/status", &headers).await;
        assert_eq!(answer.status, status, "{said:?}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
    }
    let refused = post(&proxy, "/api/v1/drain", "").await;
    assert_eq!((refused.status, &*code(&refused)), (401, "unauthorized"));
    assert_eq!(proxy.get("/api/v1/nothing").await.status, 401, "it is not told what there is");
    proxy.connect().await.echo(b"it was not drained").await;
}

#[tokio::test]
async fn browsers_cannot_be_led_to_ask() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&format!(
        "[admin]\nbind = \"127.0.0.1:0\"\nhosts = [\"portti.example.com\"]\n{}",
        pool(&[&backend], "")
    ));
    let of = async |host: &str, origin: &str| {
        let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
        let head = format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: close\r\n\r\n");
        ask(proxy.admin(), &head).await.status
    };
    assert_eq!(of("localhost:9900", "http://localhost:9900").await, 200);
    assert_eq!(of("portti.example.com", "https://portti.example.com").await, 200);
    assert_eq!(of("evil.example", "").await, 421, "by a name that stands for this machine today");
    assert_eq!(of("127.0.0.1", "https://evil.example").await, 403);
    assert_eq!(proxy.get("/healthz").await.headers.get("access-control-allow-origin"), None);
}

#[tokio::test]
async fn the_config_that_runs_is_told_key_by_key() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&pool(&[&backend], "connect_timeout = \"1s\""));
    let told = proxy.get("/api/v1/config").await.json();
    let effective = &told["effective"];
    assert_eq!((&told["generation"], &effective["pools.game.connect_timeout"]), (&1.into(), &"1s".into()));
    assert_eq!(effective["pools.game.request_timeout"], "30s", "by default");
    assert_eq!(effective[format!("pools.game.backends[{}].weight", backend.address)], "1");
}

#[tokio::test]
async fn the_log_level_is_set_by_hand_until_that_is_taken_back() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let log = async || proxy.status().await["log"].clone();
    let set = async |body| post(&proxy, "/api/v1/log", body).await;
    let told = |level: &str, by: &str| serde_json::json!({ "level": level, "by": by });
    assert_eq!(log().await, told("info", "file"));
    assert_eq!(set("{\"level\": \"debug\"}").await.json(), told("debug", "hand"));
    proxy.reload_with(&format!("[log]\nlevel = \"warn\"\n{}", pool(&[&backend], ""))).await;
    assert_eq!(log().await, told("debug", "hand"), "an edit is not what takes it back");
    assert_eq!(set("{\"level\": null}").await.json(), told("warn", "file"));
    for wrong in ["{\"level\": \"loud\"}", "{}", "{\"level\": null, \"x\": 1}", "", "[]"] {
        let answer = set(wrong).await;
        assert_eq!((answer.status, &*code(&answer)), (400, "bad_request"), "{wrong}");
    }
}

#[tokio::test]
async fn a_reload_is_asked_for_and_says_what_came_of_it() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let applied = post(&proxy, "/api/v1/reload", "").await;
    assert_eq!((applied.status, &applied.json()["generation"]), (200, &2.into()));
    proxy.write("[server]\nworkers = \"many\"\n");
    eventually("the edit is refused", async || proxy.status().await["config"]["last_reload"]["ok"] == false).await;
    let refused = post(&proxy, "/api/v1/reload", "").await;
    assert_eq!((refused.status, &*code(&refused)), (422, "config_refused"));
    assert!(refused.json()["error"].as_str().unwrap().contains("workers"), "{}", refused.body);
    proxy.connect().await.echo(b"what ran goes on").await;
}

#[tokio::test]
async fn an_edit_is_looked_at_and_not_done() {
    let (stays, goes) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&goes]);
    let mut player = proxy.connect().await;
    player.echo(b"hello").await;
    let look = async |text: &str| {
        let toml = [("Content-Type", "application/toml")];
        ask_with(proxy.admin(), "POST", "/api/v1/config/diff?file=new.toml", &toml, text).await
    };
    let same = look(&complete(&pool(&[&goes], ""))).await.json();
    assert_eq!((&same["changes"], &same["sessions_affected"]), (&json!([]), &json!(0)));
    let other = look(&complete(&pool(&[&stays], "idle_timeout = \"5m\""))).await.json();
    assert_eq!(other["backends_added"], json!([format!("game {}", stays.address)]));
    assert_eq!(other["backends_drained"], json!([format!("game {}", goes.address)]));
    let kinds: Vec<_> = other["changes"].as_array().unwrap().iter().map(|change| &change["kind"]).collect();
    assert_eq!(kinds, ["backend_removed", "backend_added", "set"]);
    let removed = &other["changes"][0];
    assert_eq!((&removed["sessions"], &removed["effect"]), (&json!(1), &json!("drain")));
    assert_eq!(other["sessions_affected"], 1);
    let refused = look("[server]\nworkers = \"many\"\n").await;
    assert_eq!((refused.status, &*code(&refused)), (422, "config_refused"));
    assert!(refused.json()["error"].as_str().unwrap().contains("new.toml:2:11"), "{}", refused.body);
    let untyped = post(&proxy, "/api/v1/config/diff", "").await;
    assert_eq!((untyped.status, &*code(&untyped)), (415, "wrong_type"));
    assert_eq!(proxy.status().await["config"]["generation"], 1, "nothing was done");
    player.echo(b"still here").await;
}

#[tokio::test]
async fn the_process_is_drained_as_by_a_signal() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut player = proxy.connect().await;
    player.echo(b"hello").await;
    assert_eq!(post(&proxy, "/api/v1/drain", "{}").await.status, 202);
    eventually("it is not ready", async || proxy.get("/readyz").await.status == 503).await;
    eventually("it takes nobody", async || Peer::is_refused(proxy.address()).await).await;
    player.echo(b"still here").await;
    let late = post(&proxy, "/api/v1/reload", "").await;
    assert_eq!((late.status, &*code(&late)), (503, "draining"));
}

#[tokio::test]
async fn what_was_asked_is_counted() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    for (path, status) in [("/api/v1/status", 200), ("/nothing", 404), ("/api/v1/drain", 405)] {
        assert_eq!(proxy.get(path).await.status, status);
    }
    let metrics = proxy.metrics().await;
    let counted = |path, code| metrics.sum("portti_admin_requests_total", &[("path", path), ("code", code)]);
    assert_eq!((counted("/api/v1/status", "200"), counted("other", "404"), counted("other", "405")), (1.0, 1.0, 1.0));
}

#[tokio::test]
async fn a_large_edit_keeps_nobody_waiting_who_asks_meanwhile() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let admin = proxy.admin();
    let addresses: Vec<_> = (0..60_000).map(|at| format!("\"10.0.{}.{}:1\"", at / 250, at % 250)).collect();
    let edit = complete(&format!(
        "[listeners.game]\nbind = \"127.0.0.1:1\"\npool = \"game\"\n[pools.game]\nbackends = [{}]\n",
        addresses.join(",\n")
    ));
    let toml = [("Content-Type", "application/toml")];
    let looked_at = tokio::spawn(async move { ask_with(admin, "POST", "/api/v1/config/diff", &toml, &edit).await });
    let mut meanwhile = 0;
    while !looked_at.is_finished() {
        assert_eq!(proxy.get("/healthz").await.status, 200);
        meanwhile += 1;
    }
    let told = looked_at.await.unwrap();
    assert_eq!(told.status, 200, "{}", told.body);
    assert!(meanwhile > 50, "there were {meanwhile} answers");
}
