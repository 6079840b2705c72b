//! Server-sent events, as they come in pieces (HTML, 9.2.6).

/// The status of thousands of backends in one line; a bound on what is kept of a line that does not end.
const MESSAGE_MAX: usize = 16 << 20;

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) event: String,
    pub(super) data: String,
}

/// Puts events together. Identities and waits are not needed here.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    message: Message,
}

/// What comes is no stream of events.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Parser {
    /// Takes the next piece. The events that it completes.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut complete = Vec::new();
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() + self.message.data.len() > MESSAGE_MAX {
                return Err(TooLong);
            }
            if part.ends_with(b"\n") {
                complete.extend(self.end_of_line());
            }
        }
        Ok(complete)
    }

    fn end_of_line(&mut self) -> Option<Message> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Some(std::mem::take(&mut self.message)).filter(|message| !message.data.is_empty());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.message.event),
            "data" => {
                if !self.message.data.is_empty() {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nevent: log\nid: 7\ndata: {\"a\":\ndata: 1}\n\nretry: 5\r\nevent: status\r\ndata:x\r\n\r\nevent: none\n\n";

    fn message(event: &str, data: &str) -> Message {
        Message { event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let expected = [message("log", "{\"a\":\n1}"), message("status", "x")];
        for size in 1..STREAM.len() {
            let mut parser = Parser::default();
            let pieces = STREAM.as_bytes().chunks(size);
            let events: Vec<_> = pieces.flat_map(|piece| parser.feed(piece).unwrap()).collect();
            assert_eq!(events, expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; MESSAGE_MAX / 4];
        let fed: Vec<_> = (0..5).map(|_| parser.feed(&piece)).collect();
        assert_eq!(fed.last(), Some(&Err(TooLong)));
    }
}
