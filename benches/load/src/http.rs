//! As much of HTTP/1.1 as the two ends need: requests without a body, and one answer to all of them.

/// What a request is answered with: 100 bytes, behind the headers that servers send.
pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: portti-load\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 100\r\n\
    \r\n\
    0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

const END: &[u8] = b"\r\n\r\n";

/// How long the head is that `input` begins with, its empty line included; `None` if it is not whole.
pub(crate) fn head_length(input: &[u8]) -> Option<usize> {
    input.windows(END.len()).position(|window| window == END).map(|at| at + END.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_its_empty_line() {
        assert_eq!(head_length(b"GET / HTTP/1.1\r\nHost: a\r\n\r"), None);
        assert_eq!(head_length(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Some(27));
        assert_eq!(head_length(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Some(18));
    }

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        assert_eq!(ANSWER.len() - head_length(ANSWER).unwrap(), 100);
    }
}
