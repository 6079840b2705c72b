use proptest::prelude::*;

use super::*;

/// A vector whose length stands in `size` bytes.
fn vector(size: usize, content: &[u8]) -> Vec<u8> {
    [&content.len().to_be_bytes()[8 - size..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, content)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(SERVER_NAME, &vector(2, &[&[0][..], &vector(2, name)].concat()))
}

fn alpn(names: &[&[u8]]) -> Vec<u8> {
    extension(ALPN, &vector(2, &names.iter().flat_map(|name| vector(1, name)).collect::<Vec<_>>()))
}

/// A message with these extensions.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let start =
        [&[3, 3][..], &[7; 32], &vector(1, &[9; 32]), &vector(2, &[0x13, 1, 0x13, 2]), &vector(1, &[0])].concat();
    let body = [start, vector(2, &extensions.concat())].concat();
    [vec![CLIENT_HELLO], vector(3, &body)].concat()
}

/// In records that carry so many bytes at most.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|fragment| [vec![HANDSHAKE, 3, 1], vector(2, fragment)].concat()).collect()
}

fn read(extensions: &[Vec<u8>]) -> Result<Option<ClientHello>, Invalid> {
    parse(&records(&message(extensions), FRAGMENT_MAX))
}

#[test]
fn names_and_protocols_are_found_among_other_extensions() {
    let others = [extension(0x0a0a, b""), extension(43, &[4, 3, 4, 3, 3])];
    let hello = read(&[others[0].clone(), sni(b"EU.Example.com"), others[1].clone(), alpn(&[b"h2", b"minecraft"])]);
    let hello = hello.unwrap().unwrap();
    assert_eq!(hello.server_name.as_deref(), Some("eu.example.com"));
    assert_eq!(hello.protocols.iter().collect::<Vec<_>>(), [&b"h2"[..], b"minecraft"]);
    assert_eq!(read(&others).unwrap().unwrap(), ClientHello::default());
    assert_eq!(read(&[]).unwrap().unwrap(), ClientHello::default());
}

#[test]
fn old_clients_have_no_extensions_at_all() {
    let body = [&[3, 0][..], &[7; 32], &[0], &vector(2, &[0, 10]), &vector(1, &[0])].concat();
    let bytes = records(&[vec![CLIENT_HELLO], vector(3, &body)].concat(), 100);
    assert_eq!(parse(&bytes), Ok(Some(ClientHello::default())));
}

#[test]
fn a_message_is_put_together_from_whatever_records() {
    let message = message(&[sni(b"eu.example.com"), alpn(&[b"minecraft"])]);
    let mut cases = 0;
    for size in [1, 2, 3, 5, 100, message.len() - 1, message.len()] {
        let bytes = records(&message, size);
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]), Ok(None), "{length} of records of {size}");
            cases += 1;
        }
        let hello = parse(&[bytes, b"\x14\x03\x03 whatever".to_vec()].concat()).unwrap().unwrap();
        assert_eq!(hello.server_name.as_deref(), Some("eu.example.com"), "records of {size}");
    }
    assert!(cases > 1000);
}

#[test]
fn what_is_not_tls_is_known_from_its_first_bytes() {
    let cases: [(&[u8], Invalid); 8] = [
        (b"GET / HTTP/1.1\r\n", Invalid::NotTls),
        // SSL 2.0.
        (b"\x80\x2e\x01\x03\x01", Invalid::NotTls),
        (b"\x16\x02", Invalid::NotTls),
        // An alert, and the answer of a server.
        (b"\x15", Invalid::NotTls),
        (b"\x16\x03\x01\x00\x10\x02", Invalid::NotTls),
        (b"\x16\x03\x01\x00\x00", Invalid::Malformed),
        (b"\x16\x03\x01\x40\x01", Invalid::Malformed),
        (b"\x16\x03\x01\x40\x00\x01\x00\x40\x01", Invalid::TooLong),
    ];
    for (bytes, why) in cases {
        assert_eq!(parse(bytes), Err(why), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_message_that_does_not_end_within_its_bound_is_none() {
    let long = message(&[extension(21, &[0; 16_000]), sni(b"eu.example.com")]);
    assert!(matches!(parse(&records(&long, FRAGMENT_MAX)), Ok(Some(hello)) if hello.server_name.is_some()));
    // Six bytes for each, so that it ends behind the bound.
    let bytes = records(&long, 1);
    assert_eq!(parse(&bytes[..LENGTH_MAX - 1]), Ok(None));
    assert_eq!(parse(&bytes[..LENGTH_MAX]), Err(Invalid::TooLong));
    assert_eq!(parse(&bytes), Err(Invalid::TooLong));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let too_far = |kind, bytes: &[u8]| extension(kind, bytes);
    let malformed = [
        too_far(SERVER_NAME, b""),
        too_far(SERVER_NAME, b"\0\x05\0\0\x03a"),
        // A byte behind the list, an empty list, a kind of name that does not exist, two names.
        too_far(SERVER_NAME, b"\0\x04\0\0\x01a!"),
        too_far(SERVER_NAME, b"\0\0"),
        too_far(SERVER_NAME, b"\0\x04\x01\0\x01a"),
        too_far(SERVER_NAME, b"\0\x08\0\0\x01a\0\0\x01b"),
        // An empty protocol, and one that ends behind its list.
        too_far(ALPN, b"\0\x01\0"),
        too_far(ALPN, b"\0\x02\x02h"),
        too_far(ALPN, b"\0\x03\x02h2!"),
    ];
    for extension in &malformed {
        assert_eq!(read(std::slice::from_ref(extension)), Err(Invalid::Malformed), "{}", extension.escape_ascii());
    }
    assert_eq!(read(&[sni(b"a.example.com"), sni(b"b.example.com")]), Err(Invalid::Malformed));
    assert_eq!(read(&[alpn(&[b"h2"]), alpn(&[b"h2"])]), Err(Invalid::Malformed));
    let mut cut = message(&[sni(b"eu.example.com")]);
    for length in (4..cut.len()).rev() {
        cut.truncate(length);
        let size = u16::try_from(length - 4).unwrap();
        cut[2..4].copy_from_slice(&size.to_be_bytes());
        // Where it ends before its extensions, it is a whole message of an old client.
        let verdict = parse(&records(&cut, FRAGMENT_MAX));
        assert!(
            verdict == Err(Invalid::Malformed) || verdict == Ok(Some(ClientHello::default())),
            "{length}: {verdict:?}"
        );
    }
}

#[test]
fn names_that_are_none_are_told_from_none_at_all() {
    for name in [
        &b""[..],
        b".",
        b"..",
        b"a..b",
        b".a",
        b"a..",
        b"a b",
        b"eu\0.example.com",
        "größe.example".as_bytes(),
        b"\xff",
        b"[2001:db8::1]",
        &[b'a'; 254],
        &[b'a'; 300],
    ] {
        let hello = read(&[sni(name), alpn(&[b"h2"])]).unwrap().unwrap();
        assert!(hello.server_name.is_none() && hello.is_name_unusable, "{}", name.escape_ascii());
        assert_eq!(hello.protocols.iter().collect::<Vec<_>>(), [b"h2"], "what stands behind it still counts");
    }
    assert!(!read(&[alpn(&[b"h2"])]).unwrap().unwrap().is_name_unusable);
    for (name, expected) in [(&b"eu.example.com."[..], "eu.example.com"), (b"10.0.0.1", "10.0.0.1"), (b"::1", "::1")] {
        assert_eq!(read(&[sni(name)]).unwrap().unwrap().server_name.as_deref(), Some(expected));
    }
}

proptest! {
    #[test]
    fn a_verdict_on_whatever_bytes_is_not_changed_by_more_of_them(kind in 0..4_usize, tail: Vec<u8>, more: Vec<u8>) {
        let start: &[u8] = [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\0\x2f\x01\0\0\x2b\x03\x03", b"\x16\x03\x01\0\x04\x01\0\0\x05\x16"][kind];
        let bytes = [start, &tail].concat();
        match parse(&bytes) {
            Ok(None) => {}
            verdict => prop_assert_eq!(parse(&[bytes, more].concat()), verdict),
        }
    }

    #[test]
    fn what_was_said_is_found_whatever_the_records(
        name in "[a-z0-9]{1,20}(\\.[a-z0-9-]{1,20}){0,5}",
        protocols in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 1..5),
        size in 1..300_usize,
        other: Vec<u8>,
    ) {
        let names: Vec<&[u8]> = protocols.iter().map(Vec::as_slice).collect();
        let message = message(&[extension(0xfafa, &other), alpn(&names), sni(name.as_bytes())]);
        let hello = parse(&records(&message, size)).unwrap().unwrap();
        prop_assert_eq!(hello.server_name.as_deref(), Some(name.as_str()));
        prop_assert_eq!(hello.protocols.iter().collect::<Vec<_>>(), names);
    }
}
