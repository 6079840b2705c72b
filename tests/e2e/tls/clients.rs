//! What is agreed on with clients: versions, protocols, certificates of their own, and what they may go on with later.

use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, version};

use super::{HOST, folder, listener, proxy};
use crate::support::proxy::pool;
use crate::support::tls::{AUTHORITY, Authority, Identity, client, connect};
use crate::support::{Backend, Proxy};

/// A client with a certificate of its own.
fn client_with(identity: &Identity) -> ClientConfig {
    let builder = ClientConfig::builder().with_root_certificates(AUTHORITY.roots());
    builder.with_client_auth_cert(identity.chain(), identity.private_key()).unwrap()
}

fn client_of(versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    let builder = ClientConfig::builder_with_protocol_versions(versions);
    builder.with_root_certificates(AUTHORITY.roots()).with_no_client_auth()
}

#[tokio::test]
async fn the_oldest_version_is_the_files() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "", "");
    let mut cases = 0;
    for (supported, expected) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let mut client = connect(proxy.address(), HOST, &client_of(&[supported])).await.unwrap();
        assert_eq!(client.0.get_ref().1.protocol_version(), Some(expected));
        client.echo(b"hello").await;
        cases += 1;
    }
    assert_eq!(cases, 2);
    proxy.reload_with(&(listener("", "min_version = \"1.3\"") + &pool(&[&backend], ""))).await;
    let refused = connect(proxy.address(), HOST, &client_of(&[&version::TLS12])).await.unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    proxy.expect_ended("tls_failed", 1).await;
    connect(proxy.address(), HOST, &client_of(&[&version::TLS13])).await.unwrap().echo(b"hello").await;
}

#[tokio::test]
async fn a_protocol_is_agreed_on_or_the_client_refused() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "", "alpn = [\"minecraft\", \"h2\"]");
    for (offered, agreed) in
        [(&["h2", "minecraft"][..], Some(&b"minecraft"[..])), (&["http/1.1", "h2"], Some(b"h2")), (&[], None)]
    {
        let mut client = connect(proxy.address(), HOST, &client(offered)).await.unwrap();
        assert_eq!(client.0.get_ref().1.alpn_protocol(), agreed);
        client.echo(b"hello").await;
    }
    let refused = connect(proxy.address(), HOST, &client(&["http/1.1"])).await.unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    proxy.expect_ended("tls_failed", 1).await;
}

#[tokio::test]
async fn host_and_agreed_protocol_choose_the_pool() {
    let [game, admin] = [Backend::greeting(b"game"), Backend::greeting(b"admin")];
    let route = |asked: &str| format!("[[listeners.game.sni]]\n{asked}\npool = \"admin\"\n");
    let config = listener("", "alpn = [\"minecraft\", \"admin\"]")
        + &route("alpn = [\"admin\"]")
        + &route("host = \"admin.example.com\"")
        + &pool(&[&game], "")
        + &format!("[pools.admin]\nbackends = [\"{}\"]\n", admin.address);
    let folder = folder();
    AUTHORITY.issue(&[HOST, "*.example.com"]).write(folder.path(), "game");
    let proxy = Proxy::in_folder(folder, &config).unwrap();
    // The server chooses the protocol: what was offered beside it does not count.
    for (host, offered, expected) in [
        (HOST, &["admin"][..], &b"admin"[..]),
        (HOST, &["admin", "minecraft"], b"game"),
        (HOST, &[], b"game"),
        ("admin.example.com", &["minecraft"], b"admin"),
    ] {
        connect(proxy.address(), host, &client(offered)).await.unwrap().expect(expected).await;
    }
    proxy.reload_with(&config.replace("pool = \"game\"\n", "")).await;
    connect(proxy.address(), "admin.example.com", &client(&[])).await.unwrap().expect(b"admin").await;
    connect(proxy.address(), HOST, &client(&[])).await.unwrap().expect_end().await;
    proxy.expect_ended("preread_invalid", 1).await;
}

#[tokio::test]
async fn clients_show_certificates_as_the_file_says() {
    let backend = Backend::echo();
    let folder = folder();
    std::fs::write(folder.path().join("players.pem"), &AUTHORITY.certificate).unwrap();
    let config = |mode: &str| {
        let tls = format!("client_ca = \"players.pem\"\nclient_auth = \"{mode}\"");
        listener("", &tls) + &pool(&[&backend], "")
    };
    let proxy = Proxy::in_folder(folder, &config("required")).unwrap();
    let expired = AUTHORITY.issue_with(&["Alex"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let stranger = Authority::new().issue(&["Alex"]);
    let player = client_with(&AUTHORITY.issue(&["Alex"]));
    // With TLS 1.3 a client hears that it was refused only after its own handshake.
    let is_let_in = async |config: &ClientConfig| match connect(proxy.address(), HOST, config).await {
        Ok(mut client) => client.try_echo(b"hello").await.unwrap_or(false),
        Err(_refused) => false,
    };
    for (refused, config) in (1..).zip([client(&[]), client_with(&expired), client_with(&stranger)]) {
        assert!(!is_let_in(&config).await);
        proxy.expect_ended("tls_failed", refused).await;
    }
    assert!(is_let_in(&player).await);

    proxy.reload_with(&config("optional")).await;
    assert!(is_let_in(&client(&[])).await && is_let_in(&player).await);
    for (refused, config) in (4..).zip([client_with(&expired), client_with(&stranger)]) {
        assert!(!is_let_in(&config).await);
        proxy.expect_ended("tls_failed", refused).await;
    }
    assert_eq!(backend.accepted(), 3, "no other has reached the backend");
}

#[tokio::test]
async fn backends_are_told_how_their_clients_are_encrypted() {
    let mut by_hand = Backend::by_hand();
    let folder = folder();
    std::fs::write(folder.path().join("players.pem"), &AUTHORITY.certificate).unwrap();
    let tls = "alpn = [\"minecraft\"]\nclient_ca = \"players.pem\"\nclient_auth = \"optional\"";
    let config = listener("", tls) + &pool(&[&by_hand.backend], "send_proxy = \"v2\"");
    let proxy = Proxy::in_folder(folder, &config).unwrap();
    let mut config = client_with(&AUTHORITY.issue(&["Alex"]));
    config.alpn_protocols = vec![b"minecraft".to_vec()];
    let mut client = connect(proxy.address(), HOST, &config).await.unwrap();
    client.send(b"hello").await;
    let mut backend = by_hand.next().await;
    backend.expect_any(28).await;
    backend.expect(b"\x01\0\x09minecraft\x02\0\x10game.example.com\x05\0\x20").await;
    backend.expect_any(32).await;
    backend.expect(b"\x20\0\x2f\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x04Alex\x23\0\x16TLS_AES_256_GCM_SHA384hello").await;
}

#[tokio::test]
async fn clients_go_on_with_what_they_were_given_also_after_a_reload() {
    let backend = Backend::echo();
    let proxy = proxy(&backend, "", "");
    for supported in [&version::TLS12, &version::TLS13] {
        let config = client_of(&[supported]);
        let kind = async || {
            let mut client = connect(proxy.address(), HOST, &config).await.unwrap();
            // What TLS 1.3 gives comes with the first bytes.
            client.echo(b"hello").await;
            client.0.get_ref().1.handshake_kind().unwrap()
        };
        assert_eq!(kind().await, HandshakeKind::Full);
        assert_eq!(kind().await, HandshakeKind::Resumed);
        proxy.reload_with(&(listener("dry_run = true", "") + &pool(&[&backend], ""))).await;
        assert_eq!(kind().await, HandshakeKind::Resumed);
        // Who must be somebody from now on cannot go on as who it was.
        proxy.reload_with(&(listener("", "alpn = [\"minecraft\"]") + &pool(&[&backend], ""))).await;
        assert_eq!(kind().await, HandshakeKind::Full);
        proxy.reload_with(&(listener("", "") + &pool(&[&backend], ""))).await;
    }
}
