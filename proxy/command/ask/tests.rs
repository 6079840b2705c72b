use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::fake::{self, Asked};
use super::*;

#[test]
fn a_request_says_who_asks_and_what_it_carries() {
    fake::with_answer(json!({"a": 1}), async |client, journal| {
        let client = client.with_token(Some(" secret\n")).unwrap();
        assert_eq!(client.get("/api/v1/status").await.unwrap(), json!({"a": 1}));
        client.ask(Method::POST, "/api/v1/log", Body::Json(json!({"level": null}))).await.unwrap();
        client.ask(Method::POST, "/api/v1/config/diff", Body::Toml("[a]\n")).await.unwrap();
        let asked = |line: &str, content_type: &str, body: &str| Asked {
            line: line.to_owned(),
            host: client.to_string(),
            content_type: content_type.to_owned(),
            authorization: "Bearer secret".to_owned(),
            body: body.to_owned(),
        };
        let expected = [
            asked("GET /api/v1/status", "", ""),
            asked("POST /api/v1/log", "application/json", r#"{"level":null}"#),
            asked("POST /api/v1/config/diff", "application/toml", "[a]\n"),
        ];
        assert_eq!(journal.all(), expected);
    });
}

#[test]
fn the_server_is_called_by_its_address_and_not_by_a_name_that_it_may_not_know() {
    fake::with_answer(json!({}), async |client, journal| {
        let address = client.to_string();
        let (_, port) = address.rsplit_once(':').unwrap();
        Client::new(format!("localhost:{port}")).get("/api/v1/status").await.unwrap();
        assert_eq!(journal.last().host, address);
    });
    let of = |address: &str| host(address.parse().unwrap());
    assert_eq!([of("[fe80::1%3]:9900"), of("10.0.0.1:80")], ["[fe80::1]:9900", "10.0.0.1:80"]);
}

#[test]
fn no_token_is_shown_in_debug_output_nor_taken_when_it_is_none() {
    let client = Client::new("a:1").with_token(Some("secret")).unwrap();
    assert!(!format!("{client:?}").contains("secret"), "{client:?}");
    for bad in ["", " \n", "two\nlines"] {
        assert!(matches!(Client::new("a:1").with_token(Some(bad)), Err(Trouble::BadToken)), "{bad:?}");
    }
}

#[test]
fn what_the_api_refuses_comes_with_its_words() {
    let refused = r#"{"code": "no_such_pool", "error": "there is no pool \"x\"; there are: game"}"#;
    fake::with(
        move |_| (404, refused.to_owned()),
        async |client, _| {
            let trouble = client.get("/api/v1/status").await.unwrap_err();
            assert_eq!(trouble.to_string(), r#"portti: there is no pool "x"; there are: game"#);
        },
    );
}

#[test]
fn nothing_to_say_is_a_success() {
    fake::with(
        |_| (204, String::new()),
        async |client, _| {
            assert_eq!(client.ask(Method::DELETE, "/api/v1/sessions/1", Body::Nothing).await.unwrap(), Value::Null);
        },
    );
}

/// A listener that reads what is asked, says this and closes.
async fn stranger(says: &'static str) -> Client {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(socket.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        let _head = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(says.as_bytes()).await.unwrap();
    });
    client
}

#[tokio::test]
async fn who_is_no_admin_server_is_told_apart_from_nobody() {
    let told = async |client: Client| client.get("/api/v1/status").await.unwrap_err().to_string();
    for says in [
        "",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\n\r\nhi",
    ] {
        let words = told(stranger(says).await).await;
        assert!(words.ends_with("what listens there is not portti's admin server"), "{says:?}: {words}");
    }
    let cut = told(stranger("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{").await).await;
    assert!(cut.contains("no answer from 127.0.0.1:"), "{cut}");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let words = told(Client::new(gone.to_string())).await;
    assert!(
        words.contains("refused") && words.ends_with("(is `[admin] bind` another address, or \"off\"?)"),
        "{words}"
    );
    let words = told(Client::new("nonsense")).await;
    assert!(words.ends_with("(an address is written host:port)"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_not_waited_for_for_ever() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(socket.local_addr().unwrap().to_string());
    let words = client.get("/api/v1/status").await.unwrap_err().to_string();
    assert!(words.ends_with("nothing came within 2 s"), "{words}");
}

#[test]
fn names_and_addresses_pass_through_a_path() {
    assert_eq!(path(&["pools", "a/b", "backends", "[::1]:7"]), "/api/v1/pools/a%2Fb/backends/%5B%3A%3A1%5D%3A7");
    let pairs = [("limit", Some("3".to_owned())), ("pool", None), ("client", Some("10.0.0.0/8".to_owned()))];
    assert_eq!(query(&pairs), "?limit=3&client=10.0.0.0%2F8");
    assert_eq!(query(&[("pool", None)]), "");
}
