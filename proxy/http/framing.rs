//! Where HTTP/1.1 requests begin and end, as strictly as RFC 9112 allows. Pure.
//!
//! Two readers of one stream that see its boundaries in different places are how requests are smuggled. So what could be read
//! in two ways is refused before the library sees it: a line that ends otherwise than by CR LF, a folded header, two lengths, a
//! length beside a coding. What passes here has one meaning, and everybody behind agrees on it.

mod head;

use self::head::Head;

/// Follows the bytes of a client's connection from request to request.
#[derive(Debug, Default)]
pub struct Framing {
    stage: Stage,
}

/// Something that could be read in two ways, at this place of the bytes that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous(pub usize);

#[derive(Debug)]
enum Stage {
    Head(Head),
    /// So many bytes of a body are left.
    Body(u64),
    /// The size of a chunk: its digits so far, and its value.
    Size(u8, u64),
    /// What may stand behind a size, so many bytes of it; nobody needs it.
    Extension(u16, u64),
    /// The line with the size ends; so long is the chunk.
    SizeEnd(u64),
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// A chunk's own CR LF.
    ChunkEnd,
    ChunkLineFeed,
    /// Headers behind the last chunk.
    Trailer(Head),
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Length(u64),
    Chunked,
}

/// Digits of a chunk's size: 64 bits.
const SIZE_DIGITS: u8 = 16;

/// Bytes of a chunk's extension, at most.
const EXTENSION_MAX: u16 = 256;

impl Default for Stage {
    fn default() -> Self {
        Self::Head(Head::request())
    }
}

impl Framing {
    /// Looks at the next bytes.
    ///
    /// # Errors
    /// One of them makes what came so far ambiguous. What follows must not be looked at.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<(), Ambiguous> {
        let mut at = 0;
        while at < bytes.len() {
            // Most bytes are a body's.
            if let Stage::Body(left) | Stage::Chunk(left) = &mut self.stage {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                *left -= here as u64;
                at += here;
                self.leave_body();
                continue;
            }
            if let Stage::Head(head) | Stage::Trailer(head) = &mut self.stage {
                at += head.run(&bytes[at..]);
            }
            if let Some(&byte) = bytes.get(at) {
                self.step(byte).ok_or(Ambiguous(at))?;
                at += 1;
            }
        }
        Ok(())
    }

    /// Whether a head has begun that has not ended yet.
    pub fn is_in_head(&self) -> bool {
        matches!(&self.stage, Stage::Head(head) if head.has_begun())
    }

    /// Whether no body is under way.
    pub fn is_at_head(&self) -> bool {
        matches!(self.stage, Stage::Head(_))
    }

    fn leave_body(&mut self) {
        match self.stage {
            Stage::Body(0) => self.stage = Stage::default(),
            Stage::Chunk(0) => self.stage = Stage::ChunkEnd,
            _ => {}
        }
    }

    /// One byte of anything but a body; `None` if it is not to be there.
    fn step(&mut self, byte: u8) -> Option<()> {
        self.stage = match (&mut self.stage, byte) {
            (Stage::Head(head), _) => match head.step(byte)? {
                None => return Some(()),
                Some(Body::None | Body::Length(0)) => Stage::default(),
                Some(Body::Length(length)) => Stage::Body(length),
                Some(Body::Chunked) => Stage::Size(0, 0),
            },
            (Stage::Trailer(head), _) => match head.step(byte)? {
                None => return Some(()),
                Some(_end) => Stage::default(),
            },
            (Stage::Size(digits, size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if *digits < SIZE_DIGITS => {
                Stage::Size(*digits + 1, *size << 4 | u64::from(char::from(byte).to_digit(16)?))
            }
            (Stage::Size(1.., size), b'\r') => Stage::SizeEnd(*size),
            (Stage::Size(1.., size), b';') => Stage::Extension(0, *size),
            (Stage::Extension(_, size), b'\r') => Stage::SizeEnd(*size),
            (Stage::Extension(length, size), b'\t' | b' '..=b'~') if *length < EXTENSION_MAX => {
                Stage::Extension(*length + 1, *size)
            }
            (Stage::SizeEnd(0), b'\n') => Stage::Trailer(Head::trailer()),
            (Stage::SizeEnd(size), b'\n') => Stage::Chunk(*size),
            (Stage::ChunkEnd, b'\r') => Stage::ChunkLineFeed,
            (Stage::ChunkLineFeed, b'\n') => Stage::Size(0, 0),
            _ => return None,
        };
        Some(())
    }
}

#[cfg(test)]
mod tests;
