use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use super::*;

const TEXT: &str = "No room: \"später\".\n";

fn farewell(language: Language) -> Farewell {
    Farewell { language, text: TEXT.to_owned() }
}

/// A client that is being told, and the telling.
fn told(language: Language) -> (DuplexStream, impl Future<Output = ()>) {
    let (client, proxy) = duplex(64 * 1024);
    (client, farewell(language).say(proxy))
}

async fn all(mut client: DuplexStream) -> Vec<u8> {
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    heard
}

/// What a client hears that says this, in pieces of so many bytes, and then listens.
async fn heard(says: &[u8], piece: usize) -> Vec<u8> {
    let (mut client, told) = told(Language::Minecraft);
    let speak = async {
        for piece in says.chunks(piece) {
            client.write_all(piece).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        all(client).await
    };
    tokio::join!(speak, told).0
}

#[tokio::test(start_paused = true)]
async fn text_is_said_as_it_is_and_the_close_is_waited_for() {
    let (mut client, told) = told(Language::Text);
    let began = Instant::now();
    let speak = async {
        client.write_all(b"let me in").await.unwrap();
        let mut heard = vec![0; TEXT.len()];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, TEXT.as_bytes());
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "this side is closed");
        sleep(Duration::from_millis(500)).await;
        client.write_all(b"why?").await.unwrap();
        drop(client);
    };
    tokio::join!(speak, told);
    assert_eq!(began.elapsed(), Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_go_is_left() {
    for (language, patience) in [(Language::Text, LINGER), (Language::Minecraft, HEAR)] {
        let (_client, told) = told(language);
        let began = Instant::now();
        told.await;
        assert_eq!(began.elapsed(), patience, "{language:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_without_end_is_left_too() {
    let (mut client, told) = told(Language::Text);
    let began = Instant::now();
    let speak = async {
        let mut sent = 0;
        while client.write_all(&[0; 1024]).await.is_ok() {
            sent += 1024;
        }
        sent
    };
    let (sent, ()) = tokio::join!(speak, told);
    assert!((256 * 1024..=400 * 1024).contains(&sent), "{sent}");
    assert!(began.elapsed() < LINGER);
}

/// As the game sends them: version 769 (0x0301), host "localhost", port 25565, and what it wants.
fn handshake(wants: u8) -> Vec<u8> {
    let mut bytes = b"\x10\0\x81\x06\x09localhost\x63\xdd".to_vec();
    bytes.push(wants);
    bytes
}

#[tokio::test(start_paused = true)]
async fn the_list_of_servers_is_told() {
    let json = concat!(
        r#"{"description":{"text":"No room: \"später\".\n"},"players":{"max":0,"online":0},"#,
        r#""version":{"name":"portti","protocol":769}}"#
    );
    let expected = [b"\x7e\0\x7c", json.as_bytes()].concat();
    let pong = b"\x09\x01\0\0\0\0\0\0\x12\x34";

    let (request, ping) = (&b"\x01\0"[..], &pong[..]);
    let both = [&handshake(1)[..], request, ping].concat();
    for piece in [1, 2, 7, 1000] {
        assert_eq!(heard(&both, piece).await, [&expected[..], pong].concat(), "{piece}");
    }
    assert_eq!(heard(&[&handshake(1)[..], ping].concat(), 100).await, pong, "who asks only how far it is");
}

#[tokio::test(start_paused = true)]
async fn who_tries_to_join_is_told() {
    let json = r#"{"text":"No room: \"später\".\n"}"#;
    let expected = [b"\x24\0\x22", json.as_bytes()].concat();
    let start = b"\x16\0\x04Alex\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07";
    for wants in [2, 3] {
        for says in [handshake(wants), [&handshake(wants)[..], start].concat()] {
            assert_eq!(heard(&says, 5).await, expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_minecraft_is_told_nothing() {
    let mut cases = 0;
    let overlong: &[u8] = b"\xff\xff\xff\xff\xff\xff";
    let (huge, empty): (&[u8], &[u8]) = (b"\xff\x7f\0", b"\0\0\0");
    for says in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\0\x01", overlong, huge, empty, &handshake(0), &handshake(9)]
    {
        assert!(heard(says, 1000).await.is_empty(), "{says:?}");
        cases += 1;
    }
    // A host name beyond its packet, and a packet that goes on behind its end.
    for says in [&b"\x06\0\x2f\x7fab\0"[..], b"\x0a\0\x2f\x01a\x63\xdd\x02xyz"] {
        assert!(heard(says, 1000).await.is_empty(), "{says:?}");
        cases += 1;
    }
    let odd_request = [&handshake(1)[..], b"\x02\0\0"].concat();
    assert!(heard(&odd_request, 1000).await.is_empty());
    assert_eq!(cases, 9);
}

proptest::proptest! {
    #[test]
    fn whatever_is_said_it_is_over_soon_and_takes_no_memory(says: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let took = runtime.block_on(async {
            let (mut client, told) = told(Language::Minecraft);
            let began = Instant::now();
            let speak = async { client.write_all(&says).await };
            let _gone = tokio::join!(speak, told).0;
            began.elapsed()
        });
        proptest::prop_assert!(took <= HEAR + LINGER);
    }
}
