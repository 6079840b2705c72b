//! The letters that Minecraft's protocol (Java edition, 1.7 or later) is written in.
//!
//! A packet is its length, its kind and its content. Length, kind and the lengths of texts are written as VarInt: seven
//! bits a byte, the lowest first, with the highest bit set in all but the last. Source: "Java Edition protocol/Data types"
//! of minecraft.wiki.

/// Bytes of a number, at most.
pub const NUMBER_MAX: usize = 5;

/// Set in a byte of a number when another one follows.
const MORE: u8 = 0x80;

/// A number takes more than five bytes, or more than 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlong;

/// The number that bytes begin with, and what follows it; `None` while more of it has to come.
///
/// # Errors
/// However much still comes, it will be no number.
pub fn number(bytes: &[u8]) -> Result<Option<(i32, &[u8])>, Overlong> {
    let mut number = 0u32;
    for (index, byte) in bytes.iter().take(NUMBER_MAX).enumerate() {
        // The last byte has room for four bits, and none follows it.
        if index == NUMBER_MAX - 1 && *byte > 0x0f {
            return Err(Overlong);
        }
        number |= u32::from(byte & !MORE) << (7 * index);
        if byte & MORE == 0 {
            return Ok(Some((number.cast_signed(), &bytes[index + 1..])));
        }
    }
    Ok(None)
}

/// Adds a number.
pub fn put_number(bytes: &mut Vec<u8>, number: i32) {
    let mut rest = number.cast_unsigned();
    loop {
        let [lowest, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            bytes.push(lowest);
            return;
        }
        bytes.push(lowest | MORE);
    }
}

/// Adds a length; one of what is sent here always fits.
pub fn put_length(bytes: &mut Vec<u8>, length: usize) {
    put_number(bytes, i32::try_from(length).unwrap_or(i32::MAX));
}

/// Adds a text, with its length in bytes in front.
pub fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    put_length(bytes, text.len());
    bytes.extend(text);
}

/// A packet with this content, its kind included, with its length in front.
pub fn framed(packet: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(NUMBER_MAX + packet.len());
    put_text(&mut bytes, packet);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        for (sample, bytes) in samples {
            assert_eq!(encoded(sample), bytes);
            assert_eq!(number(bytes), Ok(Some((sample, [].as_slice()))));
        }
    }

    #[test]
    fn numbers_of_more_than_32_bits_are_none() {
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0x10]), Err(Overlong));
        assert_eq!(number(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(Overlong));
        assert_eq!(number(&[0x80, 0x80, 0x80, 0x80]), Ok(None));
    }

    proptest! {
        #[test]
        fn numbers_come_back_and_leave_the_rest(sample: i32, rest: Vec<u8>) {
            let bytes = [encoded(sample), rest.clone()].concat();
            prop_assert_eq!(number(&bytes), Ok(Some((sample, rest.as_slice()))));
        }
    }
}
