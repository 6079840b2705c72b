//! Bodies of answers: what is content in the bytes that come, and where it ends. Pure.

use std::mem;

use bytes::Bytes;
use httparse::{EMPTY_HEADER, Status};
use hyper::body::SizeHint;
use hyper::header::HeaderMap;

use super::chunks::Chunks;
use super::fields::{HEADERS_MAX, Malformed, collect};
use super::input::skip;
use super::lines::Lines;

/// Reads a body.
#[derive(Debug)]
pub struct Decoder(Stage);

#[derive(Debug)]
enum Stage {
    /// So many bytes are left.
    Length(u64),
    Chunks(Chunks),
    /// Headers behind the last chunk.
    Trailers(Lines),
    /// It goes on until the connection ends.
    UntilClose,
}

/// What comes next in a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// Some of its bytes.
    Content(Bytes),
    /// What stands behind them.
    Trailers(HeaderMap),
    /// It is over.
    End,
    /// More bytes have to come first.
    Missing,
}

/// Bytes of trailers.
const TRAILERS_MAX: usize = 16 * 1024;

impl Decoder {
    /// A body of so many bytes.
    pub fn length(length: u64) -> Self {
        Self(Stage::Length(length))
    }

    /// A body in chunks.
    pub fn chunked() -> Self {
        Self(Stage::Chunks(Chunks::new()))
    }

    /// A body that ends with its connection.
    pub fn until_close() -> Self {
        Self(Stage::UntilClose)
    }

    /// Whether its end is told otherwise than by the connection's.
    pub fn has_end(&self) -> bool {
        !matches!(self.0, Stage::UntilClose)
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        matches!(self.0, Stage::Length(0))
    }

    /// How much content is left, as far as is known.
    pub fn size_hint(&self) -> SizeHint {
        if let Stage::Length(left) = self.0 { SizeHint::with_exact(left) } else { SizeHint::default() }
    }

    /// Takes what comes next out of the input.
    ///
    /// # Errors
    /// It is no part of such a body.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Part, Malformed> {
        match &mut self.0 {
            Stage::Length(0) => Ok(Part::End),
            _ if input.is_empty() => Ok(Part::Missing),
            Stage::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= here as u64;
                Ok(Part::Content(input.split_to(here)))
            }
            Stage::UntilClose => Ok(Part::Content(mem::take(input))),
            Stage::Chunks(chunks) => match next_of(chunks, input)? {
                None => {
                    self.0 = Stage::Trailers(Lines::default());
                    self.next(input)
                }
                Some(part) => Ok(part),
            },
            Stage::Trailers(lines) => {
                let trailers = trailers_of(lines, input)?;
                if trailers.is_some() {
                    self.0 = Stage::Length(0);
                }
                Ok(match trailers {
                    None => Part::Missing,
                    Some(trailers) if trailers.is_empty() => Part::End,
                    Some(trailers) => Part::Trailers(trailers),
                })
            }
        }
    }

    /// No more bytes will come.
    ///
    /// # Errors
    /// Some were still to come.
    pub fn close(&mut self) -> Result<(), Malformed> {
        match self.0 {
            Stage::Length(0) | Stage::UntilClose => self.0 = Stage::Length(0),
            Stage::Length(_) | Stage::Chunks(_) | Stage::Trailers(_) => return Err(Malformed),
        }
        Ok(())
    }
}

/// What stands behind the last chunk, when all of it has come.
fn trailers_of(lines: &mut Lines, input: &mut Bytes) -> Result<Option<HeaderMap>, Malformed> {
    let Some(length) = lines.end(input)? else {
        return if input.len() < TRAILERS_MAX { Ok(None) } else { Err(Malformed) };
    };
    let mut fields = [EMPTY_HEADER; HEADERS_MAX];
    let trailers = match httparse::parse_headers(&input[..length], &mut fields) {
        Ok(Status::Complete((_, fields))) if length <= TRAILERS_MAX => collect(input, fields, 0, |_, _| true)?,
        _ => return Err(Malformed),
    };
    skip(input, length);
    Ok(Some(trailers))
}

/// The next content of a chunk; nothing behind the last one.
fn next_of(chunks: &mut Chunks, input: &mut Bytes) -> Result<Option<Part>, Malformed> {
    while !chunks.is_last() {
        let content = chunks.take(input.len());
        if content > 0 {
            return Ok(Some(Part::Content(input.split_to(content))));
        }
        let Some(&byte) = input.first() else { return Ok(Some(Part::Missing)) };
        chunks.step(byte).ok_or(Malformed)?;
        skip(input, 1);
    }
    Ok(None)
}
