//! A body in chunks (RFC 9112, 7.1): where each begins and ends, up to what follows the last one.

/// Follows a body from chunk to chunk.
#[derive(Debug, Clone)]
pub struct Chunks(Stage);

#[derive(Debug, Clone)]
enum Stage {
    /// The size of a chunk: its digits so far, and its value.
    Size(u8, u64),
    /// What may stand behind a size, so many bytes of it; nobody needs it.
    Extension(u16, u64),
    /// The line with the size ends; so long is the chunk.
    SizeEnd(u64),
    /// So many bytes of a chunk are left.
    Content(u64),
    /// A chunk's own CR LF.
    End,
    LineFeed,
    /// The last one, which is empty, has passed.
    Last,
}

/// Digits of a chunk's size: 64 bits.
const SIZE_DIGITS: u8 = 16;

/// Bytes of a chunk's extension, at most.
const EXTENSION_MAX: u16 = 256;

impl Chunks {
    /// None yet.
    pub fn new() -> Self {
        Self(Stage::Size(0, 0))
    }

    /// Takes as much content as there is in so many bytes, and returns how much that is.
    pub fn take(&mut self, available: usize) -> usize {
        let Stage::Content(left) = &mut self.0 else { return 0 };
        let here = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
        *left -= here as u64;
        if *left == 0 {
            self.0 = Stage::End;
        }
        here
    }

    /// A byte that is not content; `None` if it is not to be there.
    pub fn step(&mut self, byte: u8) -> Option<()> {
        self.0 = match (&self.0, byte) {
            (&Stage::Size(digits, size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < SIZE_DIGITS => {
                Stage::Size(digits + 1, size << 4 | u64::from(char::from(byte).to_digit(16)?))
            }
            (&Stage::Size(1.., size), b'\r') => Stage::SizeEnd(size),
            (&Stage::Size(1.., size), b';') => Stage::Extension(0, size),
            (&Stage::Extension(_, size), b'\r') => Stage::SizeEnd(size),
            (&Stage::Extension(length, size), b'\t' | b' '..=b'~') if length < EXTENSION_MAX => {
                Stage::Extension(length + 1, size)
            }
            (Stage::SizeEnd(0), b'\n') => Stage::Last,
            (&Stage::SizeEnd(size), b'\n') => Stage::Content(size),
            (Stage::End, b'\r') => Stage::LineFeed,
            (Stage::LineFeed, b'\n') => Stage::Size(0, 0),
            _ => return None,
        };
        Some(())
    }

    /// Whether the last one has passed: what follows are trailers.
    pub fn is_last(&self) -> bool {
        matches!(self.0, Stage::Last)
    }
}

impl Default for Chunks {
    fn default() -> Self {
        Self::new()
    }
}
