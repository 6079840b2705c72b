use proptest::prelude::*;

use super::*;

/// The longest text of a reply: its packet also holds the kind, and the text's length.
pub(in crate::probe::minecraft) const TEXT_MAX: usize = REPLY_MAX - 1 - 3;

/// A status reply as a server writes it.
pub(in crate::probe::minecraft) fn reply(json: &[u8]) -> Vec<u8> {
    let mut packet = encoded(KIND);
    put_text(&mut packet, json);
    framed(&packet)
}

fn encoded(number: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, number);
    bytes
}

#[test]
fn the_request_is_what_the_game_sends() {
    let expected = b"\x13\0\xff\xff\xff\xff\x0f\x09127.0.0.1\x63\xdd\x01\x01\0";
    assert_eq!(status_request("127.0.0.1:25565".parse().unwrap()), expected);
    let request = status_request("[::1]:1".parse().unwrap());
    assert_eq!(request, b"\x0d\0\xff\xff\xff\xff\x0f\x03::1\x00\x01\x01\x01\0", "an address without brackets");
}

#[test]
fn lengths_that_cannot_be_are_refused_as_soon_as_they_are_known() {
    for length in [0, -1, i32::MIN, i32::MAX, 262_145] {
        assert_eq!(status_reply(&encoded(length)), Err(Malformed::Length(length)));
    }
    assert_eq!(status_reply(&encoded(262_144)), Ok(None));
    for length in [-1, i32::MIN, i32::MAX, 3] {
        let packet = [&encoded(KIND)[..], &encoded(length), b"{}"].concat();
        assert_eq!(status_reply(&framed(&packet)), Err(Malformed::Text(length)));
    }
}

#[test]
fn a_packet_too_short_for_its_content_is_refused() {
    assert_eq!(status_reply(&framed(&[KIND.to_le_bytes()[0]])), Err(Malformed::Length(1)));
    assert_eq!(status_reply(&framed(&[0x80])), Err(Malformed::Length(1)));
    let beyond = [framed(&[0, 0x80]), vec![1, b'x']].concat();
    assert_eq!(status_reply(&beyond), Err(Malformed::Length(2)), "the next packet is no part of it");
}

#[test]
fn another_kind_is_refused_before_its_content_has_come() {
    assert_eq!(status_reply(&[100, 1]), Err(Malformed::Kind(1)));
    assert_eq!(status_reply(b"HTTP/1.1 400 Bad Request\r\n"), Err(Malformed::Kind(i32::from(b'T'))));
}

proptest! {
    #[test]
    fn a_reply_is_understood_as_soon_as_it_is_whole(json: Vec<u8>, beyond: Vec<u8>, cut: prop::sample::Index) {
        let mut bytes = reply(&json);
        prop_assert_eq!(status_reply(&bytes[..cut.index(bytes.len())]), Ok(None));
        bytes.extend(beyond);
        prop_assert_eq!(status_reply(&bytes), Ok(Some(json.as_slice())));
    }

    #[test]
    fn a_verdict_on_whatever_bytes_is_not_changed_by_more_of_them(length in 0u8..12, tail: Vec<u8>, more: Vec<u8>) {
        let bytes = [vec![length], tail].concat();
        let longer = [bytes.clone(), more].concat();
        match status_reply(&bytes) {
            Ok(None) => {}
            verdict => prop_assert_eq!(status_reply(&longer), verdict),
        }
    }
}
