//! Where HTTP/1.1 requests begin and end, as strictly as RFC 9112 allows. Pure.
//!
//! Two readers of one stream that see its boundaries in different places are how requests are smuggled. So what could be read
//! in two ways is refused before the library sees it: a line that ends otherwise than by CR LF, a folded header, two lengths, a
//! length beside a coding. What passes here has one meaning, and everybody behind agrees on it.

mod chunks;
mod head;

pub use self::chunks::Chunks;
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
    /// Chunks of a body.
    Chunks(Chunks),
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
            let content = self.content(bytes.len() - at);
            if content > 0 {
                at += content;
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

    /// How many of so many bytes go on a body that is under way; they are taken.
    fn content(&mut self, available: usize) -> usize {
        match &mut self.stage {
            Stage::Body(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
                *left -= here as u64;
                if *left == 0 {
                    self.stage = Stage::default();
                }
                here
            }
            Stage::Chunks(chunks) => chunks.take(available),
            Stage::Head(_) | Stage::Trailer(_) => 0,
        }
    }

    /// One byte of anything but a body; `None` if it is not to be there.
    fn step(&mut self, byte: u8) -> Option<()> {
        self.stage = match &mut self.stage {
            Stage::Head(head) => match head.step(byte)? {
                None => return Some(()),
                Some(Body::None | Body::Length(0)) => Stage::default(),
                Some(Body::Length(length)) => Stage::Body(length),
                Some(Body::Chunked) => Stage::Chunks(Chunks::new()),
            },
            Stage::Trailer(head) => match head.step(byte)? {
                None => return Some(()),
                Some(_end) => Stage::default(),
            },
            Stage::Chunks(chunks) => {
                chunks.step(byte)?;
                if !chunks.is_last() {
                    return Some(());
                }
                Stage::Trailer(Head::trailer())
            }
            Stage::Body(_) => return None,
        };
        Some(())
    }
}

#[cfg(test)]
mod tests;
