//! PROXY headers from strangers: a verdict is final, and no header is longer than its bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portti::net::proxy_protocol::{LENGTH_MAX, Start, begin, parse};

fuzz_target!(|bytes: &[u8]| {
    let verdict = parse(bytes);
    if let Ok(Some(found)) = verdict {
        assert!(found.length <= bytes.len() && found.length <= LENGTH_MAX);
        assert_eq!(parse(&bytes[..found.length]), verdict, "it needs what is behind it");
        assert_eq!(parse(&bytes[..found.length - 1]), Ok(None), "it was whole before its end");
    }
    match begin(bytes) {
        Ok(Some(Start::Whole(found))) => assert_eq!(verdict, Ok(Some(found))),
        Ok(Some(Start::Long(mut long))) => {
            let length = long.left();
            for piece in bytes[..length.min(bytes.len())].chunks(1000) {
                if let Err(invalid) = long.pass(piece) {
                    assert!(verdict == Err(invalid) || bytes.len() < length);
                    return;
                }
            }
            if long.left() == 0 {
                assert_eq!(long.finish(), verdict.map(|found| found.expect("it is whole").header));
            }
        }
        Ok(None) => assert_eq!(verdict, Ok(None)),
        Err(invalid) => assert!(verdict == Err(invalid) || bytes.len() < LENGTH_MAX),
    }
    match verdict {
        Ok(None) => assert!(bytes.len() < LENGTH_MAX, "it waits for ever"),
        verdict => assert_eq!(parse(&[bytes, b"\r\n\0more"].concat()), verdict, "more bytes change it"),
    }
});
