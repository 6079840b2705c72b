//! Bodies of answers: what is content in the bytes that come, and where it ends. Pure.

use std::mem;

use bytes::{Bytes, BytesMut};
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

/// A chunk with less content than this is joined with those behind it: each part costs a write of its own.
const SMALL_MAX: usize = 4 * 1024;

/// Bytes of small chunks that are joined.
const JOINED_MAX: usize = 16 * 1024;

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

    /// Looks ahead at what has come of the body, without taking it.
    ///
    /// # Errors
    /// It is no part of such a body.
    pub fn check(&self, input: &Bytes) -> Result<(), Malformed> {
        let Stage::Chunks(chunks) = &self.0 else { return Ok(()) };
        let (mut ahead, mut input) = (Self(Stage::Chunks(chunks.clone())), input.clone());
        while matches!(ahead.next(&mut input)?, Part::Content(_)) {}
        Ok(())
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

/// The next content, with that of small chunks joined; nothing behind the last chunk.
fn next_of(chunks: &mut Chunks, input: &mut Bytes) -> Result<Option<Part>, Malformed> {
    let Some(first) = content_of(chunks, input, usize::MAX)? else {
        return Ok(if chunks.is_last() { None } else { Some(Part::Missing) });
    };
    let is_small = first.len() < SMALL_MAX && !input.is_empty();
    Ok(Some(Part::Content(if is_small { join(first, chunks, input) } else { first })))
}

/// A content, with those behind it that have come already.
fn join(first: Bytes, chunks: &mut Chunks, input: &mut Bytes) -> Bytes {
    let mut joined = BytesMut::new();
    loop {
        let room = JOINED_MAX - joined.len().max(first.len());
        // What is malformed stays where it is, so that the next call fails there.
        let Ok(Some(next)) = content_of(chunks, input, room) else { break };
        if joined.is_empty() {
            joined.reserve(first.len() + next.len() + input.len() / 2);
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&next);
        if joined.len() >= JOINED_MAX {
            break;
        }
    }
    if joined.is_empty() { first } else { joined.freeze() }
}

/// The next content of one chunk, at most so much; nothing if none has come, or behind the last chunk.
fn content_of(chunks: &mut Chunks, input: &mut Bytes, most: usize) -> Result<Option<Bytes>, Malformed> {
    while !chunks.is_last() {
        let content = chunks.take(input.len().min(most));
        if content > 0 {
            return Ok(Some(input.split_to(content)));
        }
        let Some(&byte) = input.first() else { return Ok(None) };
        chunks.step(byte).ok_or(Malformed)?;
        skip(input, 1);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contents of a body in chunks that has come at once, and whether it ends.
    fn contents(text: &[u8]) -> (Vec<Bytes>, Result<Part, Malformed>) {
        let (mut decoder, mut input, mut contents) = (Decoder::chunked(), Bytes::copy_from_slice(text), Vec::new());
        loop {
            match decoder.next(&mut input) {
                Ok(Part::Content(content)) => contents.push(content),
                last => return (contents, last),
            }
        }
    }

    #[test]
    fn small_chunks_that_have_come_together_are_one_part() {
        let (joined, last) = contents(&[&b"1\r\nx\r\n".repeat(1000)[..], b"0\r\n\r\n"].concat());
        assert_eq!((joined, last), (vec![Bytes::from(vec![b'x'; 1000])], Ok(Part::End)));
        // What is large is not copied, and what is joined is bounded.
        let large = [b"1\r\nx\r\n8000\r\n", &vec![b'y'; 0x8000][..], b"\r\n1\r\nz\r\n"].concat();
        let (pieces, last) = contents(&large);
        assert_eq!(last, Ok(Part::Missing));
        assert!(pieces.iter().all(|piece| piece.len() <= 0x8000) && pieces[0].len() <= JOINED_MAX, "{}", pieces.len());
        assert_eq!(pieces.concat().len(), 0x8002);
    }

    #[test]
    fn what_comes_before_a_malformed_chunk_is_not_lost() {
        let (joined, last) = contents(b"1\r\nx\r\n1\r\ny\r\nZZ\r\n");
        assert_eq!((joined, last), (vec![Bytes::from("xy")], Err(Malformed)));
    }

    #[test]
    fn a_look_ahead_finds_what_is_malformed_and_takes_nothing() {
        for (text, is_sound) in [
            ("", true),
            ("5\r\nhel", true),
            ("5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200", true),
            ("ZZ\r\nhello", false),
            ("5\nhello", false),
            ("5\r\nhelloX", false),
            ("5\r\nhello\r\n0\r\n folded\r\n", false),
        ] {
            let decoder = Decoder::chunked();
            assert_eq!(decoder.check(&Bytes::from(text)).is_ok(), is_sound, "{text:?}");
        }
        assert!(Decoder::length(2).check(&Bytes::from("ZZ")).is_ok());
    }
}
