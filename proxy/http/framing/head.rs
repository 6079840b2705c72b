//! A request's head, line by line: as much of it as tells what follows.

use super::Body;

/// A head on its way, or the headers behind a body.
#[derive(Debug)]
pub(super) struct Head {
    /// The beginning of the line: more than any that matters here has.
    line: Vec<u8>,
    /// A carriage return stands at its end.
    returned: bool,
    place: Place,
    length: Option<u64>,
    is_chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the request line: empty lines are skipped.
    Before,
    Headers,
    Trailer,
}

/// Bytes of a line that are kept.
const LINE_MAX: usize = 128;

const LENGTH: &[u8] = b"content-length";
const CODING: &[u8] = b"transfer-encoding";

impl Head {
    /// In front of a request.
    pub(super) fn request() -> Self {
        Self { line: Vec::new(), returned: false, place: Place::Before, length: None, is_chunked: false }
    }

    /// Behind the last chunk.
    pub(super) fn trailer() -> Self {
        Self { place: Place::Trailer, ..Self::request() }
    }

    /// Whether anything but empty lines has come.
    pub(super) fn has_begun(&self) -> bool {
        self.place != Place::Before || !self.line.is_empty()
    }

    /// The next byte: what follows, if it is the last one; `None` outside if it is not to be there.
    pub(super) fn step(&mut self, byte: u8) -> Option<Option<Body>> {
        match (byte, self.returned) {
            (b'\n', true) => {
                self.returned = false;
                self.end_of_line()
            }
            (b'\r', false) => {
                self.returned = true;
                Some(None)
            }
            // Without its carriage return, or a carriage return without it.
            (b'\n', false) | (_, true) => None,
            // A line that begins with a space goes on the one before it (obs-fold).
            (b' ' | b'\t', false) if self.line.is_empty() => None,
            (0..b' ' | 0x7f, false) if byte != b'\t' => None,
            _ => {
                if self.line.capacity() == 0 {
                    self.line.reserve_exact(LINE_MAX);
                }
                if self.line.len() < LINE_MAX {
                    self.line.push(byte);
                }
                Some(None)
            }
        }
    }

    /// How many of the next bytes go on a line that has begun; they are taken. Most bytes of a head are such.
    pub(super) fn run(&mut self, bytes: &[u8]) -> usize {
        if self.returned || self.line.is_empty() {
            return 0;
        }
        let is_plain = |byte: u8| (byte >= b' ' && byte != 0x7f) || byte == b'\t';
        let run = bytes.iter().position(|&byte| !is_plain(byte)).unwrap_or(bytes.len());
        self.line.extend_from_slice(&bytes[..run.min(LINE_MAX - self.line.len())]);
        run
    }

    fn end_of_line(&mut self) -> Option<Option<Body>> {
        let mut line = std::mem::take(&mut self.line);
        let meaning = self.meaning(&line);
        // Its memory serves the next one.
        line.clear();
        self.line = line;
        meaning
    }

    fn meaning(&mut self, line: &[u8]) -> Option<Option<Body>> {
        match (line.is_empty(), self.place) {
            (true, Place::Before) => return Some(None),
            (false, Place::Before) => self.place = Place::Headers,
            (true, Place::Trailer) => return Some(Some(Body::None)),
            (true, Place::Headers) => return self.body().map(Some),
            (false, Place::Headers | Place::Trailer) => self.header(line)?,
        }
        Some(None)
    }

    /// Notes a header; `None` if it contradicts an earlier one, or is none.
    fn header(&mut self, line: &[u8]) -> Option<()> {
        let colon = line.iter().position(|&byte| byte == b':');
        let name = &line[..colon.unwrap_or(line.len())];
        // Also a name with a space behind it, which some take for the name without.
        let means = |wanted: &[u8]| name.trim_ascii().eq_ignore_ascii_case(wanted);
        let (is_length, is_coding) = (means(LENGTH), means(CODING));
        if !(is_length || is_coding) {
            return Some(());
        }
        let value = line[colon? + 1..].trim_ascii();
        if line.len() == LINE_MAX || name.len() != name.trim_ascii().len() || self.place == Place::Trailer {
            return None;
        }
        if is_length {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let length = str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()?;
            // Even the same one twice.
            return if self.length.replace(length).is_none() { Some(()) } else { None };
        }
        let is_chunked = value.eq_ignore_ascii_case(b"chunked") && !std::mem::replace(&mut self.is_chunked, true);
        is_chunked.then_some(())
    }

    fn body(&self) -> Option<Body> {
        match (self.length, self.is_chunked) {
            (None, false) => Some(Body::None),
            (Some(length), false) => Some(Body::Length(length)),
            (None, true) => Some(Body::Chunked),
            (Some(_), true) => None,
        }
    }
}
