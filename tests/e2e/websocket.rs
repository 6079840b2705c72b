//! Requests that go on in another protocol.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::support::backend::ByHand;
use crate::support::proxy::pool;
use crate::support::tls::{AUTHORITY, client, connect};
use crate::support::{Backend, Proxy, assert_took, eventually, soon};

const LATE: Duration = Duration::from_millis(900);

/// A server of a WebSocket game, which says again what it hears.
fn echo() -> Backend {
    Backend::serving(async |stream| {
        let Ok(mut socket) = accept_async(stream).await else { return };
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

fn config(server: &str, pools: &str) -> String {
    format!("[server]\n{server}\n[listeners.game]\nbind = \"127.0.0.1:0\"\nmode = \"http\"\npool = \"game\"\n{pools}")
}

type Player<S> = WebSocketStream<S>;

async fn player(proxy: &Proxy) -> Player<TcpStream> {
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (socket, answer) = soon("an answer", client_async("ws://a.example/game", stream)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    socket
}

/// Sends a message, and hears it again. Both at once: a large one does not fit into what lies between.
async fn echoes<S: AsyncRead + AsyncWrite + Unpin>(player: &mut Player<S>, message: Message) {
    let (mut says, mut hears) = player.split();
    let expected = message.clone();
    let (sent, heard) = soon("an echo", async { tokio::join!(says.send(message), hears.next()) }).await;
    sent.unwrap();
    assert!(heard.unwrap().unwrap() == expected, "another message came back");
}

/// The end of a player who is told to go.
async fn is_told_to_go<S: AsyncRead + AsyncWrite + Unpin>(player: &mut Player<S>) {
    match soon("a word", player.next()).await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(frame.code, CloseCode::Away),
        other => panic!("{other:?}"),
    }
    assert!(soon("the end", player.next()).await.is_none_or(|last| last.is_err()));
}

#[tokio::test]
async fn ten_thousand_messages_pings_and_large_ones_pass() {
    let backend = echo();
    let proxy = Proxy::with(&config("", &pool(&[&backend], "")));
    let mut player = player(&proxy).await;
    for number in 0..10_000_u32 {
        let message = if number % 2 == 0 {
            Message::text(format!("message {number}"))
        } else {
            Message::binary(vec![7; usize::try_from(number).unwrap() % 500])
        };
        echoes(&mut player, message).await;
    }
    player.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    assert_eq!(soon("a pong", player.next()).await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"there?")));
    let large: Vec<u8> = (0..16_000_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    echoes(&mut player, Message::binary(large)).await;

    assert_eq!(proxy.backend(backend.address).await["sessions_active"], 1, "it lives there as a session does");
    let bytes = proxy.metric("portti_bytes_total", &[("direction", "down")]).await;
    assert!(bytes > 16_000_000.0, "{bytes}");
    let upgraded = proxy.metric("portti_requests_total", &[("code_class", "1xx")]).await;
    let in_flight = proxy.metric("portti_requests_in_flight", &[]).await;
    assert_eq!((upgraded, in_flight), (1.0, 0.0), "the request is over, the session goes on");
    player.close(None).await.unwrap();
    while soon("the end", player.next()).await.is_some() {}
    drop(player);
    proxy.expect_empty().await;
    assert_eq!(proxy.backend(backend.address).await["sessions_active"], 0);
}

#[tokio::test]
async fn at_the_end_of_a_drain_players_are_told_that_this_end_goes_away() {
    let backend = echo();
    let mut proxy = Proxy::with(&config("drain_timeout = \"1s\"", &pool(&[&backend], "")));
    let (mut one, mut other) = (player(&proxy).await, player(&proxy).await);
    echoes(&mut one, Message::text("hello")).await;
    echoes(&mut other, Message::text("hello")).await;
    proxy.shut_down();
    let asked = Instant::now();
    echoes(&mut one, Message::text("still there")).await;
    is_told_to_go(&mut one).await;
    is_told_to_go(&mut other).await;
    assert_took(asked.elapsed(), Duration::from_millis(990), LATE);
    proxy.ended().await;
}

/// What a server says that upgrades whatever it is asked, by hand.
const CONSENT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A client and a server that have agreed on this protocol, and what the server has said behind its consent.
async fn agreed(proxy: &Proxy, server: &mut ByHand, protocol: &str, first: &[u8]) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut server = server.next().await.0;
    let head = head_of(&mut server).await;
    assert!(head.contains("connection: upgrade\r\n") && head.contains(&format!("upgrade: {protocol}\r\n")), "{head}");
    server.write_all(&[CONSENT, first].concat()).await.unwrap();
    let head = head_of(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: websocket\r\n"), "{head}");
    (client, server)
}

async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("a head", stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn the_last_word_waits_for_the_end_of_a_frame() {
    let mut backend = Backend::by_hand();
    let mut proxy = Proxy::with(&config("drain_timeout = \"300ms\"", &pool(&[&backend.backend], "")));
    let (mut client, mut server) = agreed(&proxy, &mut backend, "websocket", &[0x82, 4, 1]).await;
    let (mut stuck, _half) = agreed(&proxy, &mut backend, "websocket", &[0x82, 4, 1]).await;
    let (mut closed, _said) = agreed(&proxy, &mut backend, "websocket", &[0x88, 0]).await;
    proxy.shut_down();
    let asked = Instant::now();
    // It is to end by now, and is in the middle of a frame.
    tokio::time::sleep(Duration::from_millis(600)).await;
    server.write_all(&[2, 3, 4, 0x82, 1, 9]).await.unwrap();
    let mut seen = Vec::new();
    soon("the end", client.read_to_end(&mut seen)).await.unwrap();
    assert_eq!(seen, [0x82, 4, 1, 2, 3, 4, 0x88, 2, 3, 0xe9], "the frame, and that this end goes away");
    seen.clear();
    soon("the end", stuck.read_to_end(&mut seen)).await.unwrap();
    assert_eq!(seen, [0x82, 4, 1], "a frame that does not end is not waited for");
    assert_took(asked.elapsed(), Duration::from_millis(990), LATE);
    seen.clear();
    soon("the end", closed.read_to_end(&mut seen)).await.unwrap();
    assert_eq!(seen, [0x88, 0], "nothing follows a close");
    seen.clear();
    soon("the end", server.read_to_end(&mut seen)).await.unwrap();
    proxy.ended().await;
}

#[tokio::test]
async fn whatever_is_agreed_on_passes_from_the_first_byte_in_its_limits() {
    let mut backend = Backend::by_hand();
    let proxy = Proxy::with(&config("", &pool(&[&backend.backend], "idle_timeout = \"700ms\"")));
    let (mut client, mut server) = agreed(&proxy, &mut backend, "echo/1", b"first").await;
    client.write_all(b"\nnot a request\n").await.unwrap();
    let mut word = [0; 15];
    soon("a word", server.read_exact(&mut word)).await.unwrap();
    assert_eq!(&word, b"\nnot a request\n");
    let silent = Instant::now();
    let mut heard = String::new();
    soon("the end", client.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "first", "what is no WebSocket gets no frames of one");
    assert_took(silent.elapsed(), Duration::from_millis(690), LATE);
    proxy.expect_ended("idle_timeout", 1).await;

    // The server breaks: so does the client's side.
    let (mut client, server) = agreed(&proxy, &mut backend, "websocket", b"").await;
    server.set_zero_linger().unwrap();
    drop(server);
    assert!(soon("the end", client.read_u8()).await.is_err());
    proxy.expect_ended("backend_reset", 1).await;
}

#[tokio::test]
async fn who_does_not_agree_has_answered_a_request() {
    let backend = Backend::serving(async |mut stream| {
        let mut head = [0; 1000];
        while stream.read(&mut head).await.is_ok_and(|length| length > 0) {
            let _sent = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
        }
    });
    let proxy = Proxy::with(&config("", &pool(&[&backend], "")));
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    for _ in 0..3 {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await
            .unwrap();
        assert!(head_of(&mut client).await.starts_with("HTTP/1.1 403 "));
        assert_eq!(soon("a body", client.read_u16()).await.unwrap().to_be_bytes(), *b"no");
    }
    assert_eq!(backend.accepted(), 1);
}

/// The config of the README, with these tests' addresses in it.
#[tokio::test]
async fn the_readme_shows_a_lobby_a_game_and_a_game_in_the_browser() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let mut shown = readme.split("```toml\n").find(|block| block.contains("mode = \"http\"")).unwrap().to_owned();
    shown.truncate(shown.find("```").unwrap());
    let (game, (lobby, _), browser) = (Backend::echo(), crate::http::echo(), echo());
    for (written, ours) in [
        ("10.0.0.11:25565\", \"10.0.0.12:25565", game.address),
        ("10.0.0.21:8000\", \"10.0.0.22:8000", lobby.address),
        ("10.0.0.31:9000", browser.address),
    ] {
        assert!(shown.contains(written), "{written} is not in the README");
        shown = shown.replace(written, &ours.to_string());
    }
    shown = shown.replace("0.0.0.0:25565", "127.0.0.1:0").replace("0.0.0.0:8080", "127.0.0.1:0");
    let proxy = Proxy::with(&shown);
    proxy.connect().await.echo(b"hello").await;
    let web = proxy.address_of("web");
    for request in [crate::http::get("/", ""), crate::http::get("/rooms", "Content-Length: 0\r\n")] {
        let answer = crate::http::said(web, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!((lobby.accepted() > 0, browser.accepted()), (true, 0));
    let stream = TcpStream::connect(web).await.unwrap();
    let (mut player, _) = soon("an answer", client_async("ws://a.example/play", stream)).await.unwrap();
    echoes(&mut player, Message::text("hello")).await;
}

/// A WebSocket on a stream of HTTP/2 (RFC 8441).
async fn player_on(sender: &mut http2::SendRequest<Empty<Bytes>>) -> Player<TokioIo<hyper::upgrade::Upgraded>> {
    let mut request =
        Request::connect("https://a.example/game").header("sec-websocket-version", "13").body(Empty::new()).unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let mut answer = soon("an answer", sender.send_request(request)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.headers());
    let stream = soon("a stream", hyper::upgrade::on(&mut answer)).await.unwrap();
    WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Client, None).await
}

#[tokio::test]
async fn streams_of_http2_become_players_each() {
    let backend = echo();
    let folder = tempfile::tempdir().unwrap();
    AUTHORITY.issue(&["a.example"]).write(folder.path(), "web");
    let tls = "[listeners.game.tls]\ncertificates = [{ cert = \"web.pem\", key = \"web.key\" }]\n";
    let server = "drain_timeout = \"1s\"\nmax_connections = 4";
    let mut proxy = Proxy::in_folder(folder, &config(server, &(tls.to_owned() + &pool(&[&backend], "")))).unwrap();
    let secure = connect(proxy.address(), "a.example", &client(&["h2"])).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(Box::new(secure.0))).await.unwrap();
    tokio::spawn(connection);
    let mut players = Vec::new();
    for number in 0..3 {
        // The client has to hear first that this is spoken here.
        let mut player = player_on(&mut sender).await;
        echoes(&mut player, Message::text(format!("player {number}"))).await;
        echoes(&mut player, Message::binary(vec![7; 300_000])).await;
        players.push(player);
    }
    let status = proxy.status().await;
    assert_eq!(status["sessions_active"], 4, "the connection, and three players");
    assert_eq!(proxy.backend(backend.address).await["sessions_active"], 3);
    let request = Request::connect("https://a.example/game").header("sec-websocket-version", "13");
    let mut request = request.body(Empty::new()).unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let full = soon("an answer", sender.send_request(request)).await.unwrap();
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);

    let mut leaves = players.pop().unwrap();
    leaves.close(None).await.unwrap();
    while soon("the end", leaves.next()).await.is_some() {}
    leaves.get_mut().shutdown().await.unwrap();
    proxy.expect_ended("backend_closed", 1).await;
    proxy.shut_down();
    let asked = Instant::now();
    for player in &mut players {
        is_told_to_go(player).await;
    }
    assert_took(asked.elapsed(), Duration::from_millis(990), LATE);
    proxy.ended().await;
}

#[tokio::test]
async fn a_player_who_says_nothing_is_told_why_it_ends() {
    let backend = echo();
    let proxy = Proxy::with(&config("", &pool(&[&backend], "idle_timeout = \"600ms\"")));
    let mut player = player(&proxy).await;
    is_told_to_go(&mut player).await;
    proxy.expect_ended("idle_timeout", 1).await;
    let mut gone = self::player(&proxy).await;
    echoes(&mut gone, Message::text("hello")).await;
    gone.get_ref().set_zero_linger().unwrap();
    drop(gone);
    proxy.expect_ended("client_reset", 1).await;
    eventually("nobody is there", async || proxy.backend(backend.address).await["sessions_active"] == 0).await;
}

#[tokio::test]
async fn no_backend_sees_a_connect() {
    let (backend, requests) = crate::http::echo();
    for (pool_keys, protocol, status) in [
        ("protocol = \"h2\"", "websocket", 502),
        ("", "h2c", 502),
        ("", "websocket, h2c", 400),
        ("", "web socket", 400),
        ("", "we\u{1}b", 400),
    ] {
        let proxy = Proxy::with(&config("", &pool(&[&backend], pool_keys)));
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        // The client has to hear first that this is spoken here.
        let first =
            Request::get("http://a.example/").header("connection-is", "up").body(Empty::<Bytes>::new()).unwrap();
        let _answer = soon("an answer", sender.send_request(first)).await.unwrap();
        let before = requests.load(std::sync::atomic::Ordering::Relaxed);
        let mut request = Request::connect("http://a.example/game").body(Empty::new()).unwrap();
        request.extensions_mut().insert(Protocol::from(protocol));
        let answer = soon("an answer", sender.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), status, "{pool_keys} {protocol}");
        assert_eq!(requests.load(std::sync::atomic::Ordering::Relaxed), before, "{pool_keys} {protocol}");
    }
}

#[tokio::test]
async fn a_players_life_begins_with_the_upgrade() {
    let backend = Backend::serving(async |mut stream: TcpStream| {
        let mut head = [0; 2000];
        while let Ok(1..) = stream.read(&mut head).await {
            let answer: &[u8] = if head.windows(7).any(|word| word.eq_ignore_ascii_case(b"upgrade")) {
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            };
            let _sent = stream.write_all(answer).await;
        }
    });
    let proxy = Proxy::with(&config("", &pool(&[&backend], "max_lifetime = \"700ms\"")));
    // Balancers in front keep connections, and send a player's upgrade on one that is old.
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    for _ in 0..8 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 200 "));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 101 "));
    let began = Instant::now();
    let mut rest = Vec::new();
    soon("the end", stream.read_to_end(&mut rest)).await.unwrap();
    assert_took(began.elapsed(), Duration::from_millis(690), LATE);
}
