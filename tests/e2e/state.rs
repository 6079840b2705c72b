//! What outlives the process.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::admin::ask_with;
use crate::support::{Backend, Proxy, eventually, free_address};

async fn post(proxy: &Proxy, path: &str, order: Value) {
    let headers = [("Content-Type", "application/json")];
    let path = format!("/api/v1{path}");
    let answer = ask_with(proxy.admin(), "POST", &path, &headers, &order.to_string()).await;
    assert!(answer.status < 300, "{}", answer.body);
}

/// Two listeners: `game` before these backends with a circuit that opens at once, `checked` before one that is checked.
fn config(file: &Path, backends: &[std::net::SocketAddr], checked: std::net::SocketAddr) -> String {
    let list: Vec<_> = backends.iter().map(|address| format!("\"{address}\"")).collect();
    format!(
        "[state]\nfile = {file:?}\n[server.reconnect]\nmin_session = \"0s\"\n\
         [listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n\
         [listeners.checked]\nbind = \"127.0.0.1:0\"\npool = \"checked\"\n\
         [pools.game]\nbackends = [{}]\nbalance = \"round_robin\"\nbreaker = {{ failures = 1, open_for = \"5m\", max_ejected = \"100%\" }}\n\
         [pools.checked]\nbackends = [\"{checked}\"]\nhealth = {{ type = \"tcp\", interval = \"100ms\", timeout = \"100ms\" }}\n",
        list.join(", ")
    )
}

fn held(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).unwrap_or_else(|_absent| "{}".to_owned());
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn what_was_set_and_found_out_goes_on_in_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let (drained, alive, dead, gone) = (Backend::echo(), Backend::echo(), free_address(), free_address());
    let config = config(&file, &[drained.address, alive.address, dead], gone);
    let mut proxy = Proxy::with(&config);
    for _ in 0..3 {
        proxy.connect().await.echo(b"hello").await;
    }
    proxy.expect_ended("client_closed", 3).await;
    assert_eq!(proxy.backend(dead).await["circuit"], "open");
    eventually("it is down", async || proxy.backend(gone).await["health"] == "down").await;
    let at = format!("/pools/game/backends/{}", drained.address);
    post(&proxy, &format!("{at}/state"), json!({"state": "drain"})).await;
    post(&proxy, &format!("{at}/weight"), json!({"weight": 7})).await;
    post(&proxy, "/listeners/checked/maintenance", json!({"maintenance": true})).await;
    post(&proxy, "/bans", json!({"network": "127.0.7.0/24", "for": "1h", "why": "cheats"})).await;
    post(&proxy, "/bans", json!({"network": "127.0.6.0/24"})).await;
    let bans = proxy.get("/api/v1/bans").await.json();
    eventually("it is written", async || held(&file)["state"]["bans"].as_array().is_some_and(|bans| bans.len() == 2))
        .await;
    proxy.shut_down();
    proxy.ended().await;
    let left = held(&file);
    assert_eq!(left["state"]["reconnect"][0]["ended"][0][0], "127.0.0.1");

    let mut proxy = Proxy::with(&config);
    let shown = proxy.backend(drained.address).await;
    assert_eq!((&shown["admin"], &shown["admin_by"]), (&"drain".into(), &"hand".into()));
    assert_eq!((&shown["weight"], &shown["weight_by"]), (&7.into(), &"hand".into()));
    assert_eq!(
        (proxy.backend(dead).await["circuit"].clone(), proxy.metric("portti_connect_retries_total", &[]).await),
        ("open".into(), 0.0)
    );
    assert_eq!(proxy.backend(gone).await["health"], "down");
    let listeners = proxy.status().await["listeners"].clone();
    assert_eq!((&listeners[0]["maintenance"], &listeners[0]["maintenance_by"]), (&true.into(), &"hand".into()));
    assert_eq!(proxy.get("/api/v1/bans").await.json(), bans);
    proxy.connect_from([127, 0, 7, 7]).await.expect_end().await;
    for _ in 0..4 {
        proxy.connect().await.echo(b"hello").await;
    }
    assert_eq!(proxy.backend(alive.address).await["sessions_total"], 4);

    // What is cleared is cleared in the file, too.
    post(&proxy, &format!("{at}/state"), json!({"state": "ready"})).await;
    post(&proxy, &format!("{at}/weight"), json!({"weight": null})).await;
    eventually("it is written", async || held(&file)["state"]["backends"] == json!([])).await;
    proxy.shut_down();
    proxy.ended().await;
}

#[tokio::test]
async fn what_the_config_names_no_more_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let (one, other) = (Backend::echo(), Backend::echo());
    let mut proxy = Proxy::with(&config(&file, &[one.address, other.address], other.address));
    let at = |backend: &Backend| format!("/pools/game/backends/{}/state", backend.address);
    for backend in [&one, &other] {
        post(&proxy, &at(backend), json!({"state": "maintenance"})).await;
    }
    proxy.shut_down();
    proxy.ended().await;
    assert_eq!(held(&file)["state"]["backends"].as_array().unwrap().len(), 2, "at the end without delay");

    let proxy = Proxy::with(&config(&file, &[one.address], other.address));
    assert_eq!(proxy.backend(one.address).await["admin"], "maintenance");
    eventually("it is written", async || held(&file)["state"]["backends"].as_array().is_some_and(|all| all.len() == 1))
        .await;
}

#[tokio::test]
async fn a_file_of_no_use_is_put_aside_and_costs_nothing() {
    for rubbish in ["", "{\"version\":1,\"checksum\":\"0\",\"state\":{}}", "{\"version\":2}", "\0\0\0"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        std::fs::write(&file, rubbish).unwrap();
        let backend = Backend::echo();
        let proxy = Proxy::with(&config(&file, &[backend.address], backend.address));
        proxy.connect().await.echo(b"hello").await;
        eventually("a new one", async || held(&file)["version"] == 1).await;
        let beside = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let aside: Vec<_> = beside.filter(|path| path.to_str().unwrap().contains(".damaged-")).collect();
        assert_eq!(aside.len(), 1);
        assert_eq!(std::fs::read_to_string(&aside[0]).unwrap(), rubbish);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_put_aside_too_and_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    // As root, tests can read every file; a pipe is none, and nobody writes to it.
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let backend = Backend::echo();
    let proxy = Proxy::with(&config(&file, &[backend.address], backend.address));
    proxy.connect().await.echo(b"hello").await;
    eventually("a new one", async || file.is_file() && held(&file)["version"] == 1).await;
    let mut beside = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    assert!(beside.any(|path| path.to_str().unwrap().contains(".damaged-")));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_counted_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::echo();
    let file = folder.path().join("later/state.json");
    let proxy = Proxy::with(&config(&file, &[backend.address], backend.address));
    let writes = async |result| proxy.metric("portti_state_writes_total", &[("result", result)]).await;
    eventually("it has failed", async || writes("failed").await >= 1.0).await;
    proxy.connect().await.echo(b"hello").await;
    std::fs::create_dir(folder.path().join("later")).unwrap();
    post(&proxy, "/bans", json!({"network": "192.0.2.1"})).await;
    eventually("it is written", async || writes("ok").await >= 1.0).await;
    assert_eq!(held(&file)["state"]["bans"][0]["network"], "192.0.2.1/32");
}
