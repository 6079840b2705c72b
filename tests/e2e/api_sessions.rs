//! The API: sessions that live, page by page, and the end of one; how players are connected.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::admin::{Answer, ask_with};
use crate::support::backend::BlackHole;
use crate::support::proxy::{pool, pool_of};
use crate::support::{Backend, Proxy, eventually};

async fn sessions(proxy: &Proxy, query: &str) -> Value {
    let answer = proxy.get(&format!("/api/v1/sessions{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Clients by the last part of their addresses, in the order that the list has.
fn clients(list: &Value) -> Vec<u8> {
    let client = |session: &Value| session["client"].as_str().unwrap().parse::<SocketAddr>().unwrap();
    let last = |session| match client(session) {
        SocketAddr::V4(client) => client.ip().octets()[3],
        SocketAddr::V6(client) => panic!("{client}"),
    };
    list["sessions"].as_array().unwrap().iter().map(last).collect()
}

async fn end(proxy: &Proxy, id: &str) -> Answer {
    ask_with(proxy.admin(), "DELETE", &format!("/api/v1/sessions/{id}"), &[], "").await
}

#[tokio::test]
async fn a_list_tells_who_plays_where() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    assert_eq!(sessions(&proxy, "").await, serde_json::json!({ "sessions": [], "total": 0, "next": null }));
    let mut player = proxy.connect_from([127, 0, 0, 5]).await;
    player.echo(b"hello").await;
    let list = sessions(&proxy, "").await;
    assert_eq!((&list["total"], &list["next"]), (&1.into(), &Value::Null));
    let session = &list["sessions"][0];
    assert_eq!(session["client"], player.0.local_addr().unwrap().to_string());
    assert_eq!(
        (&session["listener"], &session["pool"], &session["mode"]),
        (&"game".into(), &"game".into(), &"tcp".into())
    );
    assert_eq!(session["backend"], backend.address.to_string());
    assert_eq!((&session["bytes_up"], &session["bytes_down"]), (&5.into(), &5.into()));
    assert_eq!(session["id"].as_str().unwrap().len(), 32);
    let age = async || sessions(&proxy, "").await["sessions"][0]["age_ms"].as_u64().unwrap();
    eventually("it grows older", async || age().await >= 20).await;
}

#[tokio::test]
async fn lists_are_filtered_and_sorted_and_come_in_pages() {
    let (one, other) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&one, &other]);
    let mut players = Vec::new();
    for last in 1..=7_u8 {
        let mut player = proxy.connect_from([127, 0, 0, last]).await;
        player.echo(&vec![b'x'; 100 - usize::from(last)]).await;
        players.push(player);
    }
    assert_eq!(clients(&sessions(&proxy, "").await), [1, 2, 3, 4, 5, 6, 7], "the oldest first");
    assert_eq!(clients(&sessions(&proxy, "?order=asc&limit=2").await), [7, 6]);
    assert_eq!(clients(&sessions(&proxy, "?sort=bytes&limit=3").await), [1, 2, 3]);
    assert_eq!(clients(&sessions(&proxy, "?client=127.0.0.4").await), [4]);
    let answer = proxy.get("/api/v1/sessions?client=127.0.0.5/31").await;
    assert!(answer.status == 400 && answer.body.contains("127.0.0.4/31"), "{}", answer.body);
    assert_eq!(clients(&sessions(&proxy, "?client=127.0.0.4/31&sort=bytes&order=asc").await), [5, 4]);
    assert_eq!(sessions(&proxy, "?pool=game&listener=game").await["total"], 7);
    assert_eq!(sessions(&proxy, "?pool=lobby").await["total"], 0);
    let on =
        async |backend: &Backend| sessions(&proxy, &format!("?backend={}", backend.address)).await["total"].as_u64();
    assert_eq!(on(&one).await.unwrap() + on(&other).await.unwrap(), 7);
    assert!(on(&one).await > Some(0) && on(&other).await > Some(0));

    let mut query = "?sort=bytes&limit=3".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = sessions(&proxy, &query).await;
        pages.push(clients(&page));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?sort=bytes&limit=3&cursor={next}");
        // Who stood at the end of the page may go.
        drop(players.remove(0));
        proxy.expect_ended("client_closed", u32::try_from(pages.len()).unwrap()).await;
    }
    assert_eq!(pages, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    let wrong = proxy.get("/api/v1/sessions?sort=name").await;
    assert_eq!((wrong.status, &wrong.json()["code"]), (400, &"bad_request".into()));
}

#[tokio::test]
async fn one_is_ended_and_the_others_play_on() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let (mut cheat, mut player) = (proxy.connect_from([127, 0, 0, 2]).await, proxy.connect().await);
    cheat.echo(b"hello").await;
    player.echo(b"hello").await;
    let list = sessions(&proxy, "?client=127.0.0.2").await;
    let id = list["sessions"][0]["id"].as_str().unwrap();
    assert_eq!(end(&proxy, id).await.status, 204);
    cheat.ending().await;
    proxy.expect_ended("killed", 1).await;
    player.echo(b"still here").await;
    for gone in [id, "0", "nonsense"] {
        let answer = end(&proxy, gone).await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &"no_such_session".into()), "{gone}");
    }
    assert_eq!(sessions(&proxy, "").await["total"], 1);
}

#[tokio::test]
async fn who_is_not_connected_yet_is_there_without_a_backend() {
    let hole = BlackHole::new();
    let proxy = Proxy::with(&pool_of(&[hole.address], "connect_timeout = \"60s\""));
    let player = proxy.connect().await;
    eventually("it is there", async || sessions(&proxy, "?pool=game").await["total"] == 1).await;
    let list = sessions(&proxy, "").await;
    let session = &list["sessions"][0];
    assert_eq!(
        (&session["pool"], &session["backend"], &session["rtt_us"]),
        (&"game".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(end(&proxy, session["id"].as_str().unwrap()).await.status, 204, "it can be ended all the same");
    proxy.expect_ended("killed", 1).await;
    drop(player);
}

#[tokio::test]
async fn players_are_measured_while_somebody_looks() {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let mut player = proxy.connect().await;
    player.echo(b"hello").await;
    eventually("its round-trip time is known", async || {
        let list = sessions(&proxy, "?sort=rtt").await;
        let session = &list["sessions"][0];
        session["rtt_us"].as_u64() > Some(0) && session["retransmits"].is_u64()
    })
    .await;
    eventually("that of the backend's players is", async || {
        let told = proxy.backend(backend.address).await;
        let (rtt, again) = (&told["players_rtt_us"], &told["players_retransmits"]);
        rtt["median"].as_u64() > Some(0) && rtt["p99"].as_u64() >= rtt["median"].as_u64() && again.is_u64()
    })
    .await;
    player.echo(b"it has noticed nothing").await;
}

#[tokio::test]
async fn sessions_of_requests_tell_their_bytes() {
    let backend = Backend::serving(async |mut stream| {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let _request = stream.read(&mut [0; 1024]).await;
        let _reply = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        let _rest = stream.read(&mut [0; 1024]).await;
    });
    let listener = "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\nmode = \"http\"\n";
    let proxy = Proxy::with(&format!("{listener}{}", pool(&[&backend], "")));
    let mut browser = proxy.connect().await;
    browser.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    browser.expect(b"HTTP/1.1 200 OK\r\n").await;
    eventually("its bytes are told", async || {
        let list = sessions(&proxy, "?listener=game&pool=game").await;
        let session = &list["sessions"][0];
        session["mode"] == "http" && session["bytes_up"] == 27 && session["bytes_down"].as_u64() > Some(20)
    })
    .await;
}

#[tokio::test]
async fn the_status_has_what_a_backend_costs_and_who_was_refused() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&format!("[server]\nmax_connections = 2\n{}", pool(&[&backend], "")));
    assert_eq!(proxy.backend(backend.address).await["connect_ms"], Value::Null);
    let mut players = [proxy.connect().await, proxy.connect().await];
    for player in &mut players {
        player.echo(b"hello").await;
    }
    proxy.connect().await.ending().await;
    let told = proxy.backend(backend.address).await;
    assert!(told["connect_ms"]["median"].as_f64() > Some(0.0), "{told}");
    assert!(told["connect_ms"]["p99"].as_f64() >= told["connect_ms"]["median"].as_f64());
    assert_eq!(told["failures"]["connect_failed"], 0);
    let status = proxy.status().await;
    let refused = &status["refused_total"];
    assert_eq!(refused["at_capacity"].as_u64().unwrap() + refused["shed"].as_u64().unwrap(), 1, "{refused}");
    let (open, max) = (status["descriptors"]["open"].as_u64(), status["descriptors"]["max"].as_u64());
    assert!(open > Some(4) && max > open, "{open:?} {max:?}");
}
