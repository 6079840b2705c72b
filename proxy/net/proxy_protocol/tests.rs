use proptest::prelude::*;

use super::*;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn proxied(source: &str, destination: &str, length: usize) -> Result<Option<Found>, Invalid> {
    let header = Header::Proxied { source: address(source), destination: address(destination) };
    Ok(Some(Found { header, length }))
}

fn unknown(length: usize) -> Result<Option<Found>, Invalid> {
    Ok(Some(Found { header: Header::Unknown, length }))
}

/// A header of version 2 with these bytes behind the signature, length excluded.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

const V4: &[u8] = b"\xc0\x00\x02\x01\xc6\x33\x64\x07\x30\x39\x63\xdd";

/// 192.0.2.1:12345 to 198.51.100.7:25565, with further fields.
fn v4(fields: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[V4, fields].concat())
}

#[test]
fn lines_of_version_1_are_read() {
    let lines: [(&[u8], _); 6] = [
        (b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 25565\r\n", proxied("192.0.2.1:12345", "198.51.100.7:25565", 47)),
        (b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", proxied("[2001:db8::1]:0", "[::1]:65535", 36)),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", proxied("192.0.2.1:1", "[::1]:2", 37)),
        (b"PROXY UNKNOWN\r\n", unknown(15)),
        (b"PROXY UNKNOWN whatever ffff::1 70000 ...\r\n", unknown(42)),
        (
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nhello\r\n",
            proxied("255.255.255.255:65535", "255.255.255.255:65535", 56),
        ),
    ];
    for (line, expected) in lines {
        assert_eq!(parse(line), expected, "{}", line.escape_ascii());
    }
    let longest =
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(parse(longest.as_bytes()).unwrap().unwrap().length, 104);
}

#[test]
fn lines_that_are_none_are_refused() {
    let wrong: [(&str, Invalid); 16] = [
        ("PROXY TCP4 192.0.2.1 198.51.100.7 12345 70000\r\n", Invalid::Addresses),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 12345 +80\r\n", Invalid::Addresses),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 012345 80\r\n", Invalid::Addresses),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 12345\r\n", Invalid::Addresses),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 12345 80 more\r\n", Invalid::Addresses),
        ("PROXY TCP4 192.0.2.1  198.51.100.7 12345 80\r\n", Invalid::Addresses),
        ("PROXY TCP4 example.com 198.51.100.7 12345 80\r\n", Invalid::Addresses),
        ("PROXY TCP4 2001:db8::1 ::1 1 2\r\n", Invalid::Addresses),
        ("PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n", Invalid::Addresses),
        ("PROXY TCP4 192.0.2.01 198.51.100.7 1 2\r\n", Invalid::Addresses),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 1 2\n\r\n", Invalid::Addresses),
        ("PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n", Invalid::Unassigned),
        ("PROXY \r\n", Invalid::Unassigned),
        ("PROXY\r\n", Invalid::Signature),
        ("proxy TCP4 ", Invalid::Signature),
        ("GET / HTTP/1.1\r\n", Invalid::Signature),
    ];
    for (line, expected) in wrong {
        assert_eq!(parse(line.as_bytes()), Err(expected), "{line:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert_eq!(parse(&endless.as_bytes()[..106]), Ok(None));
    assert_eq!(parse(&endless.as_bytes()[..107]), Err(Invalid::TooLong));
    assert_eq!(parse(format!("PROXY UNKNOWN {}\r\n", "x".repeat(91)).as_bytes()), unknown(107));
    assert_eq!(parse(format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)).as_bytes()), Err(Invalid::TooLong));
    assert_eq!(parse(b"PROXY TCP4 \xff\xff 1 2 3\r\n"), Err(Invalid::Addresses));
}

#[test]
fn headers_of_version_2_are_read() {
    let (source, destination) = ("192.0.2.1:12345", "198.51.100.7:25565");
    assert_eq!(parse(&v4(b"")), proxied(source, destination, 28));
    assert_eq!(parse(&[&v4(b"\x04\0\x02ab"), &b"hello"[..]].concat()), proxied(source, destination, 33));
    let v6 =
        [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 15], &[1], b"\x30\x39\x63\xdd"].concat();
    assert_eq!(parse(&v2(0x21, 0x21, &v6)), proxied("[2001:db8::1]:12345", "[::1]:25565", 52));
    for (command, family, rest) in [
        (0x20, 0x00, &b""[..]),
        (0x20, 0x11, b"xy"),
        (0x20, 0xff, b"whatever"),
        (0x21, 0x00, b"whatever"),
        (0x21, 0x12, &[7; 12]),
        (0x21, 0x22, &[7; 36]),
        (0x21, 0x31, &[7; 216]),
    ] {
        assert_eq!(parse(&v2(command, family, rest)), unknown(16 + rest.len()), "{command:x} {family:x}");
    }
}

#[test]
fn headers_that_are_none_are_refused() {
    let checksum = b"\x03\0\x04\0\0\0\0";
    let cases: [(Vec<u8>, Invalid); 13] = [
        (v4(&checksum.repeat(2)), Invalid::Checksum),
        (v2(0x11, 0x11, V4), Invalid::Unassigned),
        (v2(0x22, 0x11, V4), Invalid::Unassigned),
        (v2(0x31, 0x11, V4), Invalid::Unassigned),
        (v2(0x21, 0x13, V4), Invalid::Unassigned),
        (v2(0x21, 0x41, V4), Invalid::Unassigned),
        (v2(0x21, 0x11, &V4[..11]), Invalid::Truncated),
        (v2(0x21, 0x21, &[0; 35]), Invalid::Truncated),
        (v2(0x21, 0x31, &[0; 215]), Invalid::Truncated),
        (v4(b"\x04\0\x03ab"), Invalid::Truncated),
        (v4(b"\x04\0"), Invalid::Truncated),
        (v4(b"\x03\0\x04\0\0\0\0"), Invalid::Checksum),
        (v4(b"\x03\0\x02\0\0"), Invalid::Checksum),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse(&bytes), Err(expected), "{}", bytes.escape_ascii());
    }
    assert_eq!(parse(b"\r\n\r\n\0\r\nQUIT\n\x31"), Err(Invalid::Unassigned), "before the rest has come");
    assert_eq!(parse(b"\r\n\r\n\0\r\nQUIT!"), Err(Invalid::Signature));
}

/// A header of the longest, with a checksum in its middle.
fn longest() -> Vec<u8> {
    let fields = [&b"\xe0\x80\0"[..], &[7; 0x8000], b"\x03\0\x04\0\0\0\0\x04\0\0\xe1"].concat();
    let left = LENGTH_MAX - v4(&fields).len() - 2;
    let fields = [&fields[..], &u16::try_from(left).unwrap().to_be_bytes(), &vec![9; left]].concat();
    let mut bytes = v4(&fields);
    let at = 16 + V4.len() + 3 + 0x8000 + 3;
    let sum = v2::checksum(&bytes, at);
    bytes[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// What a long header comes to that is read on in pieces of this size.
fn in_pieces(bytes: &[u8], size: usize) -> Result<Header, Invalid> {
    let front = &bytes[..PEEKED_MAX.min(size.max(232))];
    let Ok(Some(Start::Long(mut long))) = begin(front) else { panic!("not long: {:?}", begin(front)) };
    for piece in bytes.chunks(size) {
        long.pass(&piece[..piece.len().min(long.left())])?;
    }
    assert_eq!(long.left(), 0);
    long.finish()
}

#[test]
fn the_longest_header_is_read_in_pieces_as_it_is_at_once() {
    let bytes = longest();
    assert_eq!(bytes.len(), LENGTH_MAX);
    let header = Header::Proxied { source: address("192.0.2.1:12345"), destination: address("198.51.100.7:25565") };
    assert_eq!(parse(&bytes), Ok(Some(Found { header, length: LENGTH_MAX })));
    for size in [1, 7, 232, 1000, PEEKED_MAX, LENGTH_MAX] {
        assert_eq!(in_pieces(&bytes, size), Ok(header), "pieces of {size}");
    }
    // The last field goes on behind the end, a byte is another, and so is what the checksum says.
    let at = 16 + V4.len() + 1;
    let (mut longer, mut other) = (bytes.clone(), bytes.clone());
    longer[at] ^= 1;
    other[at + 100] ^= 1;
    for (bytes, error) in [(&longer, parse(&longer).unwrap_err()), (&other, Invalid::Checksum)] {
        assert_eq!(in_pieces(bytes, 1000), Err(error));
        assert_eq!(parse(bytes), Err(error));
    }
    assert!(matches!(begin(&bytes[..231]), Ok(None)), "the addresses have not come");
    assert!(matches!(begin(&v4(&[4, 0, 1, 9])), Ok(Some(Start::Whole(_)))));
}

#[test]
fn of_a_long_header_that_says_nothing_nothing_is_looked_at() {
    for (command, family) in [(0x20, 0x11), (0x21, 0x00)] {
        let bytes = v2(command, family, &[0xff; 5000]);
        assert_eq!(in_pieces(&bytes, 1000), Ok(Header::Unknown));
        assert_eq!(parse(&bytes), unknown(5016));
    }
    let bytes = v2(0x21, 0x31, &[&[0xff; 216][..], b"\x04\x12\x34", &[1; 0x1234]].concat());
    assert_eq!(in_pieces(&bytes, 100), Ok(Header::Unknown));
    assert_eq!(begin(&v2(0x21, 0x13, &[0; 5000])).unwrap_err(), Invalid::Unassigned);
}

fn connection<'a>(source: &str, destination: &str) -> Connection<'a> {
    let (source, destination) = (address(source), address(destination));
    Connection { source, destination, unique_id: b"0123456789abcdef", authority: None, alpn: None, ssl: None }
}

#[test]
fn what_is_sent_is_byte_exact() {
    let v4 = connection("192.0.2.1:12345", "198.51.100.7:25565");
    let mixed = connection("192.0.2.1:12345", "[2001:db8::7]:443");
    assert_eq!(header(Version::V1, &v4), b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 25565\r\n");
    assert_eq!(header(Version::V1, &mixed), b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::7 12345 443\r\n");
    let plain = header(Version::V2 { checksum: false }, &v4);
    assert_eq!(plain, v2(0x21, 0x11, &[V4, b"\x05\0\x10", b"0123456789abcdef"].concat()));

    let ssl = Ssl { version: "TLSv1.3", cipher: Some("TLS_AES_128_GCM_SHA256"), common_name: Some("Alex") };
    let full = Connection { authority: Some(b"eu.example.com"), alpn: Some(b"h2"), ssl: Some(ssl), ..v4 };
    let fields = [
        &b"\x01\0\x02h2"[..],
        b"\x02\0\x0eeu.example.com",
        b"\x05\0\x100123456789abcdef",
        b"\x20\0\x2f\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x04Alex\x23\0\x16TLS_AES_128_GCM_SHA256",
    ];
    assert_eq!(header(Version::V2 { checksum: false }, &full), v2(0x21, 0x11, &[V4, &fields.concat()].concat()));
    assert_eq!(local(Version::V1), b"PROXY UNKNOWN\r\n");
    assert_eq!(local(Version::V2 { checksum: false }), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
}

#[test]
fn the_checksum_is_the_one_of_rfc_3720() {
    // 32 bytes of zeros, whose checksum appendix B.4 gives.
    assert_eq!(v2::checksum(&[0; 32], 7), 0x8a91_36aa);
    let mut bytes = header(Version::V2 { checksum: true }, &connection("[::1]:1", "[::2]:2"));
    assert!(matches!(parse(&bytes), Ok(Some(Found { length, .. })) if length == bytes.len()));
    // But for the byte that says that there is a checksum.
    let has_checksum = bytes.len() - 7;
    for at in (16..bytes.len()).filter(|at| *at != has_checksum) {
        bytes[at] ^= 1;
        assert!(!matches!(parse(&bytes), Ok(Some(_))), "byte {at}");
        bytes[at] ^= 1;
    }
}

proptest! {
    #[test]
    fn what_is_sent_is_read_again_from_pieces(
        source: SocketAddr, destination: SocketAddr, checksum: bool, first: bool, beyond: Vec<u8>, cut: prop::sample::Index,
    ) {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
        let connection = Connection { source: plain(source), destination: plain(destination), ..connection("[::1]:1", "[::1]:1") };
        let version = if first { Version::V1 } else { Version::V2 { checksum } };
        let bytes = header(version, &connection);
        prop_assert_eq!(parse(&bytes[..cut.index(bytes.len())]), Ok(None));
        let found = parse(&[bytes.clone(), beyond].concat()).unwrap().unwrap();
        prop_assert_eq!(found.length, bytes.len());
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let header = Header::Proxied { source: canonical(source), destination: canonical(destination) };
        prop_assert_eq!(found.header, header);
    }

    #[test]
    fn a_verdict_on_whatever_bytes_is_not_changed_by_more_of_them(kind in 0..4_usize, tail: Vec<u8>, more: Vec<u8>) {
        let start: &[u8] = [&b""[..], b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14"][kind];
        let bytes = [start, &tail].concat();
        match parse(&bytes) {
            Ok(None) => prop_assert!(bytes.len() < LENGTH_MAX),
            verdict => prop_assert_eq!(parse(&[bytes, more].concat()), verdict),
        }
    }
}
