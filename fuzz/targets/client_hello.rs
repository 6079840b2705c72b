//! First messages of TLS clients: a verdict is final, what is found is sound, and nobody waits for more than the bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portti::net::client_hello::{LENGTH_MAX, parse};

fuzz_target!(|bytes: &[u8]| {
    let verdict = parse(bytes);
    if let Ok(Some(hello)) = &verdict {
        if let Some(name) = &hello.server_name {
            assert!(
                name.len() <= 253 && name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
            );
        }
        assert!(hello.protocols.iter().all(|name| (1..=255).contains(&name.len())));
    }
    match verdict {
        Ok(None) => assert!(bytes.len() < LENGTH_MAX, "it waits for ever"),
        verdict => assert_eq!(parse(&[bytes, b"\x16\x03\x01\0\x01\x01"].concat()), verdict, "more bytes change it"),
    }
});
