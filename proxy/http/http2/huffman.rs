//! The Huffman code of HPACK (RFC 7541, appendix B). Pure.
//!
//! It is canonical: the codes of one length follow each other, in the order of their symbols, behind those that are shorter. So the
//! lengths say all.

/// No string of that code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Bits of each symbol's code.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26,
];

/// Bits of the longest code.
const LONGEST: usize = 30;

/// Symbols in the order of their codes; and for each length the first code, and where its symbol stands.
struct Codes {
    symbols: [u8; 256],
    first: [u32; LONGEST + 2],
    at: [usize; LONGEST + 2],
}

const CODES: Codes = codes();

/// For what the next eight bits begin with: a symbol, and the bits of its code; none, if that is longer.
static SHORT: [(u8, u8); 256] = short();

const fn codes() -> Codes {
    let mut codes = Codes { symbols: [0; 256], first: [0; LONGEST + 2], at: [0; LONGEST + 2] };
    let (mut length, mut code, mut at) = (1, 0, 0);
    while length <= LONGEST {
        (codes.first[length], codes.at[length]) = (code, at);
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                #[allow(clippy::cast_possible_truncation, reason = "there are 256")]
                {
                    codes.symbols[at] = symbol as u8;
                }
                at += 1;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    codes.at[length] = at;
    codes
}

const fn short() -> [(u8, u8); 256] {
    let (mut table, mut length) = ([(0, 0); 256], 1);
    while length <= 8 {
        let mut number = CODES.at[length];
        while number < CODES.at[length + 1] {
            // Those of eight bits are smaller than 256.
            let code = (CODES.first[length] & 0xff) as usize + number - CODES.at[length];
            let mut rest = 0;
            while rest < 1 << (8 - length) {
                #[allow(clippy::cast_possible_truncation, reason = "it is eight at most")]
                {
                    table[(code << (8 - length)) + rest] = (CODES.symbols[number], length as u8);
                }
                rest += 1;
            }
            number += 1;
        }
        length += 1;
    }
    table
}

/// Decodes a string, and appends what it says.
///
/// # Errors
/// It is none.
pub fn decode(mut coded: &[u8], decoded: &mut Vec<u8>) -> Result<(), Invalid> {
    // The bits that come next, from the highest on; and how many there are.
    let (mut bits, mut count): (u64, usize) = (0, 0);
    loop {
        while let (true, Some((&byte, rest))) = (count <= 56, coded.split_first()) {
            bits |= u64::from(byte) << (56 - count);
            (coded, count) = (rest, count + 8);
        }
        let (symbol, length) = match next(bits) {
            Some(found) if found.1 <= count => found,
            // The rest is no symbol: it fills up the last byte by the highest bits of the longest code.
            _ if count < 8 && bits == !(u64::MAX >> count) => return Ok(()),
            _ => return Err(Invalid),
        };
        decoded.push(symbol);
        bits <<= length;
        count -= length;
    }
}

fn next(bits: u64) -> Option<(u8, usize)> {
    let (symbol, length) = SHORT[usize::from(bits.to_be_bytes()[0])];
    if length > 0 {
        return Some((symbol, usize::from(length)));
    }
    (9..=LONGEST).find_map(|length| {
        let number = (bits >> (64 - length)).checked_sub(u64::from(CODES.first[length]))?;
        let at = CODES.at[length] + usize::try_from(number).ok()?;
        (at < CODES.at[length + 1]).then(|| (CODES.symbols[at], length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coded: &[u8]) -> Result<String, Invalid> {
        let mut bytes = Vec::new();
        decode(coded, &mut bytes).map(|()| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// From RFC 7541, appendix C.
    #[test]
    fn examples_of_the_standard() {
        for (coded, expected) in [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
            (&[0x64, 0x02], "302"),
            (&[0xff, 0xff, 0xff, 0xf7], "\r"),
            (&[], ""),
        ] {
            assert_eq!(decoded(coded).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_fills_the_last_byte_is_short_and_all_ones() {
        assert_eq!(decoded(&[0x07]), Ok("0".to_owned()));
        // By zeros; by a whole byte; the code that ends strings, which none has.
        for coded in [&[0x06][..], &[0x07, 0xff], &[0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(decoded(coded), Err(Invalid), "{coded:?}");
        }
    }

    #[test]
    fn each_symbol_has_a_code_of_its_own() {
        for length in 1..=LONGEST {
            for number in CODES.at[length]..CODES.at[length + 1] {
                let code = u64::from(CODES.first[length]) + (number - CODES.at[length]) as u64;
                let bits = code << (64 - length) | u64::MAX >> length;
                assert_eq!(next(bits), Some((CODES.symbols[number], length)));
            }
        }
    }
}
