//! Where a head ends, line by line, as strictly as RFC 9112 allows. Pure.
//!
//! Two readers of one stream that see its boundaries in different places are how requests are smuggled. So what could be read in two
//! ways is refused as soon as it has come: a line that ends otherwise than by CR LF, or a folded one.

use memchr::memchr2;

use super::fields::Malformed;

/// Looks for the end of a head in bytes that become more.
#[derive(Debug, Default)]
pub struct Lines {
    /// So many bytes have been looked at.
    seen: usize,
    /// Where the line begins that goes on there.
    line: usize,
}

impl Lines {
    /// The length of the head that these bytes begin with, with the empty line behind it; `None` while that has not come. They are
    /// those of before, and more.
    ///
    /// # Errors
    /// Whatever comes, it could be read in two ways.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while let Some(ahead) = memchr2(b'\r', b'\n', &bytes[self.seen..]) {
            let at = self.seen + ahead;
            match &bytes[at..] {
                [b'\r', b'\n', ..] if at == self.line => return Ok(Some(at + 2)),
                [b'\r', b'\n', ..] => {
                    self.check_begin(bytes)?;
                    (self.seen, self.line) = (at + 2, at + 2);
                }
                [b'\r'] => {
                    self.seen = at;
                    return self.check_begin(bytes).map(|()| None);
                }
                _ => return Err(Malformed),
            }
        }
        self.seen = bytes.len();
        self.check_begin(bytes).map(|()| None)
    }

    /// Where the line begins that goes on behind what has been looked at.
    pub fn last(&self) -> usize {
        self.line
    }

    /// A line that begins with a space would go on the one before it.
    fn check_begin(&self, bytes: &[u8]) -> Result<(), Malformed> {
        if matches!(bytes.get(self.line), Some(b' ' | b'\t')) { Err(Malformed) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The verdict, and after how many bytes it stands.
    type Verdict = (Option<Result<usize, Malformed>>, usize);

    /// Where it ends, whatever pieces it comes in.
    fn end(text: &[u8]) -> Result<Option<usize>, Malformed> {
        let (whole, _) = verdict(text, text.len().max(1));
        let (bytewise, at) = verdict(text, 1);
        assert_eq!(whole, bytewise, "{}", text.escape_ascii());
        if let Some(Ok(length)) = bytewise {
            assert_eq!(length, at, "it is known with its last byte");
        }
        whole.transpose()
    }

    fn verdict(text: &[u8], size: usize) -> Verdict {
        let mut lines = Lines::default();
        let mut lengths = (size..text.len()).step_by(size).chain([text.len()]);
        let found = lengths.find_map(|length| Some((lines.end(&text[..length]).transpose()?, length)));
        found.map_or((None, text.len()), |(verdict, at)| (Some(verdict), at))
    }

    #[test]
    fn it_ends_with_its_first_empty_line() {
        for (head, behind) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /2 HTTP/1.1\r\n\r\n"),
            ("GET / HTTP/1.1\r\n\r\n", "\n\0"),
            ("\r\n", "x"),
            ("X: \t\u{e4}\r\nY:\tz\r\n\r\n", ""),
        ] {
            assert_eq!(end(&[head, behind].concat().into_bytes()), Ok(Some(head.len())), "{head:?}");
            for length in 0..head.len() {
                assert_eq!(end(&head.as_bytes()[..length]), Ok(None), "{length} bytes of {head:?}");
            }
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let cases: [&[u8]; 10] = [
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            b"GET / HTTP/1.1\r\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n",
            b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            b"\n",
            b" ",
            b"\r\r",
        ];
        for text in cases {
            assert_eq!(end(text), Err(Malformed), "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn a_verdict_does_not_depend_on_the_pieces(text in "([A-Z:]|\r\n|\r\n|\n|\r| |\t){0,40}") {
            let _verdict = end(text.as_bytes());
        }
    }
}
