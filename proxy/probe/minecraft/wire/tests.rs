use proptest::prelude::*;

use super::*;

/// The longest text of a reply: its packet also holds the kind, and the text's length.
pub(in crate::probe::minecraft) const TEXT_MAX: usize = REPLY_MAX - 1 - 3;

/// A status reply as a server writes it.
pub(in crate::probe::minecraft) fn reply(json: &[u8]) -> Vec<u8> {
    let mut packet = encoded(KIND);
    put_length(&mut packet, json.len());
    packet.extend(json);
    framed(&packet)
}

fn framed(packet: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_length(&mut bytes, packet.len());
    bytes.extend(packet);
    bytes
}

fn encoded(number: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, number);
    bytes
}

#[test]
fn numbers_are_written_as_the_protocol_says() {
    // The samples of the protocol's description.
    let samples: [(i32, &[u8]); 10] = [
        (0, &[0]),
        (1, &[1]),
        (127, &[0x7f]),
        (128, &[0x80, 1]),
        (255, &[0xff, 1]),
        (25565, &[0xdd, 0xc7, 1]),
        (2_097_151, &[0xff, 0xff, 0x7f]),
        (i32::MAX, &[0xff, 0xff, 0xff, 0xff, 7]),
        (-1, &[0xff, 0xff, 0xff, 0xff, 0xf]),
        (i32::MIN, &[0x80, 0x80, 0x80, 0x80, 8]),
    ];
    for (number, bytes) in samples {
        assert_eq!(encoded(number), bytes);
        assert_eq!(super::number(bytes), Ok(Some((number, [].as_slice()))));
    }
}

#[test]
fn numbers_of_more_than_32_bits_are_none() {
    assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0x10]), Err(Malformed::Number));
    assert_eq!(number(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(Malformed::Number));
    assert_eq!(number(&[0x80, 0x80, 0x80, 0x80]), Ok(None));
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
    fn numbers_come_back_and_leave_the_rest(number: i32, rest: Vec<u8>) {
        let bytes = [encoded(number), rest.clone()].concat();
        prop_assert_eq!(super::number(&bytes), Ok(Some((number, rest.as_slice()))));
    }

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
