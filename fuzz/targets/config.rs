//! Config files: whatever is in one, it is read or refused with words, and what was read is the same when it is read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portti::config::{diff, parse_bytes};

fuzz_target!(|bytes: &[u8]| match parse_bytes(bytes) {
    Ok(parsed) => {
        let again = parse_bytes(bytes).expect("it was read before");
        assert!(diff::diff(&parsed.config, &again.config).is_empty());
    }
    Err(problems) => {
        let said = problems.render("portti.toml", &String::from_utf8_lossy(bytes));
        assert!(said.contains("error"), "refused without a word");
    }
});
